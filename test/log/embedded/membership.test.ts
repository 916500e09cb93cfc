import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EmbeddedLog, openEmbeddedLog } from "../../../src/log/embedded/embedded-log.ts";
import { logPath } from "../../../src/log/embedded/schema.ts";
import { errorOf } from "../../conformance/fixture.ts";
import { Member } from "../../conformance/member.ts";

const TOPIC = "events";
let folder = "";
let log: EmbeddedLog;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "membership-"));
  log = openEmbeddedLog({ folder, create: true, nowMs: Date.now });
  await log.ensureTopics([{ name: TOPIC, partitions: 1, cleanup: "keep", retentionMs: null }]);
});
afterEach(async () => {
  await log.close();
  rmSync(folder, { recursive: true });
});

/** As damage to the file, or a hand in it, would. */
function rename(table: string, name: string): void {
  const other = new Database(logPath(folder));
  other.exec(`PRAGMA busy_timeout = 2000; ALTER TABLE ${table} RENAME TO ${name}`);
  other.close();
}

function rowsOf(table: string): unknown[] {
  const other = new Database(logPath(folder));
  const rows = other.query(`SELECT * FROM ${table}`).all();
  other.close();
  return rows;
}

describe("members that cannot be read", () => {
  for (const table of ["members", "memberships", "claims"]) {
    test(`end memberships with an error of the log, and not the program: ${table}`, async () => {
      const members = ["one", "two"].map((group) => new Member(log, { group, topics: [TOPIC] }));
      for (const member of members) await member.holds(0);
      rename(table, "elsewhere");
      for (const member of members) {
        const error = await errorOf(member.ended());
        expect(error.code).toBe("unavailable");
        expect(error.message).toContain(`cannot be read in ${logPath(folder)} (no such table: `);
        expect(member.held).toEqual([]);
      }
      rename("elsewhere", table);
      const again = new Member(log, { group: "one", topics: [TOPIC] });
      await again.holds(0);
      await again.leave();
    });
  }
});

test("who has left every group is written down no more, whatever was being written", async () => {
  const member = new Member(log, { group: "one", topics: [TOPIC] });
  const claim = await member.claim();
  await claim.release(); // and at once it is about to take it again
  await member.leave();
  await log.ensureTopics([]); // behind all that it has left to be written
  await log.ensureTopics([]);
  expect(rowsOf("members")).toEqual([]);
});
