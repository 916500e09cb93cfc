/**
 * Compaction and retention. A compacted topic keeps the newest record of each key and, for the
 * retention time, its tombstones; a kept topic with a retention time loses its oldest records.
 * The newest record of a partition always stays, so that its place is never forgotten.
 *
 * After Kafka's log cleaner: an offset map of the part not cleaned yet, then a pass over the rest.
 */

import type { Database } from "bun:sqlite";
import type { TopicSpec } from "../event-log.ts";
import type { Catalog, PartitionRef } from "./catalog.ts";

/** Keys in one offset map, and so the memory of one run: the next run goes on behind it. */
const MAX_KEYS = 200_000;
const PAGE_RECORDS = 2_048;

/** In a write transaction. Returns how many records went. */
export function clean(database: Database, catalog: Catalog, nowMs: number): number {
  catalog.refresh();
  let removed = 0;
  for (const { spec, refs } of catalog.cleanable()) {
    for (const ref of refs) {
      removed += spec.cleanup === "compact"
        ? compact(database, ref, spec, nowMs)
        : expire(database, ref, spec, nowMs);
    }
  }
  return removed;
}

interface Place {
  readonly offset: number;
  readonly key: Uint8Array;
  readonly isTombstone: number;
  readonly timestamp_ms: number;
}

function compact(database: Database, ref: PartitionRef, spec: TopicSpec, nowMs: number): number {
  const cleaned = (
    database.query("SELECT cleaned_offset FROM partitions WHERE id = ?").get(ref.id) as {
      cleaned_offset: number;
    }
  ).cleaned_offset;
  const last = new Map<string, number>();
  let until = cleaned;
  for (const place of places(database, ref.id, cleaned)) {
    if (last.size >= MAX_KEYS) break;
    last.set(Buffer.from(place.key).toString("latin1"), place.offset);
    until = place.offset + 1;
  }
  const expiredMs = spec.retentionMs === null ? Number.NEGATIVE_INFINITY : nowMs - spec.retentionMs;
  const remove = database.query("DELETE FROM records WHERE partition_id = ? AND offset = ?");
  let removed = 0;
  for (const place of places(database, ref.id, 0)) {
    if (place.offset >= until) break;
    const newest = last.get(Buffer.from(place.key).toString("latin1")) ?? place.offset;
    const isOldTombstone = place.isTombstone === 1 && place.timestamp_ms < expiredMs;
    if (place.offset === newest && !isOldTombstone) continue;
    if (place.offset === ref.nextOffset - 1) continue;
    remove.run(ref.id, place.offset);
    removed += 1;
  }
  database.query("UPDATE partitions SET cleaned_offset = ? WHERE id = ?").run(until, ref.id);
  return removed;
}

function expire(database: Database, ref: PartitionRef, spec: TopicSpec, nowMs: number): number {
  let first = ref.startOffset;
  const expiredMs = nowMs - (spec.retentionMs ?? 0);
  for (const place of places(database, ref.id, ref.startOffset)) {
    if (place.timestamp_ms >= expiredMs || place.offset >= ref.nextOffset - 1) break;
    first = place.offset + 1;
  }
  database.query("UPDATE partitions SET start_offset = ? WHERE id = ?").run(first, ref.id);
  ref.startOffset = first;
  return database
    .query("DELETE FROM records WHERE partition_id = ? AND offset < ?")
    .run(ref.id, first).changes;
}

function* places(database: Database, partitionId: number, from: number): Generator<Place> {
  const page = database.query(
    "SELECT offset, key, value IS NULL AS isTombstone, timestamp_ms FROM records " +
      "WHERE partition_id = ? AND offset >= ? ORDER BY offset LIMIT ?",
  );
  for (let next = from; ; ) {
    const rows = page.all(partitionId, next, PAGE_RECORDS) as Place[];
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined) return;
    next = last.offset + 1;
  }
}
