/**
 * Settling where nobody stands in: a program waits for whoever serves the groups, and says who is
 * missing when that takes too long.
 */

import { type EventLog, LogError, type Owner } from "../log/event-log.ts";
import { inputProgress } from "../log/input-progress.ts";
import {
  type Pending,
  type ProgressReader,
  settledWithin,
  Settling,
  type StreamPosition,
} from "./settling.ts";
import { describe, type Wait, WATCH_EVERY_MS } from "./stand-in.ts";
import { StreamError } from "./stream-error.ts";
import type { Topology } from "./topology.ts";
import { STOPPED, unlessStopped } from "./unless-stopped.ts";

/** Longer than partitions take to move to another member. */
const GIVE_UP_MS = 10_000;
/** How often it is asked who runs what is waited for: each time is a request to the cluster. */
const OWNERS_EVERY_MS = 1_000;

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
   * moved, or the log could not be asked, for GIVE_UP_MS, or when the signal fires.
   */
  async settle(positions: readonly StreamPosition[]): Promise<void> {
    const { topology, progressOf, monotonicMs, signal, onWait } = this.options;
    this.join(positions.map(({ partition }) => partition));
    const settling = new Settling(topology, positions);
    let seen = "";
    let sinceMs = monotonicMs();
    const owned = new OwnedAsOf(this.options);
    for (;;) {
      if (signal.aborted) throw new StreamError("not_settled", "interrupted");
      const pending = await settledWithin(WATCH_EVERY_MS, { ...this.options, settling });
      if (pending === null) return;
      this.options.follow(pending.partition); // a group may write to other partitions
      const { group, partition, topic, offset } = pending;
      const done = await this.progress(pending);
      if (done === STOPPED) continue;
      const isAway = done instanceof LogError;
      const next = isAway ? done : (inputProgress(done, topic)?.nextOffset ?? 0n);
      // A copy that is being loaded moves, although its group may stand where it is to stand.
      const loaded = progressOf(group, partition)?.changelogOffset ?? null;
      const now = `${group} ${partition} ${topic} ${next} ${loaded}`;
      if (now !== seen && !(next instanceof LogError)) {
        seen = now;
        sinceMs = monotonicMs();
      }
      if (monotonicMs() - sinceMs >= GIVE_UP_MS) throw await this.unsettled(pending, next);
      const isWithoutOwner = owned.isWithoutOwner(pending);
      const isLoading = !isAway && !(next instanceof LogError) && next > offset;
      const loading = isLoading ? { at: loaded, end: done?.changelogOffset ?? null } : null;
      const wait = describe(positions, pending, { topology, progressOf });
      onWait({ ...wait, isWithoutOwner, loading });
    }
  }

  /** There is nothing to give back. */
  async leave(): Promise<void> {}

  /** Of the group, as committed; the error where the log cannot be asked for the moment. */
  private progress({ group, partition }: Pending) {
    const { log, signal } = this.options;
    return unlessAway(unlessStopped(log.progress(group, partition), signal));
  }

  private async unsettled(
    { group, partition, topic, offset }: Pending,
    next: bigint | LogError,
  ): Promise<StreamError> {
    const what = `${topic} ${partition}-${offset} is not settled after ${GIVE_UP_MS / 1_000} s`;
    if (next instanceof LogError) {
      const why = `how far ${group} is in partition ${partition} cannot be asked (${next.message})`;
      return new StreamError("not_settled", `${what}: ${why}`, { cause: next });
    }
    const where = `${group} stands at offset ${next} of partition ${partition}`;
    const who = await this.whoIsAsked({ group, partition, isDone: next > offset });
    return new StreamError("not_settled", `${what}: ${where}; ${who}`);
  }

  private async whoIsAsked({ group, partition, isDone }: Place): Promise<string> {
    if (isDone) return "its table is not read that far here: look at this program's messages";
    const owners = await unlessAway(this.options.log.owners(group));
    if (owners instanceof LogError) return `who runs it cannot be asked (${owners.message})`;
    const owner = owners.find((each) => each.partition === partition)?.owner ?? null;
    if (owner === null) return `${group} has no owner for it: start \`process\``;
    return `${owner} runs it, look at its messages`;
  }
}

/** Whether somebody runs what is waited for: asked now and then, and never waited for. */
class OwnedAsOf {
  private askedMs = Number.NEGATIVE_INFINITY;
  private asked = "";
  private last = false;

  constructor(private readonly options: Pick<SettledWaitOptions, "log" | "monotonicMs">) {}

  isWithoutOwner({ group, partition }: Pending): boolean {
    const nowMs = this.options.monotonicMs();
    const place = `${group} ${partition}`;
    if (place !== this.asked) this.last = false;
    if (place === this.asked && nowMs - this.askedMs < OWNERS_EVERY_MS) return this.last;
    this.asked = place;
    this.askedMs = nowMs;
    const isOwned = ({ partition: of, owner }: Owner) => of === partition && owner !== null;
    this.options.log.owners(group).then(
      (owners) => {
        if (place === this.asked) this.last = !owners.some(isOwned);
      },
      () => {}, // the wait itself asks, too, and says what fails
    );
    return this.last;
  }
}

interface Place {
  readonly group: string;
  readonly partition: number;
  /** Whether the group has done what is waited for. */
  readonly isDone: boolean;
}

/** The error where the log cannot be asked for the moment; another one is thrown. */
async function unlessAway<T>(asked: Promise<T>): Promise<T | LogError> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof LogError && error.code === "unavailable") return error;
    throw error;
  }
}
