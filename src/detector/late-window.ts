/**
 * The windows that hold a late deposit: the earliest-ending one that exceeds the limit. Nothing
 * outside (t - window, t + window) is read, heads come before entries, and a block is opened only
 * where its sum can matter.
 *
 *   late entry ──heads──> bound ──can exceed──> entries, window by window ──> verdict
 *
 * A sum over (T - window, T] grows only where T reaches an entry, so those T are all to look at.
 * While the running window holds the entry, too, the sum at t follows from the running one, and
 * only what lies between the two windows is read: a deposit late by little costs little.
 */

import { blockEntries, blocksBetween, type Rows } from "./blocks.ts";
import { countUpTo, type Entries, type Entry, entryAt } from "./entries.ts";
import type { Block, WalletRow, Window } from "./window-rows.ts";

export interface Rule {
  readonly version: number;
  readonly windowMs: number;
  /** A window that sums to more than this exceeds. */
  readonly limitMinor: bigint;
}

/** An exceeding window, whole. */
export interface Exceeding {
  readonly window: Window;
  readonly totalMinor: bigint;
  readonly count: number;
}

/**
 * The earliest-ending exceeding window that holds `entry`; null when none exceeds. `row` and its
 * blocks already hold the entry; it has the highest ordinal and is older than the newest.
 */
export function findExceeding(
  rows: Rows,
  row: WalletRow,
  entry: Entry,
  rule: Rule,
): Exceeding | null {
  const spans = readSpans(rows, row, entry, rule);
  if (spans === null) return null;
  const scan = scanFrom(rows, row, spans, rule);
  if (scan.totalMinor > rule.limitMinor) return exceedingAt(scan, entry.timeMs);
  for (const [at, block] of spans.coming.entries()) {
    if (passOver(scan, block)) continue;
    const endMs = addEntries(scan, block);
    if (endMs === null) continue;
    // Entries of the same time may go on in the next blocks.
    const rest = sumBetween(rows, row, spans.coming.slice(at + 1), { startMs: endMs - 1, endMs });
    scan.totalMinor += rest.totalMinor;
    scan.count += rest.count;
    return exceedingAt(scan, endMs);
  }
  return null;
}

/** What is to look at, times being (exclusive, inclusive]. */
interface Spans {
  /** In the window at t and perhaps not in later ones: (startMs, leavingEndMs]. */
  readonly leaving: readonly Block[];
  /** Not in the window at t and in later ones: (timeMs, endMs]. */
  readonly coming: readonly Block[];
  readonly startMs: number;
  readonly leavingEndMs: number;
  readonly timeMs: number;
  readonly endMs: number;
  /** Whether the window at t follows from the running one. */
  readonly isInRunning: boolean;
}

interface Sum {
  totalMinor: bigint;
  count: number;
}

/** A window that moves to the right over the spans. */
interface Scan extends Spans, Sum {
  readonly rows: Rows;
  readonly row: WalletRow;
  readonly rule: Rule;
  /** The first of `leaving` that has not left wholly. */
  nextBlock: number;
  /** Its entries, when only those before `index` have left. */
  opened: Entries | null;
  index: number;
}

/** Null when the heads alone say that no window can exceed. */
function readSpans(rows: Rows, row: WalletRow, entry: Entry, rule: Rule): Spans | null {
  const { windowMs, limitMinor } = rule;
  const { timeMs } = entry;
  const startMs = timeMs - windowMs;
  const endMs = Math.min(row.newestMs, timeMs + windowMs - 1);
  if (row.newestMs - windowMs < timeMs) {
    const leavingEndMs = row.newestMs - windowMs;
    const leaving = blocksBetween(rows, row, { fromMs: startMs + 1, toMs: leavingEndMs });
    if (row.windowSumMinor + sumOfHeads(leaving) <= limitMinor) return null;
    const coming = blocksBetween(rows, row, { fromMs: timeMs + 1, toMs: endMs });
    return { leaving, coming, startMs, leavingEndMs, timeMs, endMs, isInRunning: true };
  }
  const all = blocksBetween(rows, row, { fromMs: startMs + 1, toMs: endMs });
  if (sumOfHeads(all) <= limitMinor) return null;
  const leaving = all.filter(({ head }) => head.firstMs <= timeMs);
  const coming = all.filter(({ head }) => head.lastMs > timeMs);
  return { leaving, coming, startMs, leavingEndMs: timeMs, timeMs, endMs, isInRunning: false };
}

/** The window that ends at the late entry. */
function sumAtEntry(rows: Rows, row: WalletRow, spans: Spans): Sum {
  const { leaving, coming, startMs, leavingEndMs, timeMs, endMs, isInRunning } = spans;
  const left = sumBetween(rows, row, leaving, { startMs, endMs: leavingEndMs });
  if (!isInRunning) return left;
  const right = sumBetween(rows, row, coming, { startMs: timeMs, endMs });
  return {
    totalMinor: row.windowSumMinor + left.totalMinor - right.totalMinor,
    count: row.windowCount + left.count - right.count,
  };
}

/** A window at the late entry, ready to move. */
function scanFrom(rows: Rows, row: WalletRow, spans: Spans, rule: Rule): Scan {
  const isInside = ({ head }: Block): boolean => head.lastMs > spans.startMs;
  const found = spans.leaving.findIndex(isInside);
  const nextBlock = found < 0 ? spans.leaving.length : found;
  const first = spans.leaving[nextBlock];
  // A block that the window cuts was opened for the sum already.
  const isCut = first !== undefined && first.head.firstMs <= spans.startMs;
  const opened = isCut ? blockEntries(rows, row, first.key) : null;
  const index = opened === null ? 0 : countUpTo(opened, spans.startMs);
  const sum = sumAtEntry(rows, row, spans);
  return { ...spans, ...sum, rows, row, rule, nextBlock, opened, index };
}

/**
 * Takes a block that comes in whole, when no window that ends in it can exceed. The sum may be too
 * high afterwards, by what has left since; never too low.
 */
function passOver(scan: Scan, { head }: Block): boolean {
  if (head.firstMs <= scan.timeMs) return false;
  leaveUpTo(scan, head.firstMs - scan.rule.windowMs, { mayOpen: false });
  if (scan.totalMinor + head.sumMinor > scan.rule.limitMinor) return false;
  scan.totalMinor += head.sumMinor;
  scan.count += head.count;
  return true;
}

/** Moves the window over a block's entries; returns the time at which it exceeds, or null. */
function addEntries(scan: Scan, block: Block): number | null {
  const entries = blockEntries(scan.rows, scan.row, block.key);
  const end = countUpTo(entries, scan.endMs);
  for (let i = countUpTo(entries, scan.timeMs); i < end; i++) {
    const { timeMs } = entryAt(entries, i);
    leaveUpTo(scan, timeMs - scan.rule.windowMs, { mayOpen: true });
    addEntry(scan, entryAt(entries, i));
    if (scan.totalMinor <= scan.rule.limitMinor) continue;
    const endOfTime = countUpTo(entries, timeMs);
    for (let j = i + 1; j < endOfTime; j++) addEntry(scan, entryAt(entries, j));
    return timeMs;
  }
  return null;
}

function addEntry(scan: Scan, entry: Entry): void {
  scan.totalMinor += entry.amountMinor;
  scan.count++;
}

/** Lets what is not newer than `timeMs` leave; without `mayOpen` only what leaves by blocks. */
function leaveUpTo(scan: Scan, timeMs: number, { mayOpen }: { mayOpen: boolean }): void {
  for (;;) {
    const block = scan.leaving[scan.nextBlock];
    if (block === undefined) return;
    if (scan.opened === null) {
      if (block.head.firstMs > timeMs) return;
      if (block.head.lastMs <= timeMs) {
        scan.totalMinor -= block.head.sumMinor;
        scan.count -= block.head.count;
        scan.nextBlock++;
        continue;
      }
      if (!mayOpen) return;
      scan.opened = blockEntries(scan.rows, scan.row, block.key);
      scan.index = 0;
    }
    for (; scan.index < scan.opened.count; scan.index++) {
      const entry = entryAt(scan.opened, scan.index);
      if (entry.timeMs > timeMs) return;
      scan.totalMinor -= entry.amountMinor;
      scan.count--;
    }
    scan.opened = null;
    scan.nextBlock++;
  }
}

function exceedingAt(scan: Scan, endMs: number): Exceeding {
  const window = { startMs: endMs - scan.rule.windowMs, endMs };
  return { window, totalMinor: scan.totalMinor, count: scan.count };
}

function sumOfHeads(blocks: readonly Block[]): bigint {
  return blocks.reduce((sum, { head }) => sum + head.sumMinor, 0n);
}

/** The entries in (startMs, endMs]; blocks that are wholly inside are not opened. */
function sumBetween(rows: Rows, row: WalletRow, blocks: readonly Block[], window: Window): Sum {
  const sum: Sum = { totalMinor: 0n, count: 0 };
  for (const { key, head } of blocks) {
    if (head.lastMs <= window.startMs || head.firstMs > window.endMs) continue;
    if (head.firstMs > window.startMs && head.lastMs <= window.endMs) {
      sum.totalMinor += head.sumMinor;
      sum.count += head.count;
      continue;
    }
    const entries = blockEntries(rows, row, key);
    const to = countUpTo(entries, window.endMs);
    for (let i = countUpTo(entries, window.startMs); i < to; i++) {
      sum.totalMinor += entryAt(entries, i).amountMinor;
      sum.count++;
    }
  }
  return sum;
}
