/**
 * One partition of a topic on the simulated log: what is written, how much of it a power cut would
 * leave, and how much of that readers are shown.
 *
 *   write ──> written ──sync──> durable ──shown──> visible
 */

import type { LogRecord } from "../../src/log/event-log.ts";

export class PartitionLog {
  /** In the order of their offsets, which may leave gaps. */
  records: LogRecord[] = [];
  nextOffset = 0;
  durableEnd = 0;
  visibleEnd = 0;
  /** Readers that have seen all that is visible. */
  private waiting: (() => void)[] = [];

  constructor(
    readonly topic: string,
    readonly partition: number,
  ) {}

  /** Visible records from an offset on. */
  visibleFrom(offset: number, maxRecords: number, until = this.visibleEnd): LogRecord[] {
    const end = Math.min(until, this.visibleEnd);
    const found: LogRecord[] = [];
    for (let at = this.indexOf(offset); at < this.records.length; at += 1) {
      const record = this.records[at] as LogRecord;
      if (Number(record.offset) >= end || found.length === maxRecords) break;
      found.push(record);
    }
    return found;
  }

  at(offset: number): LogRecord | null {
    const record = this.records[this.indexOf(offset)];
    return record !== undefined && Number(record.offset) === offset ? record : null;
  }

  /** Behind the last record that readers are shown. */
  get end(): number {
    const behind = this.indexOf(this.visibleEnd);
    const last = this.records[behind - 1];
    return last === undefined ? 0 : Number(last.offset) + 1;
  }

  /** Behind the last durable record, shown or not. */
  get lastDurable(): number {
    const last = this.records[this.indexOf(this.durableEnd) - 1];
    return last === undefined ? 0 : Number(last.offset) + 1;
  }

  show(end: number): void {
    if (end <= this.visibleEnd) return;
    this.visibleEnd = end;
    for (const wake of this.waiting.splice(0)) wake();
  }

  whenShown(wake: () => void): void {
    this.waiting.push(wake);
  }

  /** A power cut: what was not synced is gone. */
  truncate(end: number): void {
    this.records.length = this.indexOf(end);
    this.nextOffset = end;
  }

  /** Drops records below an offset that a later one below it, of the same key, supersedes. */
  compact(end: number): void {
    const newest = new Map<string, LogRecord>();
    for (const record of this.visibleFrom(0, Number.POSITIVE_INFINITY, end)) {
      newest.set(Buffer.from(record.key).toString("latin1"), record);
    }
    const kept = new Set(newest.values());
    const isKept = (record: LogRecord) => Number(record.offset) >= end || kept.has(record);
    this.records = this.records.filter(isKept);
  }

  /** Of the first record at the offset or behind it. */
  private indexOf(offset: number): number {
    let from = 0;
    let to = this.records.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (Number((this.records[middle] as LogRecord).offset) < offset) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}
