/**
 * The window that ends at a wallet's newest deposit, kept as a running sum: the check of every
 * deposit that comes in order, at amortised constant cost.
 *
 *   entry in order ──slide──> what left subtracted ──+ entry──> sum against the limit
 */

import { blockEntries, blocksBetween, closedBlocksFrom, type Rows } from "./blocks.ts";
import { countUpTo, type Entry, entryAt, isBefore, nextPlace } from "./entries.ts";
import type { Block, WalletRow, WindowTail } from "./window-rows.ts";

/**
 * The row with its running window added up anew, in another length: once for a wallet when the rule
 * has changed. It reads the heads of the window's blocks, and the entries of the first.
 */
export function withWindow(rows: Rows, row: WalletRow, windowMs: number): WalletRow {
  const startMs = row.newestMs - windowMs;
  const blocks = blocksBetween(rows, row, { fromMs: startMs + 1, toMs: row.newestMs });
  let windowSumMinor = 0n;
  let windowCount = 0;
  let windowFirstMs = row.newestMs;
  for (const { key, head } of blocks) {
    if (head.lastMs <= startMs) continue;
    if (head.firstMs > startMs) {
      windowSumMinor += head.sumMinor;
      windowCount += head.count;
      windowFirstMs = Math.min(windowFirstMs, head.firstMs);
      continue;
    }
    const entries = blockEntries(rows, row, key);
    for (let i = countUpTo(entries, startMs); i < entries.count; i++) {
      const { timeMs, amountMinor } = entryAt(entries, i);
      windowSumMinor += amountMinor;
      windowCount += 1;
      windowFirstMs = Math.min(windowFirstMs, timeMs);
    }
  }
  const tailKey = (blocks[0] as Block).key;
  return { ...row, windowMs, windowSumMinor, windowCount, windowFirstMs, tailKey, tail: null };
}

export type RunningWindow = Pick<
  WalletRow,
  "windowSumMinor" | "windowCount" | "windowFirstMs" | "tailKey" | "tail"
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
    tail: before.tail,
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
    tail: null,
  };
}

/**
 * Everything that is there has left: nothing is read. The open block is the tail, even if it is
 * closed next: a late entry newer than its last belongs into it.
 */
function emptyWindow(row: WalletRow, firstMs: number): RunningWindow {
  const { openKey } = row;
  return {
    ...{ windowSumMinor: 0n, windowCount: 0, windowFirstMs: firstMs },
    ...{ tailKey: openKey, tail: null },
  };
}

interface Bounds {
  readonly oldStartMs: number;
  readonly startMs: number;
}

/**
 * Entries in (oldStartMs, startMs] leave, and at least one stays. The tail goes on to the last
 * block whose key is not in the new window: a late entry in the window cannot belong before it.
 */
function dropUpTo(rows: Rows, row: WalletRow, bounds: Bounds): RunningWindow {
  const { startMs } = bounds;
  let { windowSumMinor, windowCount, tailKey } = row;
  let { blocks, index } = row.tail ?? NOTHING_READ;
  const hasClosed = isBefore(tailKey, row.openKey);
  for (let at = index; ; at++) {
    if (hasClosed && at === blocks.length) {
      const known = blocks.slice(index);
      blocks = [...known, ...closedBlocksFrom(rows, tailKey, known)];
      [at, index] = [known.length, 0];
    }
    const closed = blocks[at] ?? null;
    const { key, head } = closed ?? { key: row.openKey, head: row.openHead };
    if (key.timeMs <= startMs) [tailKey, index] = [key, at];
    const stays = (firstMs: number, first: WindowTail["first"]): RunningWindow => {
      // The open block changes with each entry, and is in the row.
      const tail = index < blocks.length ? { blocks, index, first } : null;
      return { windowSumMinor, windowCount, windowFirstMs: firstMs, tailKey, tail };
    };
    if (head.firstMs > startMs) return stays(head.firstMs, null);
    if (head.lastMs > bounds.oldStartMs) {
      const leaving =
        closed === null ? leavingOpen(row, bounds) : leavingClosed(rows, row, closed, bounds);
      windowSumMinor -= leaving.sumMinor;
      windowCount -= leaving.count;
      if (leaving.nextMs !== null) return stays(leaving.nextMs, leaving.first);
    }
    if (closed === null) {
      throw new Error(`nothing newer than ${startMs}, though the newest is of ${row.newestMs}`);
    }
  }
}

const NOTHING_READ: WindowTail = { blocks: [], index: 0, first: null };

/** What leaves of a block, and the first entry that stays; null when none does. */
interface Leaving {
  readonly sumMinor: bigint;
  readonly count: number;
  readonly nextMs: number | null;
  readonly first: WindowTail["first"];
}

function leavingClosed(rows: Rows, row: WalletRow, block: Block, bounds: Bounds): Leaving {
  const { head } = block;
  const { oldStartMs, startMs } = bounds;
  if (head.firstMs > oldStartMs && head.lastMs <= startMs) {
    return { sumMinor: head.sumMinor, count: head.count, nextMs: null, first: null };
  }
  const known = row.tail?.first?.block === block ? row.tail.first.place : null;
  const entries = known?.entries ?? blockEntries(rows, row, block.key);
  let place = known ?? nextPlace(entries, null);
  let sumMinor = 0n;
  let count = 0;
  for (; place !== null && place.entry.timeMs <= startMs; place = nextPlace(entries, place)) {
    if (place.entry.timeMs <= oldStartMs) continue;
    sumMinor += place.entry.amountMinor;
    count += 1;
  }
  if (place === null) return { sumMinor, count, nextMs: null, first: null };
  return { sumMinor, count, nextMs: place.entry.timeMs, first: { block, place } };
}

function leavingOpen({ openEntries }: WalletRow, { oldStartMs, startMs }: Bounds): Leaving {
  const from = countUpTo(openEntries, oldStartMs);
  const to = countUpTo(openEntries, startMs);
  let sumMinor = 0n;
  for (let i = from; i < to; i++) sumMinor += entryAt(openEntries, i).amountMinor;
  const nextMs = to < openEntries.count ? entryAt(openEntries, to).timeMs : null;
  return { sumMinor, count: to - from, nextMs, first: null };
}
