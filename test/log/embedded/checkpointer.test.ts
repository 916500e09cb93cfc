import { Database, SQLiteError } from "bun:sqlite";
import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import { mkdtempSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEmbeddedLog } from "../../../src/log/embedded/embedded-log.ts";
import { logPath } from "../../../src/log/embedded/schema.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "checkpointer-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** More than one look at the WAL takes. */
const APPENDS = 100;
const LARGE_BYTES = 20 * 1024 * 1024;

test("answers what was committed though the WAL cannot be moved", async () => {
  const log = openEmbeddedLog({ folder, create: true, nowMs: () => 0 });
  await log.ensureTopics([{ name: "t", partitions: 1, cleanup: "keep", retentionMs: null }]);
  truncateSync(`${logPath(folder)}-wal`, LARGE_BYTES);
  let checkpoints = 0;
  const query = Database.prototype.query;
  const spy = spyOn(Database.prototype, "query").mockImplementation(function (
    this: Database,
    sql: string,
  ) {
    if (!sql.includes("wal_checkpoint")) return query.call(this, sql);
    checkpoints += 1;
    throw Object.assign(Object.create(SQLiteError.prototype), { code: "SQLITE_FULL" });
  } as typeof query);
  try {
    const record = { topic: "t", partition: 0, key: Buffer.from("a"), value: Buffer.from("1") };
    for (let n = 0; n < APPENDS; n++) expect(await log.append([record])).toEqual([BigInt(n)]);
    expect(checkpoints).toBeGreaterThan(1);
  } finally {
    spy.mockRestore();
    await log.close();
  }
});
