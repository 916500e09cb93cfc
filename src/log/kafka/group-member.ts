/**
 * One member of a Kafka group, as the group's coordinator knows it: an id and a generation.
 *
 *   join ──all members are there──> sync ──> partitions ──heartbeats──> join again | leave
 *
 * Kafka's classic group protocol. A coordinator that is lost is no reason to begin anew: the next
 * one reads id and generation from the group's own topic, gives each member a whole session, and
 * waits that long for an id that does not come back.
 */

import { getLogger } from "@logtape/logtape";
import type Broker from "kafkajs/src/broker/index.js";
import type { Connections } from "./connections.ts";
import {
  assignedTo,
  decodeAssigned,
  decodeOwned,
  encodeAssigned,
  encodeOwned,
} from "./group-assignment.ts";
import { LEAVE_WITHIN_MS, REBALANCE_MS, SESSION_MS } from "./limits.ts";
import { retrying, typeOf } from "./retry.ts";

const PROTOCOL_TYPE = "consumer";
const PROTOCOL = "copartitioned";
const NO_GENERATION = -1;
const logger = getLogger(["log", "kafka"]);

/** Of a member, after an error. */
export type Standing =
  /** The group gathers its members: join. */
  | "rebalance"
  /** Still a member, of a round that its coordinator did not live to write down: join. */
  | "outdated"
  /** No member any more: everything is another's. */
  | "lost"
  /** Nothing: the coordinator was not reached. */
  | "unknown";

export interface GroupMemberOptions {
  /** Of this group alone: a join may wait for long. */
  readonly connections: Connections;
  /** For what does not wait. */
  readonly quickConnections: Connections;
  readonly groupId: string;
  readonly topics: readonly string[];
  readonly partitions: number;
  /** The member's id in the group, so that a restart can end what a crash has left. */
  onMemberId(id: string | null): void;
}

export class GroupMember {
  private id = "";
  private generationNow = NO_GENERATION;
  /** Of which this member has not told the group that it is gone. */
  private leftBehind: string | null = null;

  constructor(private readonly options: GroupMemberOptions) {}

  /** Another with each round of the group. */
  get generation(): number {
    return this.generationNow;
  }

  /** Whether an id that it had is to be ended before it joins again. */
  get hasLeftBehind(): boolean {
    return this.leftBehind !== null;
  }

  /** Resolves with what this member is to run; waits until all others have joined, too. */
  async join(owned: () => readonly number[]): Promise<readonly number[]> {
    const { groupId, topics } = this.options;
    const coordinator = await this.coordinator();
    const joined = await coordinator.joinGroup({
      groupId,
      sessionTimeout: SESSION_MS,
      rebalanceTimeout: REBALANCE_MS,
      memberId: this.id,
      protocolType: PROTOCOL_TYPE,
      groupProtocols: [{ name: PROTOCOL, metadata: encodeOwned(topics, owned()) }],
    });
    this.id = joined.memberId;
    this.generationNow = joined.generationId;
    this.options.onMemberId(this.id);
    const isLeader = joined.leaderId === joined.memberId;
    const { memberAssignment } = await coordinator.syncGroup({
      groupId,
      generationId: this.generationNow,
      memberId: this.id,
      groupAssignment: isLeader ? this.assignments(joined.members) : [],
    });
    return decodeAssigned(memberAssignment);
  }

  async heartbeat(): Promise<void> {
    const { groupId } = this.options;
    const coordinator = await this.coordinator();
    await coordinator.heartbeat({
      groupId,
      groupGenerationId: this.generationNow,
      memberId: this.id,
    });
  }

  /** Where it was is not where it is. */
  forgetCoordinator(): void {
    const { connections, groupId } = this.options;
    connections.forgetCoordinator("group", groupId);
  }

  /** It comes again as another. */
  forgetId(): void {
    this.id = "";
    this.generationNow = NO_GENERATION;
    this.options.onMemberId(null);
  }

  /** The group would wait a session for the id that this member comes without. */
  leaveBehind(): void {
    this.leftBehind = this.id;
  }

  async endLeftBehind(): Promise<void> {
    if (this.leftBehind === null) return;
    await this.end(this.leftBehind);
    this.leftBehind = null;
    this.id = ""; // a join that was under way may have brought it back
  }

  async leave(): Promise<void> {
    const id = this.leftBehind ?? this.id;
    if (id === "") return;
    await this.end(id);
    this.options.onMemberId(null);
  }

  /** Not behind a join that is under way: on connections of others. */
  async end(memberId: string): Promise<void> {
    const { quickConnections: connections, groupId } = this.options;
    const attempt = async () => {
      try {
        const coordinator = await connections.coordinator("group", groupId);
        await coordinator.leaveGroup({ groupId, memberId });
      } catch (error) {
        connections.forgetCoordinator("group", groupId);
        throw error;
      }
    };
    try {
      await retrying(attempt, { withinMs: LEAVE_WITHIN_MS, what: `leave ${groupId}` });
    } catch (error) {
      // It is gone already, or its session ends.
      logger.debug("{group}: {member} not left: {error}", {
        group: groupId,
        member: memberId,
        error,
      });
    }
  }

  private coordinator(): Promise<Broker> {
    const { connections, groupId } = this.options;
    return connections.coordinator("group", groupId);
  }

  private assignments(
    members: readonly { readonly memberId: string; readonly memberMetadata: Buffer }[],
  ) {
    const { topics, partitions } = this.options;
    const known = new Map(
      members.map(({ memberId, memberMetadata }) => [memberId, decodeOwned(memberMetadata)]),
    );
    return [...assignedTo(known, partitions)].map(([memberId, own]) => ({
      memberId,
      memberAssignment: encodeAssigned(topics, own),
    }));
  }
}

/** What an error of a join or a heartbeat means. */
export function standingAfter(error: unknown): Standing {
  return STANDINGS.get(typeOf(error)) ?? "unknown";
}

const STANDINGS = new Map<string, Standing>([
  ["REBALANCE_IN_PROGRESS", "rebalance"],
  ["ILLEGAL_GENERATION", "outdated"],
  ["UNKNOWN_MEMBER_ID", "lost"],
  ["FENCED_INSTANCE_ID", "lost"],
]);
