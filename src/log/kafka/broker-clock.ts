/**
 * How far this machine's clock is ahead of the brokers', which give records their time: a record
 * that says of itself a time far ahead of that is taken for a mistake by those who read it.
 *
 *   answer to an append ──time of append──> brokers' clock ──against ours──> problem, or none
 *
 * Nothing is appended while there is a problem, so no answer would say that it has passed: the
 * brokers' clock may have been the wrong one, and a machine that was suspended counts that time
 * differently. So the brokers are asked again meanwhile.
 */

import { LogError } from "../event-log.ts";
import { CLOCK_AGAIN_MS, CLOCK_AHEAD_MS } from "./limits.ts";

export class BrokerClock {
  /** The brokers' clock less the monotonic one, at most; null before the first answer. */
  private aheadOfMonotonicMs: number | null = null;
  private askedMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly nowMs: () => number,
    /** Has a broker answer what time it is, which `saw` is told. */
    private readonly ask: () => void,
  ) {}

  /**
   * Unix milliseconds of an append; -1 where the broker gives no time. It was no earlier than its
   * batch was made, by the monotonic clock; its answer may have waited for long.
   */
  saw(appendTimeMs: bigint, madeMs: number): void {
    if (appendTimeMs < 0n) return;
    this.aheadOfMonotonicMs = Number(appendTimeMs) - madeMs;
  }

  /**
   * Null while the clocks agree, or nothing is known. Turns as soon as this clock is set right, and
   * soon after the brokers' is.
   */
  get problem(): LogError | null {
    if (this.aheadOfMonotonicMs === null) return null;
    const monotonicMs = performance.now();
    const aheadMs = this.nowMs() - (monotonicMs + this.aheadOfMonotonicMs);
    if (aheadMs <= CLOCK_AHEAD_MS) return null;
    if (monotonicMs - this.askedMs >= CLOCK_AGAIN_MS) {
      this.askedMs = monotonicMs;
      this.ask();
    }
    return new LogError(
      "unavailable",
      `this machine's clock is ${Math.round(aheadMs / 1_000)} s ahead of the brokers': ` +
        "set it right",
    );
  }
}
