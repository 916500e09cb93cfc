/**
 * How groups stand: what is left for them to do, which partitions nobody runs, and which have an
 * owner and stand still all the same.
 *
 *   progress, ends of the inputs, owners ──look, again and again──> standing of each group
 *
 * A standstill shows only over time, so somebody has to look regularly. Why a partition stands
 * still (a rule that failed, a store that is built anew) its owner's messages tell.
 */

import type { Bounds, EventLog } from "../log/event-log.ts";
import { inputProgress } from "../log/input-progress.ts";
import type { Group } from "./group.ts";
import type { Topology } from "./topology.ts";

/** No progress for so long is none at all: longer than a hung owner's partitions take to move. */
export const STANDSTILL_MS = 5_000;

export interface GroupStanding {
  readonly group: string;
  /** Offsets between the group's progress and the ends of its inputs; no fewer than records. */
  readonly lag: bigint;
  /** In order. All of them while the group runs nowhere. */
  readonly partitionsWithoutOwner: readonly number[];
  /** In order. They have an owner and lag, and made no progress for STANDSTILL_MS. */
  readonly partitionsStandingStill: readonly number[];
}

export interface StandingOptions {
  readonly log: Pick<EventLog, "bounds" | "progress" | "owners">;
  readonly topology: Topology;
  readonly partitions: number;
  readonly monotonicMs: () => number;
}

/** By topic and partition. */
type KnownBounds = Map<string, Bounds>;

export class Standings {
  /** By group and partition: owner and progress while there is lag, and since when so. */
  private readonly seen = new Map<string, { what: string; sinceMs: number }>();

  constructor(private readonly options: StandingOptions) {}

  /** As it is now, in the order of the flow. Throws as the log does. */
  async look(): Promise<readonly GroupStanding[]> {
    const standings: GroupStanding[] = [];
    const bounds: KnownBounds = new Map();
    for (const group of this.options.topology.groups) {
      standings.push(await this.lookAt(group, bounds));
    }
    return standings;
  }

  private async lookAt({ name, inputs }: Group, bounds: KnownBounds): Promise<GroupStanding> {
    const { log, partitions } = this.options;
    const topics = inputs.map(({ stream }) => stream.topic);
    const owners = new Map(
      (await log.owners(name)).map(({ partition, owner }) => [partition, owner]),
    );
    let lag = 0n;
    const partitionsWithoutOwner: number[] = [];
    const partitionsStandingStill: number[] = [];
    for (let partition = 0; partition < partitions; partition++) {
      const progress = await log.progress(name, partition);
      const own = { lag: 0n, place: "" };
      for (const topic of topics) {
        const { start, end } = await this.boundsOf(topic, partition, bounds);
        const next = inputProgress(progress, topic)?.nextOffset ?? start;
        if (end > next) own.lag += end - next;
        own.place += ` ${next}`;
      }
      lag += own.lag;
      const owner = owners.get(partition) ?? null;
      if (owner === null) partitionsWithoutOwner.push(partition);
      const what = owner === null || own.lag === 0n ? null : `${owner}${own.place}`;
      if (this.standsStill(`${name}/${partition}`, what)) partitionsStandingStill.push(partition);
    }
    return { group: name, lag, partitionsWithoutOwner, partitionsStandingStill };
  }

  /** Asked once in a look: several groups may read one topic. */
  private async boundsOf(topic: string, partition: number, known: KnownBounds): Promise<Bounds> {
    const place = `${topic}/${partition}`;
    const bounds = known.get(place) ?? (await this.options.log.bounds(topic, partition));
    known.set(place, bounds);
    return bounds;
  }

  /** Null: it has nothing to do, or nobody to do it. */
  private standsStill(where: string, what: string | null): boolean {
    const seen = this.seen.get(where);
    if (what === null) {
      this.seen.delete(where);
      return false;
    }
    const nowMs = this.options.monotonicMs();
    if (seen?.what === what) return nowMs - seen.sinceMs >= STANDSTILL_MS;
    this.seen.set(where, { what, sinceMs: nowMs });
    return false;
  }
}
