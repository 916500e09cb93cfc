/**
 * The window that ends at a wallet's newest deposit, kept as a running sum: the check of every
 * deposit that comes in order, at amortised constant cost.
 *
 *   entry in order ──slide──> what left subtracted ──+ entry──> sum against the limit
 */

import { type Block, blockEntries, blocksFrom, type Rows } from "./blocks.ts";
import { countUpTo, type Entry, entryAt } from "./entries.ts";
import type { WalletRow } from "./window-rows.ts";

export type RunningWindow = Pick<
  WalletRow,
  "windowSumMinor" | "windowCount" | "windowFirstMs" | "tailKey"
>;

/** The window that ends at `entry`, which is not older than the newest one, with it inside. */
export function slideTo(rows: Rows, row: WalletRow, entry: Entry, windowMs: number): RunningWindow {
  const startMs = entry.timeMs - windowMs;
  const before =
    row.windowFirstMs > startMs
      ? row
      : row.newestMs <= startMs
        ? emptyWindow(row, entry.timeMs)
        : dropUpTo(rows, row, { oldStartMs: row.newestMs - windowMs, startMs });
  return {
    windowSumMinor: before.windowSumMinor + entry.amountMinor,
    windowCount: before.windowCount + 1,
    windowFirstMs: before.windowFirstMs,
    tailKey: before.tailKey,
  };
}

/** The running window after a late entry, which may stand in it. */
export function admitLate(row: WalletRow, entry: Entry, windowMs: number): RunningWindow {
  if (entry.timeMs <= row.newestMs - windowMs) return row;
  return {
    windowSumMinor: row.windowSumMinor + entry.amountMinor,
    windowCount: row.windowCount + 1,
    windowFirstMs: Math.min(row.windowFirstMs, entry.timeMs),
    tailKey: row.tailKey,
  };
}

/**
 * Everything that is there has left: nothing is read. The open block is the tail, even if it is
 * closed next: a late entry newer than its last belongs into it.
 */
function emptyWindow(row: WalletRow, firstMs: number): RunningWindow {
  return { windowSumMinor: 0n, windowCount: 0, windowFirstMs: firstMs, tailKey: row.openKey };
}

/**
 * Entries in (oldStartMs, startMs] leave, and at least one stays. The tail goes on to the last
 * block whose key is not in the new window: a late entry in the window cannot belong before it.
 */
function dropUpTo(
  rows: Rows,
  row: WalletRow,
  bounds: { readonly oldStartMs: number; readonly startMs: number },
): RunningWindow {
  const { oldStartMs, startMs } = bounds;
  let { windowSumMinor, windowCount, tailKey } = row;
  for (const block of blocksFrom(rows, row, tailKey)) {
    const { key, head } = block;
    if (key.timeMs <= startMs) tailKey = key;
    if (head.firstMs > startMs) {
      return { windowSumMinor, windowCount, windowFirstMs: head.firstMs, tailKey };
    }
    if (head.lastMs <= oldStartMs) continue;
    const leaving = leavingOf(rows, row, block, bounds);
    windowSumMinor -= leaving.sumMinor;
    windowCount -= leaving.count;
    if (leaving.nextMs !== null) {
      return { windowSumMinor, windowCount, windowFirstMs: leaving.nextMs, tailKey };
    }
  }
  throw new Error(`nothing newer than ${startMs}, though the newest is of ${row.newestMs}`);
}

/** What leaves of a block, and the time of the first entry that stays; null when none does. */
function leavingOf(
  rows: Rows,
  row: WalletRow,
  { key, head }: Block,
  bounds: { readonly oldStartMs: number; readonly startMs: number },
): { sumMinor: bigint; count: number; nextMs: number | null } {
  if (head.firstMs > bounds.oldStartMs && head.lastMs <= bounds.startMs) {
    return { sumMinor: head.sumMinor, count: head.count, nextMs: null };
  }
  const entries = blockEntries(rows, row, key);
  const from = countUpTo(entries, bounds.oldStartMs);
  const to = countUpTo(entries, bounds.startMs);
  let sumMinor = 0n;
  for (let i = from; i < to; i++) sumMinor += entryAt(entries, i).amountMinor;
  const nextMs = to < entries.count ? entryAt(entries, to).timeMs : null;
  return { sumMinor, count: to - from, nextMs };
}
