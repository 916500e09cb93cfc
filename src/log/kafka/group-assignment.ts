/**
 * Who runs what in a group, and how members write that to each other.
 *
 *   what each member has ──assignedTo──> what each runs from now on ──> bytes of the group protocol
 */

import { MemberAssignment, MemberMetadata } from "kafkajs/src/consumer/assignerProtocol.js";
import { assign } from "../assignment.ts";

const VERSION = 1;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * What each member runs from now on. A partition that moves is given to nobody until its owner
 * has let go of it and joined again, so that a batch under way is finished and not fenced (as in
 * Kafka's cooperative rebalancing, KIP-429).
 */
export function assignedTo(
  owned: ReadonlyMap<string, readonly number[]>,
  partitions: number,
): ReadonlyMap<string, readonly number[]> {
  const owners = new Map<number, string>();
  for (const [member, own] of owned) for (const partition of own) owners.set(partition, member);
  const target = assign({ partitions, members: [...owned.keys()], owners });
  const assigned = new Map<string, number[]>([...owned.keys()].map((member) => [member, []]));
  target.forEach((member, partition) => {
    const owner = owners.get(partition) ?? member;
    if (member !== null && owner === member) assigned.get(member)?.push(partition);
  });
  return assigned;
}

/** What a member says of itself when it joins. */
export function encodeOwned(topics: readonly string[], owned: readonly number[]): Buffer {
  const userData = Buffer.from(encoder.encode(JSON.stringify(owned)));
  return MemberMetadata.encode({ version: VERSION, topics, userData });
}

export function decodeOwned(metadata: Buffer): readonly number[] {
  const { userData } = MemberMetadata.decode(Buffer.from(metadata));
  if (userData === null || userData.length === 0) return [];
  return JSON.parse(decoder.decode(userData)) as number[];
}

/** Every topic of a group has the same partitions. */
export function encodeAssigned(topics: readonly string[], partitions: readonly number[]): Buffer {
  const assignment = Object.fromEntries(topics.map((topic) => [topic, partitions]));
  return MemberAssignment.encode({ version: VERSION, assignment });
}

export function decodeAssigned(assignment: Buffer): readonly number[] {
  const topics = MemberAssignment.decode(Buffer.from(assignment))?.assignment ?? {};
  return Object.values(topics)[0] ?? [];
}
