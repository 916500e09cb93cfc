/**
 * Many wallets' counted deposits in few bytes, for a backtest: as they come in, then wallet by
 * wallet in the order of their times, with rules sliding over them.
 *
 *   deposits in any order ──add──> arrays, chained by wallet ──tested──> first windows over a limit
 */

import type { Rule } from "./late-window.ts";

export type TestedRule = Omit<Rule, "version">;

/** The earliest-ending window over a limit, whole: (startMs, endMs]. */
export interface FirstWindow {
  readonly startMs: number;
  readonly endMs: number;
  readonly totalMinor: bigint;
  readonly count: number;
}

export interface TestedWallet {
  readonly walletId: string;
  /** Null: not flagged by that rule. One of the two is not null. */
  readonly current: FirstWindow | null;
  readonly changed: FirstWindow | null;
}

/** The counted deposits of many wallets, by wallet; a few bytes each. */
export class HeldDeposits {
  count = 0;
  readonly wallets = new Map<string, number>();
  private timesMs = new Float64Array(1_024);
  private amountsMinor = new BigInt64Array(1_024);
  /** Of the same wallet, the one before it, plus 1; 0 for its first. */
  private before = new Uint32Array(1_024);

  add(walletId: string, timeMs: number, amountMinor: bigint): void {
    const at = this.count;
    if (at === this.timesMs.length) this.grow();
    this.timesMs[at] = timeMs;
    this.amountsMinor[at] = amountMinor;
    this.before[at] = this.wallets.get(walletId) ?? 0;
    this.count = at + 1;
    this.wallets.set(walletId, at + 1);
  }

  *tested(current: TestedRule, changed: TestedRule): Generator<TestedWallet> {
    for (const [walletId, newest] of this.wallets) {
      const deposits = this.depositsOf(newest);
      const two = {
        current: firstWindow(deposits, current),
        changed: firstWindow(deposits, changed),
      };
      if (two.current !== null || two.changed !== null) yield { walletId, ...two };
    }
  }

  /** By time. */
  private depositsOf(newest: number): HeldDeposit[] {
    const deposits: HeldDeposit[] = [];
    let isSorted = true;
    for (let next = newest; next !== 0; next = this.before[next - 1] as number) {
      const timeMs = this.timesMs[next - 1] as number;
      const last = deposits.at(-1);
      if (last !== undefined && last.timeMs < timeMs) isSorted = false;
      deposits.push({ timeMs, amountMinor: this.amountsMinor[next - 1] as bigint });
    }
    deposits.reverse();
    return isSorted ? deposits : deposits.sort((a, b) => a.timeMs - b.timeMs);
  }

  private grow(): void {
    const { timesMs, amountsMinor, before } = this;
    const length = 2 * timesMs.length;
    this.timesMs = new Float64Array(length);
    this.timesMs.set(timesMs);
    this.amountsMinor = new BigInt64Array(length);
    this.amountsMinor.set(amountsMinor);
    this.before = new Uint32Array(length);
    this.before.set(before);
  }
}

interface HeldDeposit {
  readonly timeMs: number;
  readonly amountMinor: bigint;
}

/** A sum grows only where a window's end reaches a deposit, so those ends are all to look at. */
function firstWindow(
  deposits: readonly HeldDeposit[],
  { windowMs, limitMinor }: TestedRule,
): FirstWindow | null {
  let totalMinor = 0n;
  let first = 0;
  for (let last = 0; last < deposits.length; last += 1) {
    const { timeMs: endMs, amountMinor } = deposits[last] as HeldDeposit;
    totalMinor += amountMinor;
    if (deposits[last + 1]?.timeMs === endMs) continue; // a window ends behind all of a time
    for (; (deposits[first] as HeldDeposit).timeMs <= endMs - windowMs; first += 1) {
      totalMinor -= (deposits[first] as HeldDeposit).amountMinor;
    }
    if (totalMinor <= limitMinor) continue;
    return { startMs: endMs - windowMs, endMs, totalMinor, count: last - first + 1 };
  }
  return null;
}
