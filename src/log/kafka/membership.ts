/**
 * A member of a Kafka group: joins, hears of its partitions, gives back what it loses.
 *
 *   join ──> claims opened, claims revoked ──heartbeats──> join again ──> leave
 *
 * The group says who is alive and who runs what; that only one can commit is the claims' doing. So
 * a member whose coordinator is away keeps what it runs, and its place in the group with it:
 * whoever took its partitions meanwhile has fenced it.
 */

import { getLogger } from "@logtape/logtape";
import { LogError } from "../event-log.ts";
import type { KafkaClaim } from "./claim.ts";
import { GroupMember, type GroupMemberOptions, standingAfter } from "./group-member.ts";
import { HeldClaims } from "./held-claims.ts";
import { HEARTBEAT_EVERY_MS, REJOIN_JITTER_MS, RETRY_LAST_MS } from "./limits.ts";
import { isPassing, messageOf, pause } from "./retry.ts";

const logger = getLogger(["log", "kafka"]);

export interface MembershipOptions extends GroupMemberOptions {
  readonly signal: AbortSignal;
  /** Asks `confirm` before it takes a partition from another. */
  open(
    partition: number,
    right: { readonly signal: AbortSignal; confirm(): Promise<void> },
  ): Promise<KafkaClaim>;
  yield(claim: KafkaClaim): void;
  /** The id that a crash of this place has left; null: none. */
  readonly formerMemberId: string | null;
}

export class Membership {
  private readonly member: GroupMember;
  private readonly claims: HeldClaims;
  private joining: Promise<void> | null = null;
  /** Something to tell the group, such as a partition that was let go of, or to hear from it. */
  private rejoin = true;
  /** Why it could not join, as it was said last. */
  private said = "";
  /** Ends the pause between two heartbeats. */
  private waking = new AbortController();
  private readonly ended: Promise<void>;

  constructor(private readonly options: MembershipOptions) {
    const { signal } = options;
    this.ended = new Promise((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    this.member = new GroupMember(options);
    this.claims = new HeldClaims({
      groupId: options.groupId,
      signal,
      open: (partition, opening) =>
        options.open(partition, { signal: opening, confirm: () => this.confirm(opening) }),
      yield: (claim) => options.yield(claim),
      onFree: () => this.joinAgain(),
    });
  }

  /** Until the signal fires; then gives back and leaves. Never throws for an unreachable broker. */
  async run(): Promise<void> {
    const { signal, formerMemberId } = this.options;
    // What a killed process of this place has left would hold its partitions for a session.
    if (formerMemberId !== null) await this.member.end(formerMemberId);
    while (!signal.aborted) {
      try {
        if (this.rejoin) this.joining = this.join();
        // A join may wait for a member that is stopped: a member that ends does not.
        await Promise.race([this.joining, this.ended]);
        this.joining = null;
        await this.stay();
      } catch (error) {
        this.joining = null;
        this.recover(error);
        await pause(RETRY_LAST_MS, signal);
      }
    }
    await this.claims.end();
    await this.member.leave();
  }

  /** The holder has given it back. */
  released(claim: KafkaClaim): void {
    this.claims.released(claim);
  }

  /**
   * Somebody has taken it over: what this member knows of the group may be old. One that was
   * given back already tells nothing: its next owner has begun, perhaps this member itself.
   */
  fenced(claim: KafkaClaim): void {
    if (!this.claims.holds(claim) || !this.claims.hasPart) return;
    this.member.leaveBehind();
    this.lose();
  }

  private async join(): Promise<void> {
    const { signal } = this.options;
    if (this.member.hasLeftBehind) {
      await this.member.endLeftBehind();
      await pause(Math.random() * REJOIN_JITTER_MS, signal); // so that two do not fence in turns
    }
    try {
      const partitions = await this.member.join(() => {
        this.rejoin = false;
        return this.claims.owned;
      });
      this.said = "";
      if (!signal.aborted) this.claims.take(partitions); // else it came too late: it has left
    } catch (error) {
      this.rejoin = true;
      throw error;
    }
  }

  /**
   * Resolves once the group has said what this member is to run. A heartbeat would wait behind a
   * join that is under way.
   */
  private async confirm(opening: AbortSignal): Promise<void> {
    while (!opening.aborted) {
      while (this.joining !== null) await this.joining.catch(() => {}); // `run` sees to it
      const { generation } = this.member;
      try {
        return await this.member.heartbeat();
      } catch (error) {
        if (isClosed(error)) throw error;
        const standing = standingAfter(error);
        if (standing === "lost" && this.member.generation === generation) this.lose();
        // While the group gathers, its members and their claims are what they were.
        if (standing !== "unknown") return;
        this.member.forgetCoordinator();
      }
      await pause(RETRY_LAST_MS, opening);
    }
  }

  /** Heartbeats until there is a reason to join again. */
  private async stay(): Promise<void> {
    const { signal } = this.options;
    while (!signal.aborted && !this.rejoin) {
      try {
        await this.member.heartbeat();
      } catch (error) {
        if (standingAfter(error) !== "rebalance") throw error;
        return this.joinAgain();
      }
      if (this.rejoin) return;
      this.waking = new AbortController();
      await pause(HEARTBEAT_EVERY_MS, AbortSignal.any([signal, this.waking.signal]));
    }
  }

  private joinAgain(): void {
    this.rejoin = true;
    this.waking.abort();
  }

  private recover(error: unknown): void {
    const { groupId: group } = this.options;
    if (isClosed(error)) return;
    const standing = standingAfter(error);
    if (standing === "lost") {
      const { message: why } = error as Error;
      logger.info("{group}: the membership was lost ({why}); joining again", { group, why });
      this.lose();
    } else if (standing === "unknown") {
      this.tellUnjoined(error);
      this.member.forgetCoordinator();
    } else this.joinAgain();
  }

  /** What does not pass by itself, such as a right that is missing, is said aloud, once. */
  private tellUnjoined(error: unknown): void {
    const { groupId: group } = this.options;
    const message = messageOf(error);
    if (isPassing(error) || message === this.said) {
      logger.debug("{group}: {error}; trying again", { group, error });
    } else {
      this.said = message;
      logger.error("{group}: nothing is run here: {message}; trying again", { group, message });
    }
  }

  /** Everything may be another's. */
  private lose(): void {
    this.member.forgetId();
    this.claims.take([]);
    this.joinAgain();
  }
}

function isClosed(error: unknown): boolean {
  return error instanceof LogError && error.code === "closed";
}
