/**
 * How each partition of each group stands, told by the log and the stores alone: no processor and
 * no server is asked.
 *
 *   owners, progress, ends ──> owner, lag, counts    dead letters ──> open    store ──> rows
 *
 * A table that is built anew is seen by what it lacks, and how long it takes by what it did between
 * two looks.
 */

import type { Counts, EventLog, Progress } from "../log/event-log.ts";
import { inputProgress } from "../log/input-progress.ts";
import { placeText } from "../log/progress-text.ts";
import { lettersIn } from "./dead-letter-topic.ts";
import { deadLetterTopic, ENGINE_COUNTS, type Group } from "./group.ts";
import { missingBetween } from "./processing-numbers.ts";
import { StreamError } from "./stream-error.ts";
import { BATCH_RECORDS, FLUSH_EVERY_RECORDS } from "./task.ts";
import type { Topology } from "./topology.ts";

/** What costs little to look at, again and again. */
export interface PartitionLag {
  readonly group: string;
  readonly partition: number;
  /** Null: nobody that lives. */
  readonly owner: string | null;
  readonly inputs: readonly InputStatus[];
  /** Of all inputs: offsets from the first record to do to the end, no fewer than records. */
  readonly lagRecords: bigint;
  /** How long ago the log took the oldest record to do; null when there is none. */
  readonly lagMs: number | null;
  /**
   * What the group's commits there have counted, ever; 0 where it never ran. Null: the first of
   * them was made before commits counted.
   */
  readonly counts: Counts | null;
}

export interface PartitionStatus extends PartitionLag {
  /** Of the table; null where it is not on this machine. */
  readonly rows: number | null;
  /** Null where the table is in step, or not on this machine. */
  readonly recovery: TableRecovery | null;
  readonly dead: DeadCounts;
}

/** Of a table that is brought to its group's progress, or waits for an owner who does it. */
export interface TableRecovery {
  /** Records of the inputs that it lacks, by offsets. */
  readonly left: number;
  /** As fast as it went between the looks so far; null: it did not move, or this is the first. */
  readonly etaMs: number | null;
}

export interface InputStatus {
  readonly topic: string;
  /** Null: nothing of it was done yet. */
  readonly nextOffset: bigint | null;
  readonly end: bigint;
}

export interface DeadCounts {
  /** Nobody has dealt with them. */
  readonly open: number;
  readonly handled: number;
}

export interface StatusOptions {
  readonly log: Pick<EventLog, "bounds" | "progress" | "owners" | "read">;
  readonly topology: Topology;
  readonly partitions: number;
  /** Unix milliseconds. */
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  /** Rows of the table; null where they can't be counted. */
  readonly rows: (group: Group, partition: number) => number | null;
  /** Up to where the table is folded; undefined where it is not on this machine. */
  readonly folded: (group: Group, partition: number) => Progress | null | undefined;
}

/** Counting reads a whole table: in between the last count stands. */
const COUNT_EVERY_MS = 10_000;

interface Behind {
  readonly left: number;
  readonly atMs: number;
  readonly to: string;
}

/** A table that is written while its group is behind lacks no more: see FLUSH_EVERY_RECORDS. */
const IN_STEP_RECORDS = FLUSH_EVERY_RECORDS + BATCH_RECORDS;

export class Statuses {
  /** Of each dead-letter partition, with the end at which it was counted. */
  private readonly counted = new Map<string, { readonly end: bigint; readonly dead: DeadCounts }>();

  private readonly rows = new Map<string, { readonly count: number | null; atMs: number }>();

  /** Of each table that is not in step: what it lacked when that was seen first. */
  private readonly behind = new Map<string, Behind>();

  constructor(private readonly options: StatusOptions) {}

  /** As it is now, in the order of the flow. Throws as the log does. */
  look(): Promise<readonly PartitionStatus[]> {
    return this.ofEach(async (group, lag, progress) => ({
      ...lag,
      rows: this.rowsOf(group, lag.partition),
      recovery: this.recoveryOf(group, lag, progress),
      dead: await this.deadOf(group, lag.partition),
    }));
  }

  /** The same without what takes reading whole tables and topics. Throws as the log does. */
  lags(): Promise<readonly PartitionLag[]> {
    return this.ofEach(async (_, lag) => lag);
  }

  private async ofEach<T>(
    tell: (group: Group, lag: PartitionLag, progress: Progress | null) => Promise<T>,
  ): Promise<readonly T[]> {
    const { log, topology, partitions } = this.options;
    const told: T[] = [];
    for (const group of topology.groups) {
      const owners = new Map(
        (await log.owners(group.name)).map(({ partition, owner }) => [partition, owner]),
      );
      for (let partition = 0; partition < partitions; partition += 1) {
        const progress = await log.progress(group.name, partition);
        const owner = owners.get(partition) ?? null;
        const lag = await this.lagOf(group, { partition, owner }, progress);
        told.push(await tell(group, lag, progress));
      }
    }
    return told;
  }

  private async lagOf(
    group: Group,
    { partition, owner }: Pick<PartitionLag, "partition" | "owner">,
    progress: Progress | null,
  ): Promise<PartitionLag> {
    const { log, nowMs } = this.options;
    const inputs: InputStatus[] = [];
    let lagRecords = 0n;
    let oldestMs: number | null = null;
    for (const { topic } of group.inputs.map(({ stream }) => stream)) {
      const { start, end } = await log.bounds(topic, partition);
      const nextOffset = inputProgress(progress, topic)?.nextOffset ?? null;
      inputs.push({ topic, nextOffset, end });
      const first = await this.firstRecord({ topic, partition, from: nextOffset ?? start, end });
      if (first === null) continue;
      lagRecords += end - first.offset;
      oldestMs = Math.min(oldestMs ?? Number.POSITIVE_INFINITY, first.timestampMs);
    }
    return {
      ...{ group: group.name, partition, owner, inputs, lagRecords },
      lagMs: oldestMs === null ? null : Math.max(0, nowMs() - oldestMs),
      counts: progress === null ? noCounts(group) : (progress.counts ?? null),
    };
  }

  /** Null where there is none: the last offsets may be gaps. */
  private async firstRecord(range: {
    readonly topic: string;
    readonly partition: number;
    readonly from: bigint;
    readonly end: bigint;
  }) {
    const { end: until, ...from } = range;
    if (from.from >= until) return null;
    for await (const [first] of this.options.log.read({ ...from, until, maxRecords: 1 })) {
      if (first !== undefined) return first;
    }
    return null;
  }

  private rowsOf(group: Group, partition: number): number | null {
    const { monotonicMs, rows } = this.options;
    const place = `${group.name}/${partition}`;
    const known = this.rows.get(place);
    const atMs = monotonicMs();
    if (known !== undefined && atMs - known.atMs < COUNT_EVERY_MS) return known.count;
    const count = rows(group, partition);
    this.rows.set(place, { count, atMs });
    return count;
  }

  private recoveryOf(
    group: Group,
    { partition, lagRecords }: PartitionLag,
    progress: Progress | null,
  ): TableRecovery | null {
    const folded = this.foldedUpTo(group, partition);
    if (folded === undefined) return null;
    const place = `${group.name}/${partition}`;
    const left = missingBetween(folded, progress, false);
    const known = this.behind.get(place);
    // Whoever builds a table commits nothing until it is done.
    const to = progress === null ? "" : placeText(progress);
    const first = known?.to === to && known.left >= left ? known : undefined;
    const mayLack = lagRecords === 0n ? BATCH_RECORDS : IN_STEP_RECORDS;
    if (left <= (first === undefined ? mayLack : 0)) {
      this.behind.delete(place);
      return null;
    }
    const atMs = this.options.monotonicMs();
    if (first === undefined) {
      this.behind.set(place, { left, atMs, to });
      return { left, etaMs: null };
    }
    const done = first.left - left;
    return { left, etaMs: done === 0 ? null : ((atMs - first.atMs) * left) / done };
  }

  private foldedUpTo(group: Group, partition: number): Progress | null | undefined {
    try {
      return this.options.folded(group, partition);
    } catch (error) {
      if (error instanceof StreamError) return undefined; // its owner tells of it
      throw error;
    }
  }

  private async deadOf(group: Group, partition: number): Promise<DeadCounts> {
    const { log } = this.options;
    const { end } = await log.bounds(deadLetterTopic(group), partition);
    const place = `${group.name}/${partition}`;
    const known = this.counted.get(place);
    if (known?.end === end) return known.dead;
    let [open, handled] = [0, 0];
    for await (const { marks } of lettersIn(log, group, partition)) {
      if (marks.length === 0) open += 1;
      else handled += 1;
    }
    const dead = { open, handled };
    this.counted.set(place, { end, dead });
    return dead;
  }
}

function noCounts({ counts }: Group): Counts {
  return Object.fromEntries([...counts, ...ENGINE_COUNTS].map((name) => [name, 0]));
}
