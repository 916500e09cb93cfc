/**
 * What was fetched of one partition and is not yet taken.
 *
 *   batches ──push──> as they came ──one by one, when wanted──> records ──take──> reader
 *
 * A batch is decompressed when its records are asked for. So what waits is as large as it came,
 * and what is decoded is never more than TAKE_BYTES and a batch, however well it was compressed.
 */

import type { LogRecord } from "../event-log.ts";
import type { StoredBatch } from "./batch-header.ts";
import { decodeBatch } from "./batch-records.ts";
import { TAKE_BYTES } from "./limits.ts";

export interface Taken {
  readonly records: LogRecord[];
  /** There may be more, though fewer came than were wanted. */
  readonly isCut: boolean;
}

export class ReadAhead {
  private readonly batches: StoredBatch[] = [];
  /** Those before it are decoded. */
  private nextBatch = 0;
  private records: readonly LogRecord[] = [];
  private taken = 0;
  private pushedBytes = 0;

  constructor(
    private readonly place: { readonly topic: string; readonly partition: number },
    /** Records before it are left out. */
    private from: bigint,
  ) {}

  /** As it came, since it was empty last. */
  get bytes(): number {
    return this.pushedBytes;
  }

  get isEmpty(): boolean {
    return this.taken === this.records.length && this.nextBatch === this.batches.length;
  }

  /** Of the next record, or the first that may have one; null when nothing is here. */
  get nextOffset(): bigint | null {
    const record = this.records[this.taken];
    if (record !== undefined) return record.offset;
    const { baseOffset } = this.batches[this.nextBatch] ?? {};
    if (baseOffset === undefined) return null;
    return baseOffset > this.from ? baseOffset : this.from;
  }

  push(batches: readonly StoredBatch[]): void {
    for (const batch of batches) {
      this.batches.push(batch);
      this.pushedBytes += batch.size;
    }
  }

  /**
   * The next records below an offset, until TAKE_BYTES of them were decoded: then it is cut. Throws
   * `corrupt`, each time, once what stands before the damage is taken.
   */
  take(maxRecords: number, until: bigint | null): Taken {
    const records: LogRecord[] = [];
    let isCut = false;
    for (let decodedBytes = 0; ; ) {
      this.move(records, maxRecords, until);
      const batch = this.batches[this.nextBatch];
      if (batch === undefined || this.taken < this.records.length) break;
      if (records.length >= maxRecords || (until !== null && batch.baseOffset >= until)) break;
      isCut = decodedBytes >= TAKE_BYTES;
      if (isCut) break;
      try {
        decodedBytes += this.decode(batch);
      } catch (error) {
        if (records.length === 0) throw error;
        isCut = true;
        break;
      }
    }
    if (this.isEmpty) this.clear();
    return { records, isCut };
  }

  /** Of what is decoded. */
  private move(records: LogRecord[], maxRecords: number, until: bigint | null): void {
    while (this.taken < this.records.length && records.length < maxRecords) {
      const record = this.records[this.taken] as LogRecord;
      if (until !== null && record.offset >= until) return;
      records.push(record);
      this.taken += 1;
    }
  }

  /** How many bytes it has become. */
  private decode(batch: StoredBatch): number {
    const { records, decodedBytes } = decodeBatch(batch, { ...this.place, from: this.from });
    this.records = records;
    this.taken = 0;
    this.nextBatch += 1;
    if (batch.lastOffset >= this.from) this.from = batch.lastOffset + 1n;
    return decodedBytes;
  }

  private clear(): void {
    this.batches.length = 0;
    this.nextBatch = 0;
    this.records = [];
    this.taken = 0;
    this.pushedBytes = 0;
  }
}
