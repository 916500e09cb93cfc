import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import { logPath } from "../../src/log/embedded/schema.ts";
import { LogError } from "../../src/log/event-log.ts";
import {
  logInMemory,
  logUnderTest,
  newFolder,
  removeFolders,
  waitingWrites,
} from "./embedded-adapter.ts";
import { thrown } from "../thrown.ts";
import { describeEventLog } from "./event-log-suite.ts";
import { newTopic, record, until } from "./fixture.ts";
import { Member } from "./member.ts";

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

  test("is not made of an empty file by a command that only wants to look", async () => {
    const folder = newFolder();
    mkdirSync(folder);
    writeFileSync(logPath(folder), "");
    expect(refusal({ folder, create: false }).code).toBe("not_found");
    expect(readdirSync(folder)).toEqual(["log.db"]);
    expect(statSync(logPath(folder)).size).toBe(0);
    await (await logUnderTest.open(folder)).close(); // whoever may make one makes it there
    expect(statSync(logPath(folder)).size).toBeGreaterThan(0);
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

describe("the embedded log's members", () => {
  test("take a partition once when two of them saw it free at the same time", async () => {
    const folder = newFolder();
    const [log, one, two] = [await open(folder), await open(folder), await open(folder)];
    const options = { group: "group", topics: [await newTopic(log, { partitions: 2 })] };
    const first = new Member(log, options);
    await first.holds(0, 1);
    // Stand-ins reach for all that is free; regular members would each keep to their share.
    const members = [one, two].map((each) => new Member(each, { ...options, isStandIn: true }));
    const lock = new Database(logPath(folder));
    await until("both to be known", () => {
      return lock.query("SELECT * FROM memberships").all().length === 3;
    });
    await first.leave();
    lock.exec("BEGIN IMMEDIATE");
    await until("both to reach for it", () => waitingWrites(one) > 0 && waitingWrites(two) > 0);
    lock.exec("COMMIT");
    lock.close();
    await until("both to have tried", () => waitingWrites(one) + waitingWrites(two) === 0);
    await until("two claims", () => members.flatMap(({ claims }) => claims).length >= 2);
    expect(members.flatMap(({ held }) => held).toSorted()).toEqual([0, 1]);
    expect(members.flatMap(({ claims }) => claims)).toHaveLength(2);
    for (const member of members) await member.leave();
    for (const each of [log, one, two]) await each.close();
  });
});

function open(folder: string) {
  return logUnderTest.open(folder);
}

function refusal(options: { folder: string; create?: boolean }): LogError {
  return thrown(LogError, () => openEmbeddedLog({ create: true, nowMs: Date.now, ...options }));
}

/** Sets a number in the file's header; returns the one before. */
function change(folder: string, pragma: string, value: number): number {
  const database = new Database(logPath(folder));
  const before = Object.values(database.query(`PRAGMA ${pragma}`).get() as object)[0] as number;
  database.exec(`PRAGMA ${pragma} = ${value}`);
  database.close();
  return before;
}
