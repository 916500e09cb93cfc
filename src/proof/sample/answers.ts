/**
 * Which wallets of a sample must be flagged, and why: by the published rule as `verify` has it, not
 * by the detector's code.
 *
 *   a wallet's rows in the file's order ──each deposit once──> windows over the limit ──> answer
 *
 * Only deposits that lie in a window over the limit when all have arrived are looked at closely:
 * amounts are above 0, so that no window ever held more than it does in the end.
 */

import { limitMinor, RULE_ID, RULE_VERSION, WINDOW_MS } from "../verify/published-rule.ts";
import type { Entry } from "../verify/row-formats.ts";
import { RuleVersions } from "../verify/rule-versions.ts";
import { type ExpectedEvent, foldWindows } from "../verify/window-fold.ts";
import {
  castOf,
  depositIdOf,
  rowsOfWallets,
  SAMPLE_DECIMALS,
  type SamplePlan,
  walletId,
} from "./sample-plan.ts";
import { type SampleRow, WalletHistory, type WalletPart, walletParts } from "./wallet-history.ts";

export interface Answer {
  readonly walletId: string;
  readonly eventCount: number;
  /** The highest ordinal of an event's deposit. */
  readonly newestOrdinal: number;
  readonly ruleId: string;
  readonly ruleVersion: number;
  readonly limitMinor: bigint;
  readonly episodes: readonly EpisodeAnswer[];
}

export interface EpisodeAnswer {
  readonly eventCount: number;
  /** With its window's deposits. */
  readonly opening: ExpectedEvent;
}

/** Of every wallet that must be flagged; one after the other, in no order that says anything. */
export function* answersTo(plan: SamplePlan): Generator<Answer> {
  const cast = castOf(plan);
  for (const part of walletParts(plan, cast, rowsOfWallets(plan, cast))) {
    const events = eventsOf(depositsOf(part));
    if (events.length === 0) continue;
    const byEpisode = Map.groupBy(events, ({ episode }) => episode);
    yield {
      walletId: walletId(part.wallet, plan),
      eventCount: events.length,
      newestOrdinal: events.at(-1)?.entry.ordinal ?? 0, // in log order, as ordinals are given
      ruleId: RULE_ID,
      ruleVersion: RULE_VERSION,
      limitMinor: LIMIT_MINOR,
      episodes: [...byEpisode.values()].map((own) => ({
        eventCount: own.length,
        opening: own[0] as ExpectedEvent,
      })),
    };
  }
}

/** A deposit that counts; its ordinal is its place among them, from 1. */
export type CountedDeposit = Pick<SampleRow, "number" | "amountMinor" | "acceptedAtMs">;

const LIMIT_MINOR = limitMinor(SAMPLE_DECIMALS);
/** Sums of a window are far below what a double holds exactly. */
const LIMIT = Number(LIMIT_MINOR);

/** In the order of the file, repeats left out. */
function depositsOf(part: WalletPart): CountedDeposit[] {
  const rows: SampleRow[] = [];
  const history = new WalletHistory(part);
  while (history.nextMs !== Number.POSITIVE_INFINITY) rows.push(...history.take());
  rows.sort((a, b) => a.writtenAtMs - b.writtenAtMs);
  const known = new Set<number>();
  return rows.filter(({ number }) => !known.has(number) && known.add(number));
}

/** What the detector must say of the deposits of one wallet, which arrive in this order. */
export function eventsOf(deposits: readonly CountedDeposit[]): ExpectedEvent[] {
  const inside = insideOverfull(deposits);
  if (inside === null) return [];
  const lateOrdinals = new Set<number>();
  const entries: Entry[] = [];
  let newestMs = Number.NEGATIVE_INFINITY;
  for (const [index, deposit] of deposits.entries()) {
    const { acceptedAtMs: timeMs, amountMinor } = deposit;
    const ordinal = index + 1;
    if (timeMs < newestMs) lateOrdinals.add(ordinal);
    newestMs = Math.max(newestMs, timeMs);
    if (inside[index] !== 1) continue;
    const id = depositIdOf(deposit.number);
    entries.push({ timeMs, ordinal, amountMinor: BigInt(amountMinor), offset: 0n, id });
  }
  // What is newer may lie outside of every such window: who is late is told from all.
  return foldWindows(entries, new RuleVersions(LIMIT_MINOR)).events.map((event) => ({
    ...event,
    isLate: lateOrdinals.has(event.entry.ordinal),
  }));
}

/** Marks, by index, what lies in any window over the limit; null where there is no such window. */
function insideOverfull(deposits: readonly CountedDeposit[]): Uint8Array | null {
  const at = (index: number) => deposits[index] as CountedDeposit;
  const byTime = deposits
    .map((_, index) => index)
    .sort((a, b) => at(a).acceptedAtMs - at(b).acceptedAtMs);
  const inside = new Uint8Array(deposits.length);
  let sumMinor = 0;
  let first = 0;
  let isOverfull = false;
  /** Marked up to here, so that what lies in many windows is marked once. */
  let marked = 0;
  for (const [last, index] of byTime.entries()) {
    sumMinor += at(index).amountMinor;
    while (at(byTime[first] as number).acceptedAtMs <= at(index).acceptedAtMs - WINDOW_MS) {
      sumMinor -= at(byTime[first] as number).amountMinor;
      first += 1;
    }
    if (sumMinor <= LIMIT) continue;
    isOverfull = true;
    for (let place = Math.max(first, marked); place <= last; place += 1) {
      inside[byTime[place] as number] = 1;
    }
    marked = last + 1;
  }
  return isOverfull ? inside : null;
}
