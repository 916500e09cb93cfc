/**
 * Which changelog a store was built from. Where a group was started anew its changelog is another
 * one, of the same name and soon as long, and a store that lies about on some machine is not of it.
 *
 *   first commit of all ──id row, first in the changelog──> every store
 *   store opened ──its id row, the changelog's first record──> the same, or built anew
 *
 * The id is the time of that commit. Its row is never written again, so that compaction keeps it
 * and it stays the first. Comparing the record at the store's offset instead was rejected: two
 * changelogs of the same inputs may have the same row at the same offset and not the same table.
 */

import type { EventLog, LogRecord, Progress } from "../log/event-log.ts";
import { isSamePlace } from "../log/progress-text.ts";
import { tableName } from "./group.ts";
import { ID_TAG, keyPrefix, rowKey, toBytes } from "./row-key.ts";
import type { Store } from "./store.ts";
import type { TaskRows } from "./task-rows.ts";

const encoder = new TextEncoder();
/** Of no record's key, and shorter than the sub-keys of ids. */
const ROW_KEY = rowKey(keyPrefix(new Uint8Array()), ID_TAG, encoder.encode("changelog"));

/** Before the first commit of a group in a partition. */
export function nameChangelog(rows: TaskRows, nowMs: number): void {
  rows.setOnce(ROW_KEY, encoder.encode(String(nowMs)));
}

export interface StorePlace {
  readonly log: Pick<EventLog, "bounds" | "read">;
  readonly group: string;
  readonly partition: number;
  readonly store: Store;
  readonly epoch: number;
  /** What the group has committed. */
  readonly to: Progress | null;
}

/** Empties a store of another changelog, whoever owned it there. True when it did. */
export async function resetIfOfAnother(place: StorePlace): Promise<boolean> {
  if (!(await isOfAnother(place))) return false;
  place.store.reset(place.epoch, { ofAnyEpoch: true });
  return true;
}

async function isOfAnother({ log, group, partition, store, to }: StorePlace): Promise<boolean> {
  const from = store.progress();
  if (from === null) return false;
  if (to === null) return true; // nothing was done here, so its rows come from elsewhere
  if (isSamePlace(from, to)) return false;
  const first = await firstRow(log, { topic: tableName({ name: group }), partition, to });
  if (first === null || !toBytes(ROW_KEY).equals(first.key)) return false; // begun without one
  const own = store.get(ROW_KEY);
  return own === null || !Buffer.from(own).equals(first.value ?? new Uint8Array());
}

async function firstRow(
  log: StorePlace["log"],
  { topic, partition, to }: { topic: string; partition: number; to: Progress },
): Promise<LogRecord | null> {
  if (to.changelogOffset === null) return null;
  const { start: from } = await log.bounds(topic, partition);
  const until = to.changelogOffset + 1n;
  for await (const [first] of log.read({ topic, partition, from, until, maxRecords: 1 })) {
    return first ?? null;
  }
  return null;
}
