import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EmbeddedLog, openEmbeddedLog } from "../../../src/log/embedded/embedded-log.ts";
import { errorOf, readAll, record, texts } from "../../conformance/fixture.ts";

const TOPIC = "events";
let folder = "";
const opened: EmbeddedLog[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "format-"));
});
afterEach(async () => {
  for (const log of opened.splice(0)) await log.close();
  rmSync(folder, { recursive: true });
});

function open(create = false, at = folder, onStep: (step: string) => void = () => {}): EmbeddedLog {
  const log = openEmbeddedLog({ folder: at, create, nowMs: Date.now, onStep });
  opened.push(log);
  return log;
}

/** As a program of format 1 left it: nothing else differs. */
async function olderLog(): Promise<EmbeddedLog> {
  const log = open(true);
  await log.ensureTopics([{ name: TOPIC, partitions: 1, cleanup: "keep", retentionMs: null }]);
  await log.append([record(TOPIC, "before")]);
  setFormat(1);
  return log;
}

const logFile = () => join(folder, "log.db");
const keptFile = () => join(folder, "log.format-1.db");

const filesOfFormats = () => readdirSync(folder).filter((name) => name.includes("format"));

function setFormat(format: number): void {
  using database = new Database(logFile());
  database.exec(`PRAGMA user_version = ${format}`);
}

function formatOf(file: string): number {
  using database = new Database(file, { readonly: true });
  return (database.query("PRAGMA user_version").get() as { user_version: number }).user_version;
}

test("a log of the older format is read and written as it is", async () => {
  const log = await olderLog();
  const other = open();
  await other.append([record(TOPIC, "after")]);
  expect(texts(await readAll(log, TOPIC))).toEqual(["before", "after"]);
  expect(formatOf(logFile())).toBe(1);
});

test("raised, it is of this format, and a copy of it as it was is kept", async () => {
  const log = await olderLog();
  const other = open();
  await log.raiseFormat();
  await other.append([record(TOPIC, "after")]);
  expect(formatOf(logFile())).toBe(2);
  expect(texts(await readAll(open(), TOPIC))).toEqual(["before", "after"]);

  expect(formatOf(keptFile())).toBe(1);
  const back = mkdtempSync(join(folder, "back-"));
  await Bun.write(join(back, "log.db"), Bun.file(keptFile()));
  expect(texts(await readAll(open(false, back), TOPIC))).toEqual(["before"]);

  rmSync(keptFile());
  await other.raiseFormat();
  expect(existsSync(keptFile())).toBe(false); // once is enough
});

test("a log that is made now is of this format, and has nothing to keep", async () => {
  const log = open(true);
  await log.raiseFormat();
  expect(formatOf(logFile())).toBe(2);
  expect(filesOfFormats()).toEqual([]);
});

test("an earlier copy stays: until it is moved away the log is not raised", async () => {
  const log = await olderLog();
  writeFileSync(keptFile(), "somebody's");
  const error = await errorOf(log.raiseFormat());
  expect(error.code).toBe("unusable_place");
  expect(error.message).toContain(`${keptFile()} is there already`);
  expect(formatOf(logFile())).toBe(1);
  expect(await Bun.file(keptFile()).text()).toBe("somebody's");
  rmSync(keptFile());
  await log.raiseFormat();
  expect(formatOf(logFile())).toBe(2);
});

test("two that raise it at once keep one copy, and neither is refused", async () => {
  const log = await olderLog();
  await Promise.all([log, open(), open()].map((each) => each.raiseFormat()));
  expect(formatOf(logFile())).toBe(2);
  expect(filesOfFormats()).toEqual(["log.format-1.db"]);
  expect(formatOf(keptFile())).toBe(1);
});

test("a raise that is not committed leaves no copy, and may be tried again", async () => {
  await olderLog();
  let isBroken = false;
  const log = open(false, folder, (step) => {
    if (isBroken && step === "before commit" && existsSync(keptFile())) throw new Error("no disk");
  });
  isBroken = true;
  expect((await errorOf(log.raiseFormat())).code).toBe("unavailable");
  expect(formatOf(logFile())).toBe(1);
  expect(filesOfFormats()).toEqual([]);
  isBroken = false;
  await log.raiseFormat();
  expect(formatOf(logFile())).toBe(2);
});

test("a log that is moved while it is copied is not raised", async () => {
  const log = await olderLog();
  const raising = log.raiseFormat();
  await log.setSeal({ movedTo: "the other house", incarnation: "other", isDone: true });
  expect((await errorOf(raising)).code).toBe("moved");
  expect(formatOf(logFile())).toBe(1);
  expect(filesOfFormats()).toEqual([]);
});

test("a log with a damaged record is not raised, and no copy of it is left", async () => {
  const log = await olderLog();
  using database = new Database(logFile());
  database.exec("UPDATE records SET value = x'00'");
  expect((await errorOf(log.raiseFormat())).code).toBe("corrupt");
  expect(formatOf(logFile())).toBe(1);
  expect(filesOfFormats()).toEqual([]);
});

test("a log that was moved away is neither raised nor copied", async () => {
  const log = await olderLog();
  await log.setSeal({ movedTo: "the other house", incarnation: "other", isDone: true });
  expect((await errorOf(log.raiseFormat())).code).toBe("moved");
  expect(formatOf(logFile())).toBe(1);
  expect(existsSync(keptFile())).toBe(false);
});

test("a log of a newer format is refused, with its number, and stays as it is", async () => {
  await olderLog();
  setFormat(3);
  expect(() => open()).toThrow(/has format 3, this program reads up to 2: use the program that/);
  expect(formatOf(logFile())).toBe(3);
});
