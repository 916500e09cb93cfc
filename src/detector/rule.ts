/**
 * The rule `deposits-over-limit`: one more deposit of a wallet counted, and whether it lies in an
 * exceeding window. Pure but for the wallet's rows, which it reads and sets.
 *
 *   row, entry ──in order: slide──┐
 *              ──late: scan───────┴──> row, verdict ──> episode
 *
 * After the detector of the Goka example that this program follows; the differences: a true
 * rolling window over event time, where that one has a window that is fixed at its first deposit
 * and a clock, and verdicts that do not depend on the order of arrival.
 */

import { appendToOpen, FIRST_KEY, insertLate, openBlock, type Rows } from "./blocks.ts";
import type { Entry } from "./entries.ts";
import { type Exceeding, findExceeding, type Rule } from "./late-window.ts";
import { admitLate, slideTo, withWindow } from "./running-window.ts";
import type { WalletRow, Window } from "./window-rows.ts";

export interface Counted {
  readonly row: WalletRow;
  /** A newer deposit of the wallet had been counted before it. */
  readonly isLate: boolean;
  /** The earliest-ending exceeding window that holds the deposit; null when none exceeds. */
  readonly exceeding: Exceeding | null;
  /** Whether the exceeding window opens an episode. */
  readonly isOpening: boolean;
}

export interface CountOptions {
  readonly rule: Rule;
  /** See `MAX_BLOCK_ENTRIES`; at least 2. */
  readonly maxBlockEntries: number;
}

/**
 * Counts a deposit. `stored` is null for a new wallet; `entry.ordinal` is the row's count plus 1.
 * Sets closed blocks; the returned row is the caller's to set.
 */
export function countDeposit(
  rows: Rows,
  stored: WalletRow | null,
  entry: Entry,
  options: CountOptions,
): Counted {
  const { windowMs } = options.rule;
  const isOfAnother = stored !== null && stored.windowMs !== windowMs;
  const row = isOfAnother ? withWindow(rows, stored, windowMs) : stored;
  if (row === null) {
    const first = firstRow(entry, windowMs);
    return judged(first, { isLate: false, exceeding: runningExceeding(first, options.rule) });
  }
  if (entry.timeMs >= row.newestMs) {
    const next = countInOrder(rows, row, entry, options);
    return judged(next, { isLate: false, exceeding: runningExceeding(next, options.rule) });
  }
  const next = countLate(rows, row, entry, options);
  return judged(next, { isLate: true, exceeding: findExceeding(rows, next, entry, options.rule) });
}

function countInOrder(
  rows: Rows,
  row: WalletRow,
  entry: Entry,
  { rule, maxBlockEntries }: CountOptions,
): WalletRow {
  const window = slideTo(rows, row, entry, rule.windowMs);
  const open = appendToOpen(rows, row, entry, maxBlockEntries);
  return {
    count: entry.ordinal,
    newestMs: entry.timeMs,
    windowMs: row.windowMs,
    windowSumMinor: window.windowSumMinor,
    windowCount: window.windowCount,
    windowFirstMs: window.windowFirstMs,
    tailKey: window.tailKey,
    tail: window.tail,
    episode: row.episode,
    eventWindow: row.eventWindow,
    openKey: open.openKey,
    openHead: open.openHead,
    openEntries: open.openEntries,
  };
}

function countLate(
  rows: Rows,
  row: WalletRow,
  entry: Entry,
  { rule, maxBlockEntries }: CountOptions,
): WalletRow {
  const { windowSumMinor, windowCount, windowFirstMs } = admitLate(row, entry, rule.windowMs);
  const { openKey, openHead, openEntries } = insertLate(rows, row, entry, maxBlockEntries);
  return {
    ...row,
    count: entry.ordinal,
    windowSumMinor,
    windowCount,
    windowFirstMs,
    tail: null,
    openKey,
    openHead,
    openEntries,
  };
}

function firstRow(entry: Entry, windowMs: number): WalletRow {
  const open = openBlock(FIRST_KEY, entry);
  return {
    count: entry.ordinal,
    newestMs: entry.timeMs,
    windowMs,
    windowSumMinor: entry.amountMinor,
    windowCount: 1,
    windowFirstMs: entry.timeMs,
    tailKey: FIRST_KEY,
    tail: null,
    episode: 0,
    eventWindow: null,
    openKey: open.openKey,
    openHead: open.openHead,
    openEntries: open.openEntries,
  };
}

/** Windows that end later hold no more: nothing is newer than the newest. */
function runningExceeding(row: WalletRow, rule: Rule): Exceeding | null {
  if (row.windowSumMinor <= rule.limitMinor) return null;
  const window = { startMs: row.newestMs - rule.windowMs, endMs: row.newestMs };
  return { window, totalMinor: row.windowSumMinor, count: row.windowCount };
}

/** An event goes on with the episode when its window overlaps that of the event before. */
function judged(row: WalletRow, verdict: Pick<Counted, "isLate" | "exceeding">): Counted {
  if (verdict.exceeding === null) return { row, ...verdict, isOpening: false };
  const { window } = verdict.exceeding;
  const isOpening = row.eventWindow === null || !overlaps(row.eventWindow, window);
  const episode = isOpening ? row.episode + 1 : row.episode;
  return { row: { ...row, episode, eventWindow: window }, ...verdict, isOpening };
}

/** Starts are exclusive: windows that only touch share no time. */
function overlaps(a: Window, b: Window): boolean {
  return Math.max(a.startMs, b.startMs) < Math.min(a.endMs, b.endMs);
}
