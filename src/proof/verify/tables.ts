/**
 * Where a verification gets a table from: the owner's own file where that is at hand, else the
 * group's changelog.
 *
 *   store's file ──snapshot──────────────────────────────┐
 *   changelog up to a progress ──newest of each key──────┴──> rows by stored key, and their place
 */

import { Database } from "bun:sqlite";
import type { Progress } from "../../log/event-log.ts";
import type { StoredRow } from "../../stream/store.ts";
import { goodRecords, type Reading } from "./reading.ts";
import { attachScratch } from "./scratch.ts";

/** One partition of a table, at one moment. */
export interface TableState {
  /** Up to where its rows are folded; null while nothing is. */
  readonly progress: Progress | null;
  /** By stored key. */
  rows(): Iterable<StoredRow>;
  /** What SQLite finds wrong with the file. */
  problems(): readonly string[];
  close(): void;
}

/** What stands in the changelog as of a progress of its group. */
export async function changelogTable(
  reading: Reading,
  place: { readonly topic: string; readonly partition: number; readonly start: bigint },
  progress: Progress | null,
): Promise<TableState> {
  const database = new Database(":memory:");
  attachScratch(database);
  database.exec("CREATE TABLE scratch.rows (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID");
  const put = database.prepare("INSERT OR REPLACE INTO scratch.rows VALUES (?, ?)");
  const remove = database.prepare("DELETE FROM scratch.rows WHERE key = ?");
  const { topic, partition, start: from } = place;
  const until = (progress?.changelogOffset ?? -1n) + 1n;
  for await (const records of goodRecords(reading, { topic, partition, from, until })) {
    database.transaction(() => {
      for (const { key, value } of records) {
        if (value === null) remove.run(key);
        else put.run(key, value);
      }
    })();
  }
  put.finalize();
  remove.finalize();
  return {
    progress,
    *rows() {
      const all = database.prepare("SELECT key, value FROM scratch.rows ORDER BY key");
      try {
        yield* all.iterate() as IterableIterator<StoredRow>;
      } finally {
        all.finalize();
      }
    },
    problems: () => [],
    close: () => database.close(),
  };
}
