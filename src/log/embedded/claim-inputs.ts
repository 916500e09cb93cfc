/**
 * A claim's way through its input topics, from what the group has done.
 *
 *   progress ──same topics, nothing gone?──> cursors ──merge──> records in the log's order
 */

import { LogError, type LogRecord, type Progress } from "../event-log.ts";
import { inputProgress } from "../input-progress.ts";
import type { Catalog, PartitionRef } from "./catalog.ts";
import type { Cursor, Reader } from "./reader.ts";

export interface ClaimInputsOptions {
  readonly reader: Reader;
  readonly catalog: Catalog;
  readonly group: string;
  readonly partition: number;
  readonly topics: readonly string[];
  /** Null: from the first record that is there. */
  readonly from: Progress | null;
}

export class ClaimInputs {
  private readonly cursors: readonly Cursor[];
  private isChecked = false;

  /** Throws `unknown_topic`. */
  constructor(private readonly options: ClaimInputsOptions) {
    const { catalog, partition, topics, from } = options;
    this.cursors = topics.map((topic) => {
      const ref = catalog.find(topic, partition);
      const done = inputProgress(from, topic);
      return { ref, next: done === null ? ref.startOffset : Number(done.nextOffset) };
    });
  }

  /** Once, before anything is read. Throws `position_out_of_range`, `topic_changed`. */
  check(): void {
    if (this.isChecked) return;
    for (const cursor of this.cursors) this.checkCursor(cursor);
    this.isChecked = true;
  }

  /** What follows; empty while nothing does. Throws `position_out_of_range`, `corrupt`. */
  next(maxRecords: number): readonly LogRecord[] {
    const places = this.cursors.map(({ ref, next }) => ({ ref, next }));
    const untils = this.cursors.map(({ ref }) => ref.nextOffset);
    const records = this.merge(untils, maxRecords);
    this.checkNothingGone(places, records);
    return records;
  }

  /** What follows up to a later progress; empty when that is reached. Throws `corrupt`. */
  nextUntil(to: Progress, maxRecords: number): readonly LogRecord[] {
    const untils = this.cursors.map(({ ref }) =>
      Number(inputProgress(to, ref.topic)?.nextOffset ?? 0n),
    );
    return this.merge(untils, maxRecords); // empty, too, when what is left is a gap
  }

  private merge(untils: readonly number[], maxRecords: number): readonly LogRecord[] {
    const isBehind = this.cursors.some(({ next }, index) => next < (untils[index] as number));
    return isBehind ? this.options.reader.merge(this.cursors, { untils, maxRecords }) : [];
  }

  /** Retention may have taken, in whatever process, what was still to be read. */
  private checkNothingGone(places: readonly Cursor[], records: readonly LogRecord[]): void {
    const hasGap = ({ ref, next }: Cursor) => {
      const first = records.find(({ topic }) => topic === ref.topic);
      return first !== undefined && first.offset !== BigInt(next);
    };
    if (!places.some(hasGap)) return;
    this.options.catalog.refresh();
    for (const { ref, next } of places) {
      if (next < ref.startOffset) throw this.outOfRange(ref, next);
    }
  }

  /** Is the topic still the one that the progress was made on? */
  private checkCursor({ ref, next }: Cursor): void {
    const { reader, group, from } = this.options;
    const done = inputProgress(from, ref.topic);
    if (next > ref.nextOffset || (done !== null && next < ref.startOffset)) {
      throw this.outOfRange(ref, next);
    }
    if (done === null || done.checksum === null || next === ref.startOffset) return;
    const found = reader.checksumAt(ref, next - 1);
    if (found === null || found === done.checksum) return; // compaction leaves gaps
    throw new LogError(
      "topic_changed",
      `offset ${next - 1} of ${ref.topic} partition ${ref.partition} is not the record that ` +
        `${group} has done: the topic was made anew; restore it, or start the group anew`,
    );
  }

  private outOfRange(ref: PartitionRef, next: number): LogError {
    return new LogError(
      "position_out_of_range",
      `${this.options.group} stands at offset ${next} of ${ref.topic} partition ` +
        `${ref.partition}, which holds ${ref.startOffset} to ${ref.nextOffset}: restore the ` +
        "topic, or start the group anew",
    );
  }
}
