/**
 * How far this machine's clock is ahead of the brokers', which give records their time: a record
 * that says of itself a time far ahead of that is taken for a mistake by those who read it.
 *
 *   answer to an append ──time of append──> brokers' clock ──against ours──> problem, or none
 */

import { LogError } from "../event-log.ts";
import { CLOCK_AHEAD_MS } from "./limits.ts";

export class BrokerClock {
  /** The brokers' clock less the monotonic one; null before the first answer. */
  private aheadOfMonotonicMs: number | null = null;

  constructor(private readonly nowMs: () => number) {}

  /** Unix milliseconds from an answer that has just come; -1 where the broker gives no time. */
  saw(appendTimeMs: bigint): void {
    if (appendTimeMs < 0n) return;
    this.aheadOfMonotonicMs = Number(appendTimeMs) - performance.now();
  }

  /** Null while the clocks agree, or nothing is known. Turns as soon as the clock is set right. */
  get problem(): LogError | null {
    if (this.aheadOfMonotonicMs === null) return null;
    const aheadMs = this.nowMs() - (performance.now() + this.aheadOfMonotonicMs);
    if (aheadMs <= CLOCK_AHEAD_MS) return null;
    return new LogError(
      "unavailable",
      `this machine's clock is ${Math.round(aheadMs / 1_000)} s ahead of the brokers': ` +
        "set it right",
    );
  }
}
