/**
 * Readiness: whether a server can take deposits, and how the processors stand.
 *
 *   log (writable?), progress and ends of the streams (lag), owners ──> /readyz
 *
 * The processors' lag is told and decides nothing: a server must take deposits while they are
 * away. Views decide nothing either: they read the stores' own files, with nothing to load first.
 */

import type { EventLog } from "../log/event-log.ts";
import type { Topology } from "../stream/topology.ts";

export interface ReadinessOptions {
  readonly log: Pick<EventLog, "bounds" | "progress" | "owners"> & {
    /** Why nothing can be written now; null when the log is well. */
    readonly problem: string | null;
  };
  readonly topology: Topology;
  readonly partitions: number;
}

export interface Readiness {
  /** Why nothing can be written now; null when the service is ready. */
  readonly problem: string | null;
  readonly groups: readonly GroupStanding[];
}

export interface GroupStanding {
  readonly group: string;
  /** Offsets between the group's progress and the ends of its inputs; no fewer than records. */
  readonly lag: bigint;
  /** In order. All of them while the group runs nowhere. */
  readonly partitionsWithoutOwner: readonly number[];
}

export async function readiness(options: ReadinessOptions): Promise<Readiness> {
  const groups: GroupStanding[] = [];
  for (const { name, inputs } of options.topology.groups) {
    const topics = inputs.map(({ stream }) => stream.topic);
    groups.push({
      group: name,
      lag: await lagOf(name, topics, options),
      partitionsWithoutOwner: await withoutOwner(name, options),
    });
  }
  return { problem: options.log.problem, groups };
}

async function lagOf(
  group: string,
  topics: readonly string[],
  { log, partitions }: ReadinessOptions,
): Promise<bigint> {
  let lag = 0n;
  for (let partition = 0; partition < partitions; partition++) {
    const progress = await log.progress(group, partition);
    for (const topic of topics) {
      const { start, end } = await log.bounds(topic, partition);
      const input = progress?.inputs.find((each) => each.topic === topic);
      const next = input?.nextOffset ?? start;
      if (end > next) lag += end - next;
    }
  }
  return lag;
}

async function withoutOwner(
  group: string,
  { log, partitions }: ReadinessOptions,
): Promise<readonly number[]> {
  const owners = await log.owners(group);
  const owned = new Set(owners.filter(({ owner }) => owner !== null).map((each) => each.partition));
  return Array.from({ length: partitions }, (_, partition) => partition).filter(
    (partition) => !owned.has(partition),
  );
}
