import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import { logPath } from "../../src/log/embedded/schema.ts";
import { LogError } from "../../src/log/event-log.ts";
import { logInMemory, logUnderTest, newFolder, removeFolders } from "./embedded-adapter.ts";
import { describeEventLog } from "./event-log-suite.ts";
import { newTopic, record } from "./fixture.ts";

describeEventLog(logUnderTest);
describeEventLog(logInMemory);
afterAll(removeFolders);

describe("the embedded log's folder", () => {
  test("is refused when its format is another, and left as it is", async () => {
    const folder = newFolder();
    await (await logUnderTest.open(folder)).close();
    for (const [pragma, value] of [
      ["user_version", 99],
      ["application_id", 7],
    ] as const) {
      const before = change(folder, pragma, value);
      const error = refusal({ folder });
      expect(error.code).toBe("format_mismatch");
      expect(error.message).toContain(folder);
      expect(change(folder, pragma, before)).toBe(value);
    }
    await (await logUnderTest.open(folder, { create: false })).close();
  });

  test("is refused when its file is no database, or a folder cannot stand there", () => {
    const folder = newFolder();
    mkdirSync(folder);
    writeFileSync(
      logPath(folder),
      "no database, whatever its name says, and of some length\n".repeat(99),
    );
    expect(refusal({ folder }).code).toBe("corrupt");
    const inFile = join(logPath(folder), "data");
    expect(refusal({ folder: inFile }).code).toBe("unusable_place");
    expect(refusal({ folder: "/proc/no-such-place" }).code).toBe("unusable_place");
  });

  test("is not made by a command that only wants to look", () => {
    const folder = newFolder();
    expect(refusal({ folder, create: false }).code).toBe("not_found");
    expect(existsSync(folder)).toBe(false);
    expect(readdirSync(dirname(folder))).toEqual([]);
  });

  test("holds no write-ahead log and no lock once the log is closed", async () => {
    const folder = newFolder();
    const log = await logUnderTest.open(folder);
    const topic = await newTopic(log);
    await log.append([record(topic, "x")]);
    expect(readdirSync(folder)).toContain("log.db-wal");
    await log.close();
    expect(readdirSync(folder).filter((name) => name.startsWith("log.db"))).toEqual(["log.db"]);
  });

  test("keeps settings that are only defaults out of the check", async () => {
    const folder = newFolder();
    const options = { folder, create: true, nowMs: Date.now };
    const log = openEmbeddedLog({
      ...options,
      defaults: { decimals: "2" },
      settings: { size: "4" },
    });
    expect(log.settings).toEqual({ decimals: "2", size: "4" });
    await log.close();
    const again = openEmbeddedLog({ ...options, defaults: { decimals: "5", size: "6" } });
    expect(again.settings).toEqual({ decimals: "2", size: "4" });
    await again.close();
  });
});

function refusal(options: { folder: string; create?: boolean }): LogError {
  try {
    openEmbeddedLog({ create: true, nowMs: Date.now, ...options });
  } catch (error) {
    expect(error).toBeInstanceOf(LogError);
    return error as LogError;
  }
  throw new Error(`${options.folder} was opened`);
}

/** Sets a number in the file's header; returns the one before. */
function change(folder: string, pragma: string, value: number): number {
  const database = new Database(logPath(folder));
  const before = Object.values(database.query(`PRAGMA ${pragma}`).get() as object)[0] as number;
  database.exec(`PRAGMA ${pragma} = ${value}`);
  database.close();
  return before;
}
