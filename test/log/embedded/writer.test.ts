import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { copyFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Writer } from "../../../src/log/embedded/writer.ts";
import { LogError } from "../../../src/log/event-log.ts";
import { errorOf } from "../../conformance/fixture.ts";
import { temporaryFolder } from "../../end-to-end/program.ts";
import { SmallDisk, whyUnmountable } from "../../end-to-end/small-disk.ts";

/** What one page of the WAL's index tells of, and how large each is. */
const FIRST_INDEX_FRAMES = 4_062;
const INDEX_PAGE_BYTES = 32_768;
const WAL_HEADER_BYTES = 32;
const FRAME_BYTES = 4_096 + 24;

const unmountable = whyUnmountable();

function writerTo(database: Database): Writer {
  const nothing = () => {};
  return new Writer({
    database,
    afterBegin: nothing,
    beforeCommit: nothing,
    afterRollback: nothing,
    sync: nothing,
    afterCommit: nothing,
    monotonicMs: () => 0,
    step: nothing,
  });
}

test("what is written together is refused together once the disk has ended it", async () => {
  using database = new Database(":memory:");
  database.exec("CREATE TABLE rows (number INTEGER)");
  const writer = writerTo(database);
  const insert = (number: number) =>
    writer.enqueue({
      bytes: 1,
      run: () => database.query("INSERT INTO rows VALUES (?)").run(number),
    });
  const fail = () => {
    database.exec("ROLLBACK"); // as SQLite does when it cannot read
    throw new LogError("unavailable", "it cannot be read");
  };
  const all = [insert(1), writer.enqueue({ bytes: 1, run: fail }), insert(2)];
  const errors = await Promise.all(all.map(errorOf));
  expect(errors.map(({ code }) => code)).toEqual(all.map(() => "unavailable"));
  expect(database.query("SELECT number FROM rows").values()).toEqual([]);
  expect(writer.problem).toBeNull();
  await insert(3);
  expect(database.query("SELECT number FROM rows").values()).toEqual([[3]]);
  await writer.close();
});

/** What is found by whoever opens it next, should everyone end at this moment. */
function countAfterCrash(path: string): unknown {
  using folder = temporaryFolder();
  const copy = join(folder.path, "log.db");
  for (const end of ["", "-wal"]) copyFileSync(path + end, copy + end);
  using database = new Database(copy);
  return database.query("SELECT next FROM sequence").values()[0]?.[0];
}

const GROWS = "a disk without room for the WAL's index leaves the outcome open, and all goes on";
const title = unmountable === null ? GROWS : `${GROWS} (skipped: ${unmountable})`;
// Skipped: where no file system may be mounted.
test.skipIf(unmountable !== null)(title, async () => {
  using disk = new SmallDisk(temporaryFolder(), 24);
  const path = join(disk.path, "log.db");
  using database = new Database(path);
  database.exec("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0");
  database.exec("CREATE TABLE sequence (next INTEGER); INSERT INTO sequence VALUES (0)");
  const count = () => database.query("SELECT next FROM sequence").values()[0]?.[0] as number;
  const add = () => database.exec("UPDATE sequence SET next = next + 1");
  const frames = () => (statSync(`${path}-wal`).size - WAL_HEADER_BYTES) / FRAME_BYTES;
  while (frames() < FIRST_INDEX_FRAMES) add();
  const before = count();
  const writer = writerTo(database);
  const write = () => writer.enqueue({ bytes: 1, run: add });
  disk.fill();
  disk.leave(INDEX_PAGE_BYTES - 4_096); // a frame has room, a page of the index has not
  const { code, message } = await errorOf(write());
  expect([code, message]).toEqual(["outcome_unknown", expect.stringContaining("disk is full")]);
  expect(frames()).toBe(FIRST_INDEX_FRAMES + 1); // the frame is there
  expect(countAfterCrash(path)).toBe(before + 1);
  expect([count(), writer.problem]).toEqual([before, message]);
  expect((await errorOf(write())).code).toBe("outcome_unknown"); // still
  disk.empty();
  await write();
  expect(countAfterCrash(path)).toBe(before + 1);
  expect([count(), frames()]).toEqual([before + 1, FIRST_INDEX_FRAMES + 1]); // and was replaced
  expect(writer.problem).toBeNull();
  await writer.close();
});
