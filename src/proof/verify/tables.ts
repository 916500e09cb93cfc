/**
 * Where a verification gets a table from: the owner's own file where that is at hand, else the
 * group's changelog.
 *
 *   store's file ──snapshot───────────────────────────────┐
 *   changelog up to a progress ──sorted, newest of a key──┴──> rows by stored key, and their place
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

interface ChangedRow {
  readonly key: Uint8Array;
  /** Null: deleted. */
  readonly value: Uint8Array | null;
}

/** What stands in the changelog as of a progress of its group. */
export async function changelogTable(
  reading: Reading,
  place: { readonly topic: string; readonly partition: number; readonly start: bigint },
  progress: Progress | null,
): Promise<TableState> {
  const database = new Database(":memory:");
  attachScratch(database);
  database.exec("CREATE TABLE scratch.changes (key BLOB, value BLOB)");
  const put = database.prepare("INSERT INTO scratch.changes VALUES (?, ?)");
  const { topic, partition, start: from } = place;
  const until = (progress?.changelogOffset ?? -1n) + 1n;
  for await (const records of goodRecords(reading, { topic, partition, from, until })) {
    database.transaction(() => {
      for (const { key, value } of records) put.run(key, value);
    })();
  }
  put.finalize();
  return {
    progress,
    *rows() {
      const sql = "SELECT key, value FROM scratch.changes ORDER BY key, rowid";
      const changes = database.prepare(sql);
      try {
        yield* newestOfEach(changes.iterate() as IterableIterator<ChangedRow>);
      } finally {
        changes.finalize();
      }
    },
    problems: () => [],
    close: () => database.close(),
  };
}

/** Of a key's changes, which stand together in order, the last; none where it is a deletion. */
function* newestOfEach(changes: Iterable<ChangedRow>): Generator<StoredRow> {
  let newest: ChangedRow | null = null;
  for (const change of changes) {
    if (newest !== null && Buffer.compare(newest.key, change.key) !== 0) yield* standing(newest);
    newest = change;
  }
  if (newest !== null) yield* standing(newest);
}

function* standing({ key, value }: ChangedRow): Generator<StoredRow> {
  if (value !== null) yield { key, value };
}
