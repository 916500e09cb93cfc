/**
 * Writing records as rows of the log's file; reader.ts reads them.
 *
 *   record ──catalog: offset, sequence──> row with a checksum that binds it to its place
 */

import type { Database, Statement } from "bun:sqlite";
import { LogError, MAX_RECORD_BYTES, type NewRecord } from "../event-log.ts";
import { recordChecksum } from "../record-checksum.ts";
import type { Catalog, PartitionRef } from "./catalog.ts";
import { encodeHeaders, storedChecksum } from "./record-frame.ts";

/** The row's own columns, about. */
const ROW_BYTES = 64;

export class RecordRows {
  private readonly statement: Statement;

  constructor(
    private readonly options: {
      readonly database: Database;
      readonly catalog: Catalog;
      /** Unix milliseconds, for the timestamp. */
      readonly nowMs: () => number;
    },
  ) {
    const { database } = options;
    this.statement = database.prepare("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
  }

  /** In a transaction: writes one record and returns its offset. */
  insert(ref: PartitionRef, record: Omit<NewRecord, "topic" | "partition">): number {
    const { catalog, nowMs } = this.options;
    const { offset, sequence } = catalog.reserve(ref);
    const { key, value, headers = [], notBeforeMs = 0 } = record;
    const timestampMs = Math.max(nowMs(), notBeforeMs);
    const place = { partitionId: ref.id, offset, sequence, timestampMs };
    const checksum = storedChecksum(recordChecksum({ key, value, headers }), place);
    const stored = encodeHeaders(headers);
    this.statement.run(ref.id, offset, sequence, timestampMs, key, value, stored, checksum);
    return offset;
  }

  close(): void {
    this.statement.finalize();
  }
}

/** What a record takes in the writer's queue. Throws `record_too_large`. */
export function recordBytes(record: NewRecord): number {
  let bytes = record.key.length + (record.value?.length ?? 0);
  for (const [name, value] of record.headers ?? []) bytes += name.length + value.length + 6;
  if (bytes > MAX_RECORD_BYTES) {
    throw new LogError(
      "record_too_large",
      `a record of ${bytes} bytes for ${record.topic} is over the limit of ${MAX_RECORD_BYTES}`,
    );
  }
  return bytes + ROW_BYTES;
}
