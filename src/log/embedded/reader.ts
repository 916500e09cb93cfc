/**
 * Reading the embedded log: bounded pages of one partition, or of several inputs of one partition
 * merged into the order in which the log took them (its sequence).
 *
 * Pages are read whole with `.all()`: a half-read cursor would pin the WAL.
 */

import type { Database, Statement } from "bun:sqlite";
import { LogError, type LogRecord } from "../event-log.ts";
import { recordChecksum } from "../record-checksum.ts";
import type { PartitionRef } from "./catalog.ts";
import { FROM_BACKUP, isDamage, readFault, reading, recordFault } from "./log-fault.ts";
import { decodeHeaders, storedChecksum } from "./record-frame.ts";

export const DEFAULT_MAX_RECORDS = 2_048;
/** One page's bytes, about: beyond it the next page of that partition asks for fewer records. */
const PAGE_BYTES = 4 * 1024 * 1024;
/** Assumed of a partition not read yet, so that its first page is small even of large records. */
const FIRST_RECORD_BYTES = 64 * 1024;

interface RecordRow {
  readonly offset: number;
  readonly sequence: number;
  readonly timestamp_ms: number;
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
  readonly headers: Uint8Array | null;
  readonly checksum: number;
}

/** A record with its place in the whole log. */
export interface SequencedRecord extends LogRecord {
  readonly sequence: number;
}

interface Range {
  readonly from: number;
  readonly until: number;
}

/** Where one input of a merge goes on. */
export interface Cursor {
  readonly ref: PartitionRef;
  next: number;
}

export class Reader {
  private readonly select: Statement;
  private readonly recordBytes = new Map<number, number>();

  constructor(private readonly database: Database) {
    this.select = database.prepare(
      "SELECT offset, sequence, timestamp_ms, key, value, headers, checksum FROM records " +
        "WHERE partition_id = ? AND offset >= ? AND offset < ? ORDER BY offset LIMIT ?",
    );
  }

  /** Records in [from, until), in order; fewer than `maxRecords` does not mean the end. */
  page(ref: PartitionRef, range: { from: number; until: number; maxRecords: number }) {
    const expectedBytes = this.recordBytes.get(ref.id) ?? FIRST_RECORD_BYTES;
    const limit = Math.max(1, Math.min(range.maxRecords, Math.floor(PAGE_BYTES / expectedBytes)));
    const rows = this.rows(ref, range, limit);
    const records: SequencedRecord[] = [];
    let bytes = 0;
    for (const row of rows) {
      bytes += row.key.length + (row.value?.length ?? 0) + (row.headers?.length ?? 0);
      records.push(this.toRecord(ref, row));
    }
    if (rows.length > 0) this.recordBytes.set(ref.id, Math.max(1, bytes / rows.length));
    return { records, isFull: rows.length === limit };
  }

  /**
   * The next records of all cursors in the log's order; moves the cursors. Exact, because both
   * pages come from one snapshot and a full page ends the merge where it ends.
   */
  merge(cursors: readonly Cursor[], range: { untils: readonly number[]; maxRecords: number }) {
    const only = cursors.length === 1 ? cursors[0] : undefined;
    let merged: SequencedRecord[];
    if (only !== undefined) {
      const until = range.untils[0] as number;
      merged = this.page(only.ref, { from: only.next, until, ...range }).records;
    } else {
      merged = this.mergePages(cursors, range);
    }
    for (const record of merged) {
      for (const cursor of cursors) {
        if (cursor.ref.topic === record.topic) cursor.next = Number(record.offset) + 1;
      }
    }
    return merged;
  }

  /** The checksum of the record at an offset; null when none is there. */
  checksumAt(ref: PartitionRef, offset: number): number | null {
    const range = { from: offset, until: offset + 1, maxRecords: 1 };
    return this.page(ref, range).records[0]?.checksum ?? null;
  }

  close(): void {
    this.select.finalize();
  }

  private mergePages(
    cursors: readonly Cursor[],
    range: { untils: readonly number[]; maxRecords: number },
  ): SequencedRecord[] {
    reading(this.database, () => this.database.exec("BEGIN")); // one snapshot
    try {
      let lastSequence = Number.POSITIVE_INFINITY;
      const all: SequencedRecord[] = [];
      cursors.forEach(({ ref, next }, index) => {
        const until = range.untils[index] as number;
        const { records, isFull } = this.page(ref, { from: next, until, ...range });
        const last = records.at(-1);
        if (isFull && last !== undefined) lastSequence = Math.min(lastSequence, last.sequence);
        all.push(...records);
      });
      return all
        .filter(({ sequence }) => sequence <= lastSequence)
        .sort((a, b) => a.sequence - b.sequence)
        .slice(0, range.maxRecords);
    } finally {
      // A disk that fails ends it by itself.
      if (this.database.inTransaction) this.database.exec("COMMIT");
    }
  }

  private rows(ref: PartitionRef, { from, until }: Range, limit: number): RecordRow[] {
    try {
      return this.select.all(ref.id, from, until, limit) as RecordRow[];
    } catch (error) {
      if (!isDamage(error)) throw readFault(this.database.filename, error);
      throw new LogError(
        "corrupt",
        `${this.database.filename}: a page with records of ${ref.topic} partition ` +
          `${ref.partition} from offset ${from} on is damaged (${error.message}): ${FROM_BACKUP}`,
        { cause: error },
      );
    }
  }

  /** Throws `corrupt`. */
  private toRecord(ref: PartitionRef, row: RecordRow): SequencedRecord {
    const headers = this.headersOf(ref, row);
    const checksum = recordChecksum({ key: row.key, value: row.value, headers });
    const place = {
      partitionId: ref.id,
      offset: row.offset,
      sequence: row.sequence,
      timestampMs: row.timestamp_ms,
    };
    if (storedChecksum(checksum, place) !== row.checksum) throw this.damaged(ref, row);
    return {
      topic: ref.topic,
      partition: ref.partition,
      offset: BigInt(row.offset),
      sequence: row.sequence,
      key: row.key,
      value: row.value,
      headers,
      timestampMs: row.timestamp_ms,
      checksum,
    };
  }

  private headersOf(ref: PartitionRef, row: RecordRow) {
    try {
      return decodeHeaders(row.headers);
    } catch (error) {
      throw this.damaged(ref, row, error);
    }
  }

  private damaged(ref: PartitionRef, { offset }: RecordRow, cause?: unknown): LogError {
    const place = { topic: ref.topic, partition: ref.partition, offset };
    const fault = "is damaged (its checksum does not match)";
    return recordFault(this.database.filename, place, fault, cause);
  }
}
