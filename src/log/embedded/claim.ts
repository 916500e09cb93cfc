/**
 * A claim on one partition of a group in the embedded log.
 *
 *   read: pages of the inputs in the log's order      commit: outputs, changelog and progress in
 *   one transaction of the writer, after the claim's epoch was checked in it
 */

import {
  type Claim,
  type Commit,
  type InputProgress,
  LogError,
  type LogRecord,
  type NewRecord,
  type OutputProgress,
  type Progress,
  type ReplayRange,
} from "../event-log.ts";
import type { PartitionRef } from "./catalog.ts";
import type { Cursor, Reader } from "./reader.ts";

/** What a claim needs of the log it belongs to. */
export interface ClaimHost {
  readonly reader: Reader;
  find(topic: string, partition: number): PartitionRef;
  /** Resolves after the next change of the log, or when the signal fires. */
  changed(signal: AbortSignal): Promise<void>;
  /** Runs in a transaction of its own or with others; throws inside refuse this one alone. */
  transact<T>(bytes: number, run: () => T): Promise<T>;
  isCurrent(group: string, partition: number, epoch: number): boolean;
  insert(ref: PartitionRef, record: Omit<NewRecord, "topic" | "partition">): number;
  /** The bytes that a record takes in the queue. Throws `record_too_large`. */
  recordBytes(record: NewRecord): number;
  /** Brings the bounds of partitions up to date with what other processes did. */
  refresh(): void;
  storeProgress(group: string, partition: number, progress: Progress): void;
  release(claim: EmbeddedClaim): Promise<void>;
}

export interface ClaimOptions {
  readonly group: string;
  readonly partition: number;
  readonly epoch: number;
  readonly topics: readonly string[];
  /** Null when the log keeps no changelogs. */
  readonly changelog: string | null;
  readonly progress: Progress | null;
}

export class EmbeddedClaim implements Claim {
  readonly group: string;
  readonly partition: number;
  readonly epoch: number;
  readonly progress: Progress | null;
  private readonly controller = new AbortController();
  private readonly cursors: Cursor[];
  private current: Progress | null;
  private isChecked = false;

  constructor(
    private readonly host: ClaimHost,
    private readonly options: ClaimOptions,
  ) {
    this.group = options.group;
    this.partition = options.partition;
    this.epoch = options.epoch;
    this.progress = options.progress;
    this.current = options.progress;
    this.cursors = options.topics.map((topic) => this.cursor(topic, options.progress));
  }

  get revoked(): AbortSignal {
    return this.controller.signal;
  }

  /** The membership wants it back, or lost it. */
  revoke(): void {
    this.controller.abort();
  }

  async read(maxRecords: number): Promise<readonly LogRecord[]> {
    if (!this.isChecked) {
      for (const cursor of this.cursors) this.check(cursor, this.progress);
      this.isChecked = true;
    }
    while (!this.revoked.aborted) {
      const untils = this.cursors.map(({ ref }) => ref.nextOffset);
      if (this.cursors.some(({ next }, index) => next < (untils[index] as number))) {
        const places = this.cursors.map(({ ref, next }) => ({ ref, next }));
        const records = this.host.reader.merge(this.cursors, { untils, maxRecords });
        this.checkNothingGone(places, records);
        if (records.length > 0) return records;
      }
      await this.host.changed(this.revoked);
    }
    return [];
  }

  async *replay({ from, to, maxRecords }: ReplayRange): AsyncGenerator<readonly LogRecord[]> {
    const cursors = this.options.topics.map((topic) => this.cursor(topic, from));
    for (const cursor of cursors) this.check(cursor, from);
    const untils = this.options.topics.map((topic) => nextOffset(to, topic));
    while (cursors.some(({ next }, index) => next < (untils[index] as number))) {
      const records = this.host.reader.merge(cursors, { untils, maxRecords });
      if (records.length === 0) return; // what is left is a gap
      yield records;
    }
  }

  async commit(commit: Commit): Promise<Progress> {
    if (commit.inputs.length === 0) {
      throw new LogError("topic_changed", `a commit of ${this.group} moved no input`);
    }
    const rows = this.changelogRows(commit);
    let bytes = 0;
    for (const record of [...commit.outputs, ...rows]) bytes += this.host.recordBytes(record);
    try {
      this.current = await this.host.transact(bytes, () => this.write(commit, rows));
      return this.current;
    } catch (error) {
      const code = error instanceof LogError ? error.code : "outcome_unknown";
      if (code === "fenced" || code === "outcome_unknown") this.revoke();
      throw error;
    }
  }

  async release(): Promise<void> {
    this.revoke();
    await this.host.release(this);
  }

  /** In the transaction. Checks first, so that a refusal leaves no trace. */
  private write(commit: Commit, rows: readonly NewRecord[]): Progress {
    const { group, partition, epoch } = this;
    if (!this.host.isCurrent(group, partition, epoch)) {
      throw new LogError(
        "fenced",
        `partition ${partition} of ${group} belongs to another member (epoch ${epoch} is over)`,
      );
    }
    for (const { topic, nextOffset: next } of commit.inputs) {
      if (BigInt(nextOffset(this.current, topic)) < next) continue;
      throw new LogError(
        "position_out_of_range",
        `a commit of ${group} partition ${partition} goes back in ${topic} to offset ${next}`,
      );
    }
    const find = ({ topic, partition: of }: NewRecord) => this.host.find(topic, of);
    const outputRefs = commit.outputs.map(find);
    const rowRefs = rows.map(find);
    const outputs = new Map<string, OutputProgress>();
    for (const output of this.current?.outputs ?? []) {
      outputs.set(`${output.topic}/${output.partition}`, output);
    }
    commit.outputs.forEach((output, index) => {
      const offset = this.host.insert(outputRefs[index] as PartitionRef, output);
      outputs.set(`${output.topic}/${output.partition}`, {
        topic: output.topic,
        partition: output.partition,
        lastOffset: BigInt(offset),
      });
    });
    let changelogOffset = this.current?.changelogOffset ?? null;
    rows.forEach((row, index) => {
      changelogOffset = BigInt(this.host.insert(rowRefs[index] as PartitionRef, row));
    });
    const progress: Progress = {
      inputs: mergeInputs(this.current?.inputs ?? [], commit.inputs),
      outputs: [...outputs.values()],
      changelogOffset,
    };
    this.host.storeProgress(group, partition, progress);
    return progress;
  }

  private changelogRows(commit: Commit): readonly NewRecord[] {
    const { changelog: topic } = this.options;
    if (topic === null) return [];
    return commit.changelog.map((row) => ({ ...row, topic, partition: this.partition }));
  }

  private cursor(topic: string, progress: Progress | null): Cursor {
    const ref = this.host.find(topic, this.partition);
    const hasRun = progress?.inputs.some((input) => input.topic === topic) === true;
    return { ref, next: hasRun ? nextOffset(progress, topic) : ref.startOffset };
  }

  /** Retention may have taken, in whatever process, what was still to be read. */
  private checkNothingGone(places: readonly Cursor[], records: readonly LogRecord[]): void {
    const hasGap = ({ ref, next }: Cursor) => {
      const first = records.find(({ topic }) => topic === ref.topic);
      return first !== undefined && first.offset !== BigInt(next);
    };
    if (!places.some(hasGap)) return;
    this.host.refresh();
    for (const { ref, next } of places) {
      if (next < ref.startOffset) throw this.outOfRange(ref, next);
    }
  }

  private outOfRange(ref: PartitionRef, next: number): LogError {
    return new LogError(
      "position_out_of_range",
      `${this.group} stands at offset ${next} of ${ref.topic} partition ${ref.partition}, which ` +
        `holds ${ref.startOffset} to ${ref.nextOffset}: restore the topic, or start the group anew`,
    );
  }

  /** Is the topic still the one that the progress was made on? */
  private check(cursor: Cursor, progress: Progress | null): void {
    const { ref, next } = cursor;
    const done = progress?.inputs.find(({ topic }) => topic === ref.topic);
    const place = `${ref.topic} partition ${ref.partition}`;
    if (next > ref.nextOffset || (done !== undefined && next < ref.startOffset)) {
      throw this.outOfRange(ref, next);
    }
    if (done === undefined || done.checksum === null || next === ref.startOffset) return;
    const found = this.host.reader.checksumAt(ref, next - 1);
    if (found === null || found === done.checksum) return; // compaction leaves gaps
    throw new LogError(
      "topic_changed",
      `offset ${next - 1} of ${place} is not the record that ${this.group} has done: the topic ` +
        "was made anew; restore it, or start the group anew",
    );
  }
}

function nextOffset(progress: Progress | null, topic: string): number {
  const found = progress?.inputs.find((each) => each.topic === topic);
  return Number(found?.nextOffset ?? 0n);
}

function mergeInputs(
  before: readonly InputProgress[],
  moved: readonly InputProgress[],
): readonly InputProgress[] {
  const rest = before.filter((each) => !moved.some(({ topic }) => topic === each.topic));
  return [...rest, ...moved].sort((a, b) => (a.topic < b.topic ? -1 : 1));
}
