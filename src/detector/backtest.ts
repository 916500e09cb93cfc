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
import { HeldDeposits, type TestedRule, type TestedWallet } from "./held-deposits.ts";
import type { Rule } from "./late-window.ts";
import { firstRule, versionOf, versionProblem } from "./rule-versions.ts";

/** Some 400 MB with their ids. */
export const MAX_HELD_DEPOSITS = 8_000_000;

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
      // One by one: a million arguments of one call are more than the stack holds.
      for (const wallet of held.tested(current, changed)) flagged.push(wallet);
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

function byFirstWindow(a: TestedWallet, b: TestedWallet): number {
  const endOf = ({ current, changed }: TestedWallet) =>
    Math.min(current?.endMs ?? Infinity, changed?.endMs ?? Infinity);
  return endOf(a) - endOf(b) || (a.walletId < b.walletId ? -1 : 1);
}
