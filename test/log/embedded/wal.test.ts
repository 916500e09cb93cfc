import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEmbeddedLog } from "../../../src/log/embedded/embedded-log.ts";
import { openWal, type Wal } from "../../../src/log/embedded/wal.ts";
import { Writer } from "../../../src/log/embedded/writer.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "wal-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A writer of numbers that tells in which order things happen. */
function newWriter(sync: () => void = () => {}) {
  const database = new Database(":memory:");
  database.exec("CREATE TABLE numbers (value INTEGER)");
  const happened: string[] = [];
  const writer = new Writer({
    database,
    sync: () => {
      happened.push(database.inTransaction ? "synced too early" : "synced");
      sync();
    },
    afterBegin: () => {},
    beforeCommit: () => happened.push("commit"),
    afterRollback: () => {},
    afterCommit: () => happened.push("told"),
    monotonicMs: () => performance.now(),
    step: () => {},
  });
  const write = (value: number) =>
    writer.enqueue({
      bytes: 8,
      run: () => database.query("INSERT INTO numbers VALUES (?)").run(value),
    });
  return { writer, write, happened };
}

test("syncs a group at once, after its commit and before it is answered or told", async () => {
  const { writer, write, happened } = newWriter();
  const answered = () => happened.push("answered");
  await Promise.all([write(1).then(answered), write(2).then(answered)]);
  await writer.close();
  expect(happened).toEqual(["commit", "synced", "told", "answered", "answered"]);
});

test("says that the outcome is unknown when the disk fails, and writes no more", async () => {
  const { writer, write, happened } = newWriter(() => {
    throw Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO" });
  });
  const codeOf = (writing: Promise<unknown>) => writing.catch(({ code }) => code);
  expect(await Promise.all([codeOf(write(1)), codeOf(write(2))])).toEqual([
    "outcome_unknown",
    "outcome_unknown",
  ]);
  expect(await codeOf(write(3))).toBe("unavailable");
  expect(writer.problem).toContain("the disk failed");
  expect(happened).toEqual(["commit", "synced"]);
  await writer.close();
});

test("the log's appends are synced", async () => {
  const log = openEmbeddedLog({ folder, create: true, nowMs: () => 0 });
  await log.ensureTopics([{ name: "t", partitions: 1, cleanup: "keep", retentionMs: null }]);
  const { file } = log as unknown as { readonly file: { readonly wal: Wal } };
  const sync = spyOn(file.wal, "sync");
  await log.append([{ topic: "t", partition: 0, key: new Uint8Array(1), value: null }]);
  expect(sync).toHaveBeenCalledTimes(1);
  await log.close();
});

/** POSIX locks of this process, as the kernel has them. */
function ownLocks(): string[] {
  const lines = readFileSync("/proc/locks", "latin1").split("\n");
  const own = lines.filter((line) => line.includes(` ${process.pid} `));
  return own.map((line) => line.replace(/^\d+: /, ""));
}

// Skipped: only Linux lists its locks.
test.skipIf(!existsSync("/proc/locks"))("drops no lock of SQLite's when it is closed", async () => {
  const log = openEmbeddedLog({ folder, create: true, nowMs: () => 0 });
  const before = ownLocks();
  expect(before.length).toBeGreaterThan(0);
  const wal = openWal(folder);
  wal.sync();
  wal.close();
  expect(ownLocks()).toEqual(before);
  await log.close();
});
