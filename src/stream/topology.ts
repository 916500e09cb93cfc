/**
 * The topology: all groups of a program and the streams between them. Its order is the flow's: a
 * group stands behind those whose output it reads. A cycle is refused, for nothing in it would
 * ever be settled.
 */

import type { TopicSpec } from "../log/event-log.ts";
import { deadLetterTopic, type Group, type Stream, tableName } from "./group.ts";
import { StreamError } from "./stream-error.ts";

/** How long a changelog keeps tombstones: a store away for less is caught up from it. */
export const TOMBSTONE_RETENTION_MS = 7 * 24 * 60 * 60 * 1_000;

export interface Topology {
  /** In the order of the flow. */
  readonly groups: readonly Group[];
  readonly streams: readonly Stream<unknown>[];
}

/**
 * Throws `bad_topology`: two groups of one name, two streams of one topic, a stream on a topic of
 * a group's own, a cycle.
 */
export function defineTopology(groups: readonly Group[]): Topology {
  const byName = new Map<string, Group>();
  const streams = new Map<string, Stream<unknown>>();
  for (const group of groups) {
    if (byName.has(group.name)) fail(`two groups are named ${group.name}`);
    byName.set(group.name, group);
    for (const stream of [...group.inputs.map((each) => each.stream), ...group.outputs]) {
      const known = streams.get(stream.topic);
      if (known !== undefined && known !== stream) {
        fail(`topic ${stream.topic} is declared by two streams: share one`);
      }
      streams.set(stream.topic, stream);
    }
  }
  for (const group of groups) {
    const own = [tableName(group), deadLetterTopic(group)].find((topic) => streams.has(topic));
    if (own !== undefined) fail(`topic ${own} is group ${group.name}'s own: rename the stream`);
  }
  return { groups: inFlowOrder(groups), streams: [...streams.values()] };
}

export function consumersOf(topology: Topology, topic: string): readonly Group[] {
  const reads = ({ inputs }: Group) => inputs.some(({ stream }) => stream.topic === topic);
  return topology.groups.filter(reads);
}

/** Every topic that the topology needs. Streams and dead letters are kept for good. */
export function topicSpecs(
  topology: Topology,
  options: { readonly partitions: number; readonly keepsChangelogs: boolean },
): readonly TopicSpec[] {
  const { partitions } = options;
  const kept = (name: string): TopicSpec => ({
    name,
    partitions,
    cleanup: "keep",
    retentionMs: null,
  });
  const changelog = (group: Group): TopicSpec => ({
    name: tableName(group),
    partitions,
    cleanup: "compact",
    retentionMs: TOMBSTONE_RETENTION_MS,
  });
  return [
    ...topology.streams.map(({ topic }) => kept(topic)),
    ...topology.groups.map((group) => kept(deadLetterTopic(group))),
    ...(options.keepsChangelogs ? topology.groups.map(changelog) : []),
  ];
}

function inFlowOrder(groups: readonly Group[]): Group[] {
  const ordered: Group[] = [];
  const left = new Set(groups);
  while (left.size > 0) {
    const ready = [...left].filter((group) => !readsFrom(group, left));
    if (ready.length === 0) {
      fail(`groups ${[...left].map(({ name }) => name).join(", ")} form a cycle: cut it`);
    }
    for (const group of ready) {
      ordered.push(group);
      left.delete(group);
    }
  }
  return ordered;
}

function readsFrom(group: Group, others: ReadonlySet<Group>): boolean {
  const topics = new Set(group.inputs.map(({ stream }) => stream.topic));
  return [...others].some(({ outputs }) => outputs.some(({ topic }) => topics.has(topic)));
}

function fail(message: string): never {
  throw new StreamError("bad_topology", message);
}
