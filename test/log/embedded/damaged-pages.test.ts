import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backUpLog } from "../../../src/log/embedded/backup.ts";
import { type EmbeddedLog, openEmbeddedLog } from "../../../src/log/embedded/embedded-log.ts";
import { integrityProblems } from "../../../src/log/embedded/integrity.ts";
import { Reader } from "../../../src/log/embedded/reader.ts";
import { LogError, type LogRecord } from "../../../src/log/event-log.ts";
import { errorOf, until } from "../../conformance/fixture.ts";
import { Member } from "../../conformance/member.ts";

/** SQLite's messages name no file: whatever of the log is damaged, what a caller hears does. */

const PAGE_BYTES = 4_096;
/** Of page 1, in front of the schema: SQLite's own header, by which it is a database. */
const HEADER_BYTES = 100;
/** In it, u32: a page's number, and how many there are. */
const FIRST_FREE_PAGE_AT = 32;
const FREE_PAGES_AT = 36;
const RECORDS = 40;
const TEST_MS = 60_000;

/** Instead of a wait for what could not be appended. */
const NOTHING: readonly LogRecord[] = [];

let whole: string;
let folder: string;
const path = () => join(folder, "log.db");

beforeAll(async () => {
  whole = mkdtempSync(join(tmpdir(), "damaged-pages-"));
  const log = openEmbeddedLog({ folder: whole, create: true, nowMs: () => 1 });
  await log.ensureTopics([
    { name: "a", partitions: 2, cleanup: "keep", retentionMs: null },
    { name: "emptied", partitions: 1, cleanup: "keep", retentionMs: 1 },
  ]);
  const key = Buffer.from("k");
  const value = Buffer.alloc(900, 65);
  for (const [topic, partition] of [["a", 0], ["a", 1], ["emptied", 0]] as const) {
    const records = Array.from({ length: RECORDS }, () => ({ topic, partition, key, value }));
    await log.append(records);
  }
  await log.setMeta("small", "value");
  const member = new Member(log, { group: "g", topics: ["a"] });
  const claim = await member.claim();
  const records = await claim.read(RECORDS);
  const last = records.at(-1);
  if (last === undefined) throw new Error("no record");
  const { offset, checksum } = last;
  const inputs = [{ topic: "a", nextOffset: offset + 1n, checksum }];
  await claim.commit({ inputs, outputs: [], changelog: [] });
  await member.leave();
  await log.close();
  const later = openEmbeddedLog({ folder: whole, create: false, nowMs: () => 10_000 });
  expect(await later.clean()).toBeGreaterThan(0); // so that there is a freelist
  await later.close();
});
afterAll(() => rmSync(whole, { recursive: true }));

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "damaged-pages-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function expectNamed(what: string, error: unknown): void {
  const { code, message } = error as LogError;
  expect([what, message]).toEqual([what, expect.stringContaining(path())]);
  expect(message).toMatch(/backup|check the disk|try again later/);
  expect([what, error instanceof LogError, code]).toEqual([what, true, expect.any(String)]);
}

/** All that a program does with a log: what each said, where it did not go well. */
async function useAll(): Promise<string[]> {
  const failed: string[] = [];
  const tryIt = async (what: string, run: () => unknown) => {
    try {
      await run();
    } catch (error) {
      expectNamed(what, error);
      failed.push(what);
    }
  };
  await tryIt("back up", () => {
    backUpLog({ folder, file: join(folder, "a.backup") });
    rmSync(join(folder, "a.backup"));
  });
  for (const problem of integrityProblems(folder)) expect(problem).toContain(path());
  await tryIt("open", async () => {
    const log = openEmbeddedLog({ folder, create: true, nowMs: () => 20_000 });
    try {
      await useOpen(log, tryIt);
    } finally {
      await log.close();
    }
  });
  return failed;
}

async function useOpen(
  log: EmbeddedLog,
  tryIt: (what: string, run: () => unknown) => Promise<void>,
): Promise<void> {
  const key = Buffer.from("k");
  const value = Buffer.alloc(900, 66);
  const records = Array.from({ length: 20 }, () => ({ topic: "a", partition: 0, key, value }));
  await tryIt("topics", () => log.topics());
  await tryIt("declare", () =>
    log.ensureTopics([{ name: "new", partitions: 1, cleanup: "keep", retentionMs: null }]),
  );
  await tryIt("append", () => log.append(records));
  await tryIt("bounds", () => log.bounds("a", 1));
  await tryIt("progress", () => log.progress("g", 0));
  await tryIt("owners", () => log.owners("g"));
  await tryIt("users", () => log.otherUsers());
  await tryIt("meta", () => log.meta("small"));
  await tryIt("all meta", () => log.allMeta());
  await tryIt("set meta", () => log.setMeta("small", "other"));
  await tryIt("seal", () => log.seal);
  await tryIt("clean", () => log.clean());
  for (const partition of [0, 1]) {
    await tryIt("read", async () => {
      const { end } = await log.bounds("a", partition);
      for await (const _ of log.read({ topic: "a", partition, from: 0n, until: end }));
    });
  }
  await tryIt("process", async () => {
    const member = new Member(log, { group: "g", topics: ["a"] });
    try {
      const claim = await member.claim();
      const [record] = await Promise.race([claim.read(1), NOTHING]);
      if (record === undefined) return;
      const inputs = [{ topic: "a", nextOffset: record.offset + 1n, checksum: record.checksum }];
      await claim.commit({ inputs, outputs: [], changelog: [] });
    } finally {
      await member.leave().catch(() => {}); // it was heard of above
    }
  });
}

/** Each page in turn; of the first, what is behind SQLite's header. */
function* damages(fill: (bytes: Buffer) => void): Generator<readonly [number, Buffer]> {
  const bytes = readFileSync(join(whole, "log.db"));
  for (let page = 0; page * PAGE_BYTES < bytes.length; page += 1) {
    const damaged = Buffer.from(bytes);
    const start = page === 0 ? HEADER_BYTES : page * PAGE_BYTES;
    fill(damaged.subarray(start, (page + 1) * PAGE_BYTES));
    yield [page, damaged];
  }
}

describe("a log of which one page", () => {
  test.each<[string, (bytes: Buffer) => void]>([
    ["is overwritten", (bytes) => bytes.fill(0xee)],
    ["is zeros", (bytes) => bytes.fill(0)],
    ["has its head changed", (bytes) => bytes.fill(0xff, 1, 9)],
  ])("%s names its file, whatever is done with it", async (_, fill) => {
    for (const [page, damaged] of damages(fill)) {
      writeFileSync(path(), damaged);
      const failed = await useAll();
      if (page === 0) expect(failed).toContain("open");
      for (const ending of ["", "-wal", "-shm"]) rmSync(path() + ending, { force: true });
      rmSync(join(folder, "bell"), { force: true });
    }
  }, TEST_MS);
});

test("says what went wrong in a merge that the disk has ended", () => {
  copyFileSync(join(whole, "log.db"), path());
  using database = new Database(path());
  const reader = new Reader(database);
  reader.page = () => {
    database.exec("ROLLBACK"); // as SQLite does when it cannot read
    throw new Error("read failed");
  };
  const at = { id: 1, topic: "a", startOffset: 0, nextOffset: 1 };
  const cursors = [0, 1].map((partition) => ({ ref: { ...at, partition }, next: 0 }));
  expect(() => reader.merge(cursors, { untils: [1, 1], maxRecords: 1 })).toThrow("read failed");
  reader.close();
});

test("a log of which the list of free pages is damaged names its file to who writes", async () => {
  const bytes = readFileSync(join(whole, "log.db"));
  expect(bytes.readUInt32BE(FREE_PAGES_AT)).toBeGreaterThan(0);
  bytes.writeUInt32BE(0xffff, FIRST_FREE_PAGE_AT);
  writeFileSync(path(), bytes);
  expect(await useAll()).toContain("append");
});

describe("a log that is damaged while it is open", () => {
  /** By another process: closing the file in this one would drop SQLite's locks on it. */
  function overwriteRoot(table: string): void {
    using other = new Database(path());
    other.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    const sql = "SELECT rootpage AS page FROM sqlite_schema WHERE name = ?";
    const { page } = other.query(sql).get(table) as { page: number };
    const place = ["bs=1", `seek=${(page - 1) * PAGE_BYTES}`, "conv=notrunc", `of=${path()}`];
    const stdin = Buffer.alloc(PAGE_BYTES, 0xee);
    const { exitCode } = Bun.spawnSync(["dd", ...place], { stdin, stderr: "ignore" });
    expect(exitCode).toBe(0);
    other.exec("UPDATE sequence SET next = next"); // caches are dropped
  }

  test("says so to whoever asks, waits or writes, and ends no program", async () => {
    copyFileSync(join(whole, "log.db"), path());
    const log = openEmbeddedLog({ folder, create: false, nowMs: () => 1 });
    try {
      const key = Buffer.from("k");
      const append = () => log.append([{ topic: "a", partition: 0, key, value: key }]);
      await append();
      overwriteRoot("partitions");
      await until("told", () => log.problem?.includes(path()) ?? false);
      for (const run of [append, () => log.bounds("a", 0)]) {
        const error = await errorOf(run());
        expectNamed("open", error);
        expect(error.code).toBe("corrupt");
      }
    } finally {
      await log.close();
    }
  });

  test("tells of it as its problem where whether it was moved cannot be read", async () => {
    copyFileSync(join(whole, "log.db"), path());
    const log = openEmbeddedLog({ folder, create: false, nowMs: () => 1 });
    try {
      expect(log.problem).toBeNull();
      overwriteRoot("meta");
      expect(log.problem).toContain(path());
    } finally {
      await log.close();
    }
  });
});
