/**
 * "Settled": a position is settled when every record that it caused, through every group, can be
 * read.
 *
 *   (topic, partition, offset) ──groups that read the topic──> beyond it?
 *      └── yes: what that group wrote last is the next position to wait for, and so on
 *
 * It follows progress as stores or views have it. Each step's target is fixed when it is reached,
 * so that later traffic is not waited for. Nothing in a message carries anything for it.
 */

import type { EventLog, Progress } from "../log/event-log.ts";
import { inputProgress } from "../log/input-progress.ts";
import { consumersOf, type Topology } from "./topology.ts";

export interface StreamPosition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
}

/** What is still waited for: a group that has not passed a position. */
export interface Pending extends StreamPosition {
  readonly group: string;
}

export type ProgressReader = (group: string, partition: number) => Progress | null;

/** Follows one position through the topology. */
export class Settling {
  private pending: Pending[];

  constructor(
    private readonly topology: Topology,
    positions: readonly StreamPosition[],
  ) {
    this.pending = furthest(positions.flatMap((position) => this.waitsOf(position)));
  }

  /** Looks again; true when all is settled. */
  advance(progressOf: ProgressReader): boolean {
    for (let moved = true; moved; ) {
      moved = false;
      const still: Pending[] = [];
      for (const wait of this.pending) {
        const progress = progressOf(wait.group, wait.partition);
        if (!isBeyond(progress, wait)) {
          still.push(wait);
          continue;
        }
        moved = true;
        for (const { topic, partition, lastOffset } of progress?.outputs ?? []) {
          still.push(...this.waitsOf({ topic, partition, offset: lastOffset }));
        }
      }
      this.pending = furthest(still);
    }
    return this.pending.length === 0;
  }

  /** What the first group in the flow that has not passed waits for; null when all have. */
  get first(): Pending | null {
    for (const { name } of this.topology.groups) {
      const found = this.pending.find(({ group }) => group === name);
      if (found !== undefined) return found;
    }
    return null;
  }

  private waitsOf(position: StreamPosition): Pending[] {
    return consumersOf(this.topology, position.topic).map(({ name }) => ({
      ...position,
      group: name,
    }));
  }
}

/**
 * Resolves with null once settled, or, when the signal fires first, with what is waited for.
 */
export async function whenSettled(options: {
  readonly log: EventLog;
  readonly settling: Settling;
  readonly progressOf: ProgressReader;
  readonly signal: AbortSignal;
}): Promise<Pending | null> {
  const { log, settling, progressOf, signal } = options;
  if (settling.advance(progressOf)) return null;
  return new Promise((resolve, reject) => {
    const finish = (end: () => void) => {
      stopListening();
      signal.removeEventListener("abort", abandon);
      end();
    };
    const look = () => {
      try {
        if (settling.advance(progressOf)) finish(() => resolve(null));
      } catch (error) {
        finish(() => reject(error as Error));
      }
    };
    const abandon = () => finish(() => resolve(settling.first));
    const stopListening = log.onChange(look);
    signal.addEventListener("abort", abandon);
    if (signal.aborted) abandon();
    else look();
  });
}

/** As `whenSettled`, for so long at most. */
export async function settledWithin(
  ms: number,
  options: Parameters<typeof whenSettled>[0] & {
    readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
  },
): Promise<Pending | null> {
  const slice = new AbortController();
  const settled = new AbortController();
  const timer = options.delay(ms, AbortSignal.any([options.signal, settled.signal]));
  timer.then(() => slice.abort()).catch(() => {});
  try {
    return await whenSettled({ ...options, signal: slice.signal });
  } finally {
    settled.abort();
  }
}

/** Has what stands there with this progress done the record at the position? */
export function isBeyond(
  progress: Progress | null,
  { topic, offset }: Pick<StreamPosition, "topic" | "offset">,
): boolean {
  const input = inputProgress(progress, topic);
  return input !== null && input.nextOffset > offset;
}

/**
 * The newest position of each stream in these partitions; none where a stream is empty. Once they
 * are settled, all that stood when this was called is done.
 */
export async function newestPositions(
  log: EventLog,
  topology: Topology,
  partitions: readonly number[],
): Promise<readonly StreamPosition[]> {
  const found: StreamPosition[] = [];
  for (const { topic } of topology.streams) {
    for (const partition of partitions) {
      const { start, end } = await log.bounds(topic, partition);
      if (end > start) found.push({ topic, partition, offset: end - 1n });
    }
  }
  return found;
}

/** Whoever is beyond the furthest position of a partition is beyond them all. */
function furthest(pending: readonly Pending[]): Pending[] {
  if (pending.length < 2) return [...pending];
  const byPlace = new Map<string, Pending>();
  for (const wait of pending) {
    const place = `${wait.group}/${wait.topic}/${wait.partition}`;
    const known = byPlace.get(place);
    if (known === undefined || known.offset < wait.offset) byPlace.set(place, wait);
  }
  return [...byPlace.values()];
}
