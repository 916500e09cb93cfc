/**
 * What must become of each wallet, by brute force over its counted deposits: the published rules
 * again, in a few lines, one deposit at a time.
 *
 *   counted deposit ──> total, verdict (as test/detector/oracle.ts has it, which a test compares)
 *   event, operator's action ──> whether the wallet is flagged
 */

export interface OracleRule {
  readonly windowMs: number;
  readonly limitMinor: number;
}

/** The published rule, version 1: more than 10,000.00 within 120 s. */
export const FIRST_RULE: OracleRule = { windowMs: 120_000, limitMinor: 1_000_000 };

export interface OracleDeposit {
  readonly timeMs: number;
  readonly amountMinor: number;
}

export interface Verdict {
  readonly ordinal: number;
  readonly isLate: boolean;
  readonly episode: number;
  readonly windowEndMs: number;
  readonly totalMinor: number;
  /** Deposits in the window, when the event opens an episode; null when it goes on with one. */
  readonly opening: number | null;
}

export class WalletOracle {
  totalMinor = 0;
  readonly deposits: OracleDeposit[] = [];
  highestOrdinal = 0;
  private coveredOrdinal = 0;
  private isAdded = false;
  private episode = 0;
  private previous: { readonly startMs: number; readonly endMs: number } | null = null;

  get count(): number {
    return this.deposits.length;
  }

  get isFlagged(): boolean {
    return this.isAdded || this.highestOrdinal > this.coveredOrdinal;
  }

  /** Null when the deposit lies in no window over the limit. */
  arrive(deposit: OracleDeposit, rule: OracleRule = FIRST_RULE): Verdict | null {
    const { timeMs } = deposit;
    const { windowMs, limitMinor } = rule;
    const isLate = this.deposits.some((each) => each.timeMs > timeMs);
    this.deposits.push(deposit);
    this.totalMinor += deposit.amountMinor;
    const near = this.deposits.filter((each) => Math.abs(each.timeMs - timeMs) < windowMs);
    const ends = near.map((each) => each.timeMs).filter((endMs) => endMs >= timeMs);
    for (const endMs of ends.sort((a, b) => a - b)) {
      const inside = near.filter((each) => each.timeMs <= endMs && each.timeMs > endMs - windowMs);
      const totalMinor = inside.reduce((sum, { amountMinor }) => sum + amountMinor, 0);
      if (totalMinor <= limitMinor) continue;
      const { previous } = this;
      const startMs = endMs - windowMs;
      const goesOn = previous !== null && previous.startMs < endMs && startMs < previous.endMs;
      if (!goesOn) this.episode += 1;
      this.previous = { startMs, endMs };
      return {
        ...{ ordinal: this.deposits.length, isLate, episode: this.episode },
        ...{ windowEndMs: endMs, totalMinor, opening: goesOn ? null : inside.length },
      };
    }
    return null;
  }

  /** An event has reached the flagger. */
  event(ordinal: number): void {
    this.highestOrdinal = Math.max(this.highestOrdinal, ordinal);
  }

  act(action: { readonly isAdd: boolean; readonly seenOrdinal: number }): void {
    this.isAdded = action.isAdd;
    if (action.isAdd) return;
    this.coveredOrdinal = Math.max(this.coveredOrdinal, action.seenOrdinal);
  }
}
