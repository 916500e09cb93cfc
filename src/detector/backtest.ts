/**
 * A backtest: which wallets a changed rule flags over the whole history, beside those that the
 * rule in force flags, both as if they had held from the start.
 *
 *   `deposit`, a partition at a time ──counted deposits by wallet──> first window over each limit
 *
 * Whether a wallet is flagged does not depend on the order of arrival, so each wallet's deposits
 * are sorted by time and every rule slides over them once. A partition's deposits are held in
 * memory, 20 bytes each and 8 to 30 more for its id; a partition of more than `MAX_HELD_DEPOSITS`
 * is read several times, each time for a share of its wallets.
 */

import { depositStream } from "../deposits/deposit.ts";
import type { Deposit } from "../gen/depositaja/v1/deposit_pb.ts";
import type { RuleVersion } from "../gen/depositaja/v1/rule_pb.ts";
import type { Group } from "../stream/group.ts";
import { type Rereading, reread } from "../stream/rereading.ts";
import type { Rule } from "./late-window.ts";
import { firstRule, versionOf, versionProblem } from "./rule-versions.ts";

/** Some 400 MB with their ids. */
export const MAX_HELD_DEPOSITS = 8_000_000;

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

export interface BacktestRequest {
  /** What is left out is as in the rule in force. */
  readonly windowMs: number | null;
  readonly limitMinor: bigint | null;
  /** Event times, Unix milliseconds: deposits before `fromMs` and from `toMs` on are left out. */
  readonly fromMs: number | null;
  readonly toMs: number | null;
  readonly signal: AbortSignal;
  readonly onProgress: (records: number) => void;
}

export interface BacktestResult {
  /** The newest version of the rule. */
  readonly current: Rule;
  readonly changed: TestedRule;
  /** Records read, once each. */
  readonly records: number;
  /** Deposits that count, within the bounds. */
  readonly deposits: number;
  readonly wallets: number;
  /** Those that either rule flags, by the end of the earlier first window. */
  readonly flagged: readonly TestedWallet[];
}

export interface BacktestSource {
  readonly log: Rereading<Deposit>["log"] & {
    bounds(
      topic: string,
      partition: number,
    ): Promise<{ readonly start: bigint; readonly end: bigint }>;
  };
  /** The detector's. */
  readonly group: Group;
  readonly partitions: number;
  readonly decimals: number;
  /** Instead of MAX_HELD_DEPOSITS, for tests. */
  readonly maxHeldDeposits?: number;
}

/** Throws as `EventLog.read` does. */
export async function backtest(
  request: BacktestRequest,
  source: BacktestSource,
): Promise<BacktestResult> {
  const { windowMs, limitMinor, signal } = request;
  let current = firstRule(source.decimals);
  let changed: TestedRule | null = null;
  const flagged: TestedWallet[] = [];
  const seen = { records: 0, deposits: 0, wallets: 0 };
  for (let partition = 0; partition < source.partitions && !signal.aborted; partition += 1) {
    for await (const { held, isFirst, newest, records } of sharesOf(request, source, partition)) {
      // The first partition decides which version of the rule is the newest, before all others.
      if (partition === 0 && isFirst && newest !== null) current = newest;
      changed ??= {
        windowMs: windowMs ?? current.windowMs,
        limitMinor: limitMinor ?? current.limitMinor,
      };
      if (isFirst) seen.records += records;
      seen.deposits += held.count;
      seen.wallets += held.wallets.size;
      flagged.push(...held.tested(current, changed));
    }
  }
  flagged.sort(byFirstWindow);
  return { current, changed: changed ?? current, ...seen, flagged };
}

interface Share {
  readonly held: HeldDeposits;
  readonly isFirst: boolean;
  /** Null while it is version 1. */
  readonly newest: Rule | null;
  readonly records: number;
}

/** All of a partition, or as many shares of its wallets as fit one after another. */
async function* sharesOf(
  request: BacktestRequest,
  { log, group, partitions, ...source }: BacktestSource,
  partition: number,
): AsyncGenerator<Share> {
  const { signal, onProgress } = request;
  const { fromMs, toMs } = request;
  const { topic } = depositStream;
  const { start: from, end: until } = await log.bounds(topic, partition);
  const most = source.maxHeldDeposits ?? MAX_HELD_DEPOSITS;
  const shares = Math.max(1, Math.ceil(Number(until - from) / most));
  for (let share = 0; share < shares && !signal.aborted; share += 1) {
    const held = new HeldDeposits();
    let newest: Rule | null = null;
    let records = 0;
    await reread<Deposit>({
      ...{ log, group, topic, partition, partitions, from, until, signal },
      ...(shares === 1 ? {} : { wants: (key) => Bun.hash.xxHash32(key) % shares === share }),
      onMessage: ({ key }, { amountMinor, acceptedAtMs }) => {
        const timeMs = Number(acceptedAtMs);
        if ((fromMs !== null && timeMs < fromMs) || (toMs !== null && timeMs >= toMs)) return;
        held.add(key, timeMs, amountMinor);
      },
      onControl: (message) => (newest = newerOf(newest, message as RuleVersion)),
      onPage: (count) => {
        records += count;
        onProgress(count);
      },
    });
    yield { held, isFirst: share === 0, newest, records };
  }
}

/** The first of each number, as the detector takes them. */
function newerOf(newest: Rule | null, message: RuleVersion): Rule | null {
  const number = (newest?.version ?? 1) + 1;
  if (message.number !== number || versionProblem(message) !== null) return newest;
  const { windowMs, limitMinor } = versionOf(message);
  return { version: number, windowMs, limitMinor };
}

/** The counted deposits of many wallets, by wallet; a few bytes each. */
class HeldDeposits {
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

function byFirstWindow(a: TestedWallet, b: TestedWallet): number {
  const endOf = ({ current, changed }: TestedWallet) =>
    Math.min(current?.endMs ?? Infinity, changed?.endMs ?? Infinity);
  return endOf(a) - endOf(b) || (a.walletId < b.walletId ? -1 : 1);
}
