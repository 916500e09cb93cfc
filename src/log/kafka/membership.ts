/**
 * A member of a Kafka group: joins, hears of its partitions, gives back what it loses.
 *
 *   join ──leader assigns──> sync ──> claims opened, claims revoked ──heartbeats──> join again
 *
 * Kafka's classic group protocol is used for who is alive and who runs what; that only one can
 * commit is the transactional id's doing. Partitions that move are let go of first and given away
 * in the next round (`assignedTo`).
 */

import { getLogger } from "@logtape/logtape";
import { MemberAssignment, MemberMetadata } from "kafkajs/src/consumer/assignerProtocol.js";
import { LogError, type LogErrorCode } from "../event-log.ts";
import { assign } from "../assignment.ts";
import type { KafkaClaim } from "./claim.ts";
import type { Connections } from "./connections.ts";
import {
  HEARTBEAT_EVERY_MS,
  REBALANCE_MS,
  REJOIN_JITTER_MS,
  RELEASE_WITHIN_MS,
  RETRY_LAST_MS,
  SESSION_MS,
} from "./limits.ts";
import { atMost, pause, typeOf } from "./retry.ts";

const PROTOCOL_TYPE = "consumer";
const PROTOCOL = "copartitioned";
const logger = getLogger(["log", "kafka"]);
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The membership ended by the broker's word: everything is another's. */
const LOST = new Set([
  "UNKNOWN_MEMBER_ID",
  "ILLEGAL_GENERATION",
  "FENCED_INSTANCE_ID",
]);
const REBALANCE = "REBALANCE_IN_PROGRESS";
/** Of a claim that comes with the next try or with another owner. */
const PASSING_CODES = new Set<LogErrorCode>(["unavailable", "fenced", "closed", "outcome_unknown"]);

export interface MembershipOptions {
  /** Of this group alone: a join may wait for long. */
  readonly connections: Connections;
  /** For what does not wait. */
  readonly quickConnections: Connections;
  readonly groupId: string;
  readonly topics: readonly string[];
  readonly partitions: number;
  readonly signal: AbortSignal;
  open(partition: number, signal: AbortSignal): Promise<KafkaClaim>;
  yield(claim: KafkaClaim): void;
  /** The member's id in the group, so that a restart can end what a crash has left. */
  onMemberId(id: string | null): void;
  /** The id that a crash of this place has left; null: none. */
  readonly formerMemberId: string | null;
}

export class Membership {
  private memberId = "";
  private generation = -1;
  private assigned: readonly number[] = [];
  private readonly held = new Map<number, KafkaClaim>();
  private readonly opening = new Map<
    number,
    { readonly controller: AbortController; readonly ended: Promise<void> }
  >();
  /** Of which this member has not told the group that it is gone. */
  private leftBehind: string | null = null;
  private joining: Promise<void> | null = null;
  /** Something to tell the group, such as a partition that was let go of. */
  private rejoin = false;
  private heardMs = performance.now();
  private readonly ended: Promise<void>;

  constructor(private readonly options: MembershipOptions) {
    const { signal } = options;
    this.ended = new Promise((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  /** Until the signal fires; then gives back and leaves. Never throws for an unreachable broker. */
  async run(): Promise<void> {
    const { signal } = this.options;
    await this.endFormer();
    while (!signal.aborted) {
      try {
        this.joining = this.join();
        // A join may wait for a member that is stopped: a member that ends does not.
        await Promise.race([this.joining, this.ended]);
        if (signal.aborted) break;
        this.joining = null;
        await this.stay();
      } catch (error) {
        this.joining = null;
        this.recover(error);
        await pause(RETRY_LAST_MS, signal);
      }
    }
    await this.leave();
  }

  /** The holder has given it back. */
  released(claim: KafkaClaim): void {
    if (this.held.get(claim.partition) !== claim) return;
    this.held.delete(claim.partition);
    if (this.options.signal.aborted) return;
    if (this.assigned.includes(claim.partition)) this.openClaim(claim.partition);
    else this.rejoin = true; // it is free for its next owner now
  }

  /**
   * Somebody began under its id: what this member knows of the group may be old. One that was
   * given back already tells nothing: its next owner has begun, perhaps this member itself.
   */
  fenced(claim: KafkaClaim): void {
    if (this.held.get(claim.partition) !== claim || this.assigned.length === 0) return;
    // The group would wait a session for the id that this member comes without.
    this.leftBehind = this.memberId;
    this.lose();
  }

  private async join(): Promise<void> {
    const { connections, groupId, topics, signal } = this.options;
    if (this.leftBehind !== null) {
      await this.end(this.leftBehind);
      this.leftBehind = null;
      this.memberId = ""; // a join that was under way may have brought it back
      await pause(Math.random() * REJOIN_JITTER_MS, signal); // so that two do not fence in turns
    }
    this.rejoin = false;
    const coordinator = await connections.coordinator("group", groupId);
    const owned = [...this.held.keys(), ...this.opening.keys()];
    const metadata = MemberMetadata.encode({
      version: 1,
      topics,
      userData: Buffer.from(encoder.encode(JSON.stringify(owned))),
    });
    const joined = await coordinator.joinGroup({
      groupId,
      sessionTimeout: SESSION_MS,
      rebalanceTimeout: REBALANCE_MS,
      memberId: this.memberId,
      protocolType: PROTOCOL_TYPE,
      groupProtocols: [{ name: PROTOCOL, metadata }],
    });
    this.memberId = joined.memberId;
    this.generation = joined.generationId;
    this.options.onMemberId(this.memberId);
    const isLeader = joined.leaderId === joined.memberId;
    const { memberAssignment } = await coordinator.syncGroup({
      groupId,
      generationId: this.generation,
      memberId: this.memberId,
      groupAssignment: isLeader ? this.assignments(joined.members) : [],
    });
    this.heardMs = performance.now();
    if (signal.aborted) return; // it came too late: this member has left
    const found = MemberAssignment.decode(Buffer.from(memberAssignment));
    this.take(found?.assignment[topics[0] as string] ?? []);
  }

  private assignments(
    members: readonly { readonly memberId: string; readonly memberMetadata: Buffer }[],
  ) {
    const { topics, partitions } = this.options;
    const known = new Map(
      members.map(({ memberId, memberMetadata }) => [memberId, ownedOf(memberMetadata)]),
    );
    return [...assignedTo(known, partitions)].map(([memberId, own]) => ({
      memberId,
      memberAssignment: MemberAssignment.encode({
        version: 1,
        assignment: Object.fromEntries(topics.map((topic) => [topic, own])),
      }),
    }));
  }

  /** What this member is to run from now on. */
  private take(partitions: readonly number[]): void {
    this.assigned = partitions;
    for (const [partition, claim] of this.held) {
      if (!partitions.includes(partition)) this.giveBack(claim);
    }
    for (const [partition, { controller }] of this.opening) {
      if (!partitions.includes(partition)) controller.abort();
    }
    for (const partition of partitions) {
      if (!this.held.has(partition) && !this.opening.has(partition)) this.openClaim(partition);
    }
  }

  /** The holder finishes or drops its batch; one that does neither is fenced. */
  private giveBack(claim: KafkaClaim): void {
    claim.revoke();
    void atMost(RELEASE_WITHIN_MS, claim.released).then(() => this.released(claim));
  }

  private openClaim(partition: number): void {
    const controller = new AbortController();
    const ended = this.keepOpening(partition, controller.signal).finally(() => {
      this.opening.delete(partition);
      const isWanted = this.assigned.includes(partition) && !this.options.signal.aborted;
      if (isWanted && !this.held.has(partition)) this.openClaim(partition);
      else if (!isWanted) this.rejoin = true;
    });
    this.opening.set(partition, { controller, ended });
  }

  private async keepOpening(partition: number, signal: AbortSignal): Promise<void> {
    const { options } = this;
    const isOver = () =>
      signal.aborted || options.signal.aborted || !this.assigned.includes(partition);
    const any = AbortSignal.any([signal, options.signal]);
    let said = "";
    while (!isOver()) {
      try {
        const claim = await options.open(partition, any);
        // A late one has fenced the rightful owner: the group says who that is.
        if (!isOver()) await this.confirm();
        if (isOver()) return await claim.release();
        this.held.set(partition, claim);
        return options.yield(claim);
      } catch (error) {
        said = this.tellUnclaimed(partition, error, said);
        await pause(RETRY_LAST_MS + Math.random() * REJOIN_JITTER_MS, any);
      }
    }
  }

  /** What does not pass by itself is said aloud, once. Returns what was said last. */
  private tellUnclaimed(partition: number, error: unknown, said: string): string {
    const { groupId } = this.options;
    const place = { partition, group: groupId, error };
    const isPassing = !(error instanceof LogError) || PASSING_CODES.has(error.code);
    const message = isPassing ? said : error.message;
    if (message === said) {
      logger.debug("partition {partition} of {group} is not claimed yet: {error}", place);
    } else {
      logger.error("partition {partition} of {group} stands still: {message}", {
        ...place,
        message,
      });
    }
    return message;
  }

  /**
   * Resolves once the group has said what this member is to run. A heartbeat would wait behind a
   * join that is under way.
   */
  private async confirm(): Promise<void> {
    while (this.joining !== null) await this.joining.catch(() => {}); // `run` sees to it
    const { generation } = this;
    try {
      await this.heartbeat();
    } catch (error) {
      if (typeOf(error) === REBALANCE) return; // still a member, and its claims are still its own
      if (isLost(error) && this.generation === generation) this.lose();
      if (!isLost(error)) throw error;
    }
  }

  /** Heartbeats until there is a reason to join again. */
  private async stay(): Promise<void> {
    const { signal } = this.options;
    while (!signal.aborted && !this.rejoin) {
      await pause(HEARTBEAT_EVERY_MS, signal);
      if (signal.aborted || this.generation < 0) return;
      try {
        await this.heartbeat();
      } catch (error) {
        if (typeOf(error) !== REBALANCE) throw error;
        return;
      }
    }
  }

  private async heartbeat(): Promise<void> {
    const { connections, groupId } = this.options;
    const coordinator = await connections.coordinator("group", groupId);
    await coordinator.heartbeat({
      groupId,
      groupGenerationId: this.generation,
      memberId: this.memberId,
    });
    this.heardMs = performance.now();
  }

  private recover(error: unknown): void {
    const { connections, groupId } = this.options;
    if (isLost(error)) {
      logger.info("{group}: the membership was lost ({error}); joining again", {
        group: groupId,
        error: (error as Error).message,
      });
      return this.lose();
    }
    connections.forgetCoordinator("group", groupId);
    if (error instanceof LogError && error.code === "closed") return;
    logger.debug("{group}: {error}; trying again", { group: groupId, error });
    // Whoever is not heard of is replaced: what this member runs may be another's by now.
    if (performance.now() - this.heardMs > SESSION_MS) this.lose();
  }

  /** Everything may be another's. */
  private lose(): void {
    this.memberId = "";
    this.generation = -1;
    this.assigned = [];
    this.options.onMemberId(null);
    for (const { controller } of this.opening.values()) controller.abort();
    for (const claim of this.held.values()) this.giveBack(claim);
    this.rejoin = true;
  }

  private async leave(): Promise<void> {
    this.assigned = [];
    const held = [...this.held.values()];
    for (const claim of held) claim.revoke();
    // One that still opens would fence its next owner once this member has left.
    const opening = [...this.opening.values()].map(({ ended }) => ended);
    const ends = [...held.map(({ released }) => released), ...opening];
    await atMost(RELEASE_WITHIN_MS, Promise.all(ends));
    const memberId = this.leftBehind ?? this.memberId;
    if (memberId === "") return;
    await this.end(memberId);
    this.options.onMemberId(null);
  }

  /** What a killed process of this place has left would hold its partitions for a session. */
  private async endFormer(): Promise<void> {
    const { formerMemberId } = this.options;
    if (formerMemberId !== null) await this.end(formerMemberId);
  }

  /** Not behind a join that is under way: on connections of others. */
  private async end(memberId: string): Promise<void> {
    const { quickConnections: connections, groupId } = this.options;
    try {
      const coordinator = await connections.coordinator("group", groupId);
      await coordinator.leaveGroup({ groupId, memberId });
    } catch (error) {
      // It is gone already, or its session ends.
      logger.debug("{group}: {member} not left: {error}", {
        group: groupId,
        member: memberId,
        error,
      });
    }
  }
}

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

function ownedOf(metadata: Buffer): readonly number[] {
  const { userData } = MemberMetadata.decode(Buffer.from(metadata));
  if (userData === null || userData.length === 0) return [];
  return JSON.parse(decoder.decode(userData)) as number[];
}

function isLost(error: unknown): boolean {
  return LOST.has(typeOf(error));
}
