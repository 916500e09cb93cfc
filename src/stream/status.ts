/**
 * How each partition of each group stands, told by the log and the stores alone: no processor and
 * no server is asked.
 *
 *   owners, progress, ends ──> owner, lag        dead letters ──> counts        store ──> rows
 *
 * How long a table that is built anew still takes only its builder knows.
 */

import type { EventLog } from "../log/event-log.ts";
import { inputProgress } from "../log/input-progress.ts";
import { lettersIn } from "./dead-letter-topic.ts";
import { deadLetterTopic, type Group } from "./group.ts";
import type { Topology } from "./topology.ts";

export interface PartitionStatus {
  readonly group: string;
  readonly partition: number;
  /** Null: nobody that lives. */
  readonly owner: string | null;
  readonly inputs: readonly InputStatus[];
  /** Of all inputs: offsets from the first record to do to the end, no fewer than records. */
  readonly lagRecords: bigint;
  /** How long ago the log took the oldest record to do; null when there is none. */
  readonly lagMs: number | null;
  /** Of the table; null where it is not on this machine. */
  readonly rows: number | null;
  readonly dead: DeadCounts;
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
}

/** Counting reads a whole table: in between the last count stands. */
const COUNT_EVERY_MS = 10_000;

export class Statuses {
  /** Of each dead-letter partition, with the end at which it was counted. */
  private readonly counted = new Map<string, { readonly end: bigint; readonly dead: DeadCounts }>();

  private readonly rows = new Map<string, { readonly count: number | null; atMs: number }>();

  constructor(private readonly options: StatusOptions) {}

  /** As it is now, in the order of the flow. Throws as the log does. */
  async look(): Promise<readonly PartitionStatus[]> {
    const { log, topology, partitions } = this.options;
    const statuses: PartitionStatus[] = [];
    for (const group of topology.groups) {
      const owners = new Map(
        (await log.owners(group.name)).map(({ partition, owner }) => [partition, owner]),
      );
      for (let partition = 0; partition < partitions; partition += 1) {
        statuses.push(await this.statusOf(group, partition, owners.get(partition) ?? null));
      }
    }
    return statuses;
  }

  private async statusOf(
    group: Group,
    partition: number,
    owner: string | null,
  ): Promise<PartitionStatus> {
    const { log, nowMs } = this.options;
    const progress = await log.progress(group.name, partition);
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
      rows: this.rowsOf(group, partition),
      dead: await this.deadOf(group, partition),
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
