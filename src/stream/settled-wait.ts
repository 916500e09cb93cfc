/**
 * Settling where nobody stands in: a program waits for whoever serves the groups, and says who is
 * missing when that takes too long.
 */

import type { EventLog } from "../log/event-log.ts";
import { inputProgress } from "../log/input-progress.ts";
import { type ProgressReader, settledWithin, Settling, type StreamPosition } from "./settling.ts";
import { describe, type Wait, WATCH_EVERY_MS } from "./stand-in.ts";
import { StreamError } from "./stream-error.ts";
import type { Topology } from "./topology.ts";

/** Longer than partitions take to move to another member. */
const GIVE_UP_MS = 10_000;

export interface SettledWaitOptions {
  readonly log: EventLog;
  readonly topology: Topology;
  readonly progressOf: ProgressReader;
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly monotonicMs: () => number;
  readonly signal: AbortSignal;
  readonly onWait: (wait: Wait) => void;
  /** Somebody waits for this partition: its progress is to be followed. */
  readonly follow: (partition: number) => void;
}

export class SettledWait {
  constructor(private readonly options: SettledWaitOptions) {}

  join(partitions: Iterable<number>): void {
    for (const partition of partitions) this.options.follow(partition);
  }

  /**
   * Resolves once the positions are settled. Throws StreamError `not_settled` when nothing has
   * moved for GIVE_UP_MS, or when the signal fires.
   */
  async settle(positions: readonly StreamPosition[]): Promise<void> {
    const { topology, progressOf, monotonicMs, signal, onWait } = this.options;
    this.join(positions.map(({ partition }) => partition));
    const settling = new Settling(topology, positions);
    let seen = "";
    let sinceMs = monotonicMs();
    for (;;) {
      if (signal.aborted) throw new StreamError("not_settled", "interrupted");
      const pending = await settledWithin(WATCH_EVERY_MS, { ...this.options, settling });
      if (pending === null) return;
      this.options.follow(pending.partition); // a group may write to other partitions
      const { group, partition, topic } = pending;
      const progress = await this.options.log.progress(group, partition);
      const next = inputProgress(progress, topic)?.nextOffset ?? 0n;
      // A copy that is being loaded moves, although its group may stand where it is to stand.
      const loaded = progressOf(group, partition)?.changelogOffset ?? null;
      const now = `${group} ${partition} ${topic} ${next} ${loaded}`;
      if (now !== seen) {
        seen = now;
        sinceMs = monotonicMs();
      }
      if (monotonicMs() - sinceMs >= GIVE_UP_MS) throw await this.unsettled(pending, next);
      onWait(describe(positions, pending, { topology, progressOf }));
    }
  }

  /** There is nothing to give back. */
  async leave(): Promise<void> {}

  private async unsettled(
    { group, partition, topic, offset }: StreamPosition & { readonly group: string },
    next: bigint,
  ): Promise<StreamError> {
    const owners = await this.options.log.owners(group);
    const owner = owners.find((each) => each.partition === partition)?.owner ?? null;
    const who =
      next > offset
        ? "its table is not read that far here: look at this program's messages"
        : owner === null
          ? `${group} has no owner for it: start \`process\``
          : `${owner} runs it, look at its messages`;
    return new StreamError(
      "not_settled",
      `${topic} ${partition}-${offset} is not settled after ${GIVE_UP_MS / 1_000} s: ${group} ` +
        `stands at offset ${next} of partition ${partition}; ${who}`,
    );
  }
}
