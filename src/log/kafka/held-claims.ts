/**
 * The claims of one member: what its group gives it is opened, what goes to another is given back.
 *
 *   partitions ──take──> opening ──> held ──revoked──> let go of
 */

import { getLogger } from "@logtape/logtape";
import { LogError, type LogErrorCode } from "../event-log.ts";
import type { KafkaClaim } from "./claim.ts";
import { REJOIN_JITTER_MS, RELEASE_WITHIN_MS, RETRY_LAST_MS } from "./limits.ts";
import { atMost, isPassing, messageOf, pause } from "./retry.ts";

const logger = getLogger(["log", "kafka"]);
/** Of a claim that comes with the next try or with another owner. */
const PASSING_CODES = new Set<LogErrorCode>(["unavailable", "fenced", "closed", "outcome_unknown"]);

export interface HeldClaimsOptions {
  readonly groupId: string;
  /** No claim is opened any more. */
  readonly signal: AbortSignal;
  open(partition: number, signal: AbortSignal): Promise<KafkaClaim>;
  yield(claim: KafkaClaim): void;
  /** All partitions that are others' were let go of: the group has yet to hear of it. */
  onFree(): void;
}

export class HeldClaims {
  private assigned: readonly number[] = [];
  private readonly held = new Map<number, KafkaClaim>();
  private readonly opening = new Map<
    number,
    { readonly controller: AbortController; readonly ended: Promise<void> }
  >();

  constructor(private readonly options: HeldClaimsOptions) {}

  /** What nobody else can run yet. */
  get owned(): readonly number[] {
    return [...this.held.keys(), ...this.opening.keys()];
  }

  /** Whether the group has given it something to run. */
  get hasPart(): boolean {
    return this.assigned.length > 0;
  }

  holds(claim: KafkaClaim): boolean {
    return this.held.get(claim.partition) === claim;
  }

  /** What this member is to run from now on. */
  take(partitions: readonly number[]): void {
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

  /** The holder has given it back. */
  released(claim: KafkaClaim): void {
    if (!this.holds(claim)) return;
    this.held.delete(claim.partition);
    if (this.options.signal.aborted) return;
    if (this.assigned.includes(claim.partition)) this.openClaim(claim.partition);
    else this.tellFree();
  }

  /** Resolves once all is given back, or after RELEASE_WITHIN_MS. */
  async end(): Promise<void> {
    this.assigned = [];
    const held = [...this.held.values()];
    for (const claim of held) claim.revoke();
    // One that still opens would fence its next owner once this member has left.
    const opening = [...this.opening.values()].map(({ ended }) => ended);
    const ends = [...held.map(({ released }) => released), ...opening];
    await atMost(RELEASE_WITHIN_MS, Promise.all(ends));
  }

  /** The holder finishes or drops its batch; one that does neither is fenced. */
  private giveBack(claim: KafkaClaim): void {
    claim.revoke();
    void atMost(RELEASE_WITHIN_MS, claim.released).then(() => this.released(claim));
  }

  /** At once, not one by one: each word to the group is a round of all its members. */
  private tellFree(): void {
    const isAnyLeft = [...this.held.keys()].some((partition) => !this.assigned.includes(partition));
    if (!isAnyLeft) this.options.onFree();
  }

  private openClaim(partition: number): void {
    const controller = new AbortController();
    const ended = this.keepOpening(partition, controller.signal).finally(() => {
      this.opening.delete(partition);
      const isWanted = this.assigned.includes(partition) && !this.options.signal.aborted;
      if (isWanted && !this.held.has(partition)) this.openClaim(partition);
      else if (!isWanted) this.tellFree();
    });
    this.opening.set(partition, { controller, ended });
  }

  private async keepOpening(partition: number, signal: AbortSignal): Promise<void> {
    const { options } = this;
    const any = AbortSignal.any([signal, options.signal]);
    const isOver = () => any.aborted || !this.assigned.includes(partition);
    let said = "";
    while (!isOver()) {
      try {
        const claim = await options.open(partition, any);
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
    const comesAgain = error instanceof LogError ? PASSING_CODES.has(error.code) : isPassing(error);
    const message = comesAgain ? said : messageOf(error);
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
}
