/**
 * Settling without a service: a program that only wants its own records done takes part for a
 * moment.
 *
 *   positions ──settled already?──> done
 *      └── no: join each group that no live member serves ──> wait, watching who moves ──> leave
 *
 * A group that a live member serves is left to it. What can never settle ends the wait: a
 * partition that stands still at a failing rule, or one that nobody moves for STANDSTILL_MS.
 */

import type { EventLog } from "../log/event-log.ts";
import { inputProgress } from "../log/input-progress.ts";
import type { Processor } from "./processor.ts";
import {
  type Pending,
  type ProgressReader,
  settledWithin,
  Settling,
  type StreamPosition,
} from "./settling.ts";
import { STANDSTILL_MS } from "./standing.ts";
import { StreamError } from "./stream-error.ts";
import { consumersOf, type Topology } from "./topology.ts";

/** How often it is looked who moves: a fraction of what a person notices. */
export const WATCH_EVERY_MS = 100;

/** What is still to be done. */
export interface Wait {
  /** The first that is waited for. */
  readonly pending: Pending;
  /** The next offset that its group will take; null when it never ran there. */
  readonly nextOffset: bigint | null;
  /** Known to be left, over all positions and the groups that read them; at least 1. */
  readonly leftRecords: bigint;
  /** Nobody runs the group there, as far as is known. */
  readonly isWithoutOwner: boolean;
  /** The group is done there, and this program's copy of its table is behind; null: it is not. */
  readonly loading: Loading | null;
}

/** Offsets in the table's changelog; null before the first row. */
export interface Loading {
  readonly at: bigint | null;
  readonly end: bigint | null;
}

export interface StandInOptions {
  readonly log: EventLog;
  readonly topology: Topology;
  readonly progressOf: ProgressReader;
  /** Starts every group of the topology with `standIn`, for the wanted partitions. */
  readonly startStandIns: (wants: (partition: number) => boolean) => readonly Processor[];
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly monotonicMs: () => number;
  /** Ends every wait. */
  readonly signal: AbortSignal;
  /** Called while it waits, every WATCH_EVERY_MS or so. */
  readonly onWait: (wait: Wait) => void;
}

export class StandIn {
  private processors: readonly Processor[] | null = null;
  /** Never resolves: rejects when a processor can't go on, or ends unasked. */
  private failed: Promise<never> = new Promise(() => {});
  /** What was waited for so far: every claim costs time, so no more are taken. */
  private readonly wanted = new Set<number>();

  constructor(private readonly options: StandInOptions) {}

  /** Takes part in these partitions, too; `settle` does so by itself where it is needed. */
  join(partitions: Iterable<number>): readonly Processor[] {
    for (const partition of partitions) this.wanted.add(partition);
    if (this.processors === null) {
      this.processors = this.options.startStandIns((partition) => this.wanted.has(partition));
      this.failed = Promise.race(this.processors.map(({ done }) => done)).then(() => {
        throw new StreamError("not_settled", "the log was closed while it was processed");
      });
      this.failed.catch(() => {}); // heard by the next `settle`, or not needed any more
    }
    return this.processors;
  }

  /**
   * Resolves once the positions are settled. Throws StreamError `rule_failed` and `not_settled`,
   * the latter also when the signal fires; what `EventLog.join` throws.
   */
  async settle(positions: readonly StreamPosition[]): Promise<void> {
    const { options } = this;
    const settling = new Settling(options.topology, positions);
    if (settling.advance(options.progressOf)) return;
    const watch = new Watch(
      options,
      this.join(positions.map(({ partition }) => partition)),
    );
    for (;;) {
      if (options.signal.aborted) throw new StreamError("not_settled", "interrupted");
      const slice = settledWithin(WATCH_EVERY_MS, { ...options, settling });
      const pending = await Promise.race([slice, this.failed]);
      if (pending === null) return;
      this.wanted.add(pending.partition); // a group may write to other partitions than it reads
      await watch.look(pending);
      const wait = describe(positions, pending, options);
      // What nobody runs is run here.
      options.onWait({ ...wait, isWithoutOwner: false, loading: null });
    }
  }

  /** Finishes the running batches and gives every partition back. Idempotent. */
  async leave(): Promise<void> {
    const processors = this.processors ?? [];
    this.processors = null;
    await Promise.allSettled(processors.map((processor) => processor.stop()));
  }
}

/** Tells a wait from a standstill. */
class Watch {
  private seen = "";
  private sinceMs: number;

  constructor(
    private readonly options: StandInOptions,
    private readonly processors: readonly Processor[],
  ) {
    this.sinceMs = options.monotonicMs();
  }

  /** Throws when what is waited for stands still. */
  async look(pending: Pending): Promise<void> {
    const { log, monotonicMs } = this.options;
    const { group, partition, topic } = pending;
    const own = this.processors
      .find((processor) => processor.group.name === group)
      ?.state()
      .find((state) => state.partition === partition);
    if (own?.phase === "stopped") {
      throw own.error ?? new StreamError("rule_failed", `${group} partition ${partition} stopped`);
    }
    const owners = await log.owners(group);
    const owner = owners.find((each) => each.partition === partition)?.owner ?? null;
    // As committed: while behind, a store is flushed once in several commits only.
    const progress = await log.progress(group, partition);
    const next = inputProgress(progress, topic)?.nextOffset ?? null;
    // Own tasks share one thread: while any of them moves, this one waits for its turn.
    const moved = own === undefined ? next : committedRecords(this.processors);
    const now = `${group} ${partition} ${topic} ${owner} ${moved}`;
    const nowMs = monotonicMs();
    if (now !== this.seen || own?.phase === "catching_up") {
      this.seen = now;
      this.sinceMs = nowMs;
    } else if (nowMs - this.sinceMs >= STANDSTILL_MS) {
      const who = owner === null ? "nobody runs it" : `${owner} runs it, look at its messages`;
      throw new StreamError(
        "not_settled",
        `${group} partition ${partition} makes no progress at offset ${next ?? 0n} of ${topic} ` +
          `for ${STANDSTILL_MS / 1_000} s: ${who}`,
      );
    }
  }
}

export function describe(
  positions: readonly StreamPosition[],
  pending: Pending,
  { topology, progressOf }: Pick<StandInOptions, "topology" | "progressOf">,
): Omit<Wait, "isWithoutOwner" | "loading"> {
  let leftRecords = 0n;
  for (const position of positions) {
    for (const { name } of consumersOf(topology, position.topic)) {
      const next = nextOffset(progressOf, { ...position, group: name }) ?? 0n;
      if (next <= position.offset) leftRecords += position.offset + 1n - next;
    }
  }
  const next = nextOffset(progressOf, pending);
  // What they caused is waited for, too, when they are done.
  const own = pending.offset + 1n - (next ?? 0n);
  return { pending, nextOffset: next, leftRecords: own > leftRecords ? own : leftRecords };
}

function committedRecords(processors: readonly Processor[]): bigint {
  let sum = 0n;
  for (const processor of processors) {
    for (const { progress } of processor.state()) {
      for (const { nextOffset: next } of progress?.inputs ?? []) sum += next;
    }
  }
  return sum;
}

function nextOffset(progressOf: ProgressReader, wait: Pending): bigint | null {
  return inputProgress(progressOf(wait.group, wait.partition), wait.topic)?.nextOffset ?? null;
}
