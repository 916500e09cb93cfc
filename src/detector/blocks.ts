/**
 * Blocks: where a wallet's entries are kept, for good. The newest block is open and lives in the
 * wallet row; older ones are closed rows. Splitting keeps every block below a bound, so that no
 * deposit costs more for what a wallet already has.
 *
 *   entry in order ──append──> open block ──full──> closed block
 *   late entry ──insert──> the block that it belongs to ──too full──> two blocks
 */

import type { Context } from "../stream/group.ts";
import {
  appendEntry,
  type Entries,
  type Entry,
  entriesFrom,
  entriesOf,
  insertEntry,
  isBefore,
  noEntries,
} from "./entries.ts";
import {
  type Block,
  type BlockHead,
  type BlockKey,
  blockEntriesRow,
  blockHeadRow,
  blockKeyOf,
  blockSubKey,
  type WalletRow,
} from "./window-rows.ts";

/** The rows of the wallet in hand. */
export type Rows = Pick<Context, "get" | "range" | "set">;

/** The open block, as it stands in the wallet row. */
export type OpenBlock = Pick<WalletRow, "openKey" | "openHead" | "openEntries">;

/** The key of a wallet's first block: nothing comes before it. */
export const FIRST_KEY: BlockKey = { timeMs: 0, ordinal: 0 };

/**
 * Entries in a block, at most. The open block is written with every deposit of its wallet, which
 * wants it small; heads are what a late deposit reads of a window, which wants few of them.
 */
export const MAX_BLOCK_ENTRIES = 64;

/**
 * The open block is closed, however few its entries, when they have this many bytes: clients' long
 * ids should not make the row heavy that is written each time.
 */
export const MAX_OPEN_BYTES = 1_024;

export function openBlock(key: BlockKey, first: Entry): OpenBlock {
  return {
    openKey: key,
    openHead: addToHead(null, first),
    openEntries: appendEntry(noEntries(), first),
  };
}

/** Adds an entry that comes after all others. A full open block is closed before. */
export function appendToOpen(
  rows: Rows,
  open: OpenBlock,
  entry: Entry,
  maxBlockEntries: number,
): OpenBlock {
  const { openHead, openEntries } = open;
  if (openHead.count >= maxBlockEntries || openEntries.lengthBytes >= MAX_OPEN_BYTES) {
    setBlock(rows, open.openKey, openHead, openEntries);
    return openBlock({ timeMs: entry.timeMs, ordinal: entry.ordinal }, entry);
  }
  return {
    openKey: open.openKey,
    openHead: addToHead(openHead, entry),
    openEntries: appendEntry(openEntries, entry),
  };
}

/** Puts an entry into the block that it belongs to, and returns the open block after that. */
export function insertLate(
  rows: Rows,
  open: OpenBlock,
  entry: Entry,
  maxBlockEntries: number,
): OpenBlock {
  if (!isBefore(entry, open.openKey)) {
    const entries = insertEntry(open.openEntries, entry);
    const head = addToHead(open.openHead, entry);
    if (head.count <= maxBlockEntries) {
      return { openKey: open.openKey, openHead: head, openEntries: entries };
    }
    const { left, right } = split(entries);
    setBlock(rows, open.openKey, headOf(left), entriesFrom(left));
    return { openKey: keyOf(right), openHead: headOf(right), openEntries: entriesFrom(right) };
  }
  const { key, head } = closedBlockOf(rows, entry);
  const entries = insertEntry(closedEntries(rows, key), entry);
  if (head.count < maxBlockEntries) {
    setBlock(rows, key, addToHead(head, entry), entries);
    return open;
  }
  const { left, right } = split(entries);
  setBlock(rows, key, headOf(left), entriesFrom(left));
  setBlock(rows, keyOf(right), headOf(right), entriesFrom(right));
  return open;
}

/** Every block that may hold entries with times of `fromMs` to `toMs`, both inclusive, in order. */
export function blocksBetween(
  rows: Rows,
  open: OpenBlock,
  bounds: { readonly fromMs: number; readonly toMs: number },
): Block[] {
  const blocks: Block[] = [];
  const first: BlockKey = { timeMs: Math.max(0, bounds.fromMs), ordinal: 0 };
  if (isBefore(first, open.openKey)) {
    const from = closedBlockOf(rows, first).key;
    const to = blockSubKey(bounds.toMs + 1, 0);
    const heads = rows.range(blockHeadRow, { from: blockSubKey(from.timeMs, from.ordinal), to });
    for (const { subKey, value } of heads) blocks.push({ key: blockKeyOf(subKey), head: value });
  }
  if (open.openKey.timeMs <= bounds.toMs) blocks.push({ key: open.openKey, head: open.openHead });
  return blocks;
}

/**
 * The closed blocks from the one with the key on, in order, or those after the ones that are
 * `known`; at least one while there is one, and more at once the more are known: a window that
 * slides needs the next block, one that jumps needs many.
 */
export function closedBlocksFrom(rows: Rows, key: BlockKey, known: readonly Block[]): Block[] {
  const last = known.at(-1);
  const from = last?.key ?? key;
  // One more than asked for, because the first is the one that is already known.
  const limit = Math.min(Math.max(MIN_HEADS_AT_ONCE, 2 * known.length), HEADS_AT_ONCE) + 1;
  const page = rows
    .range(blockHeadRow, { from: blockSubKey(from.timeMs, from.ordinal), limit })
    .map(({ subKey, value }) => ({ key: blockKeyOf(subKey), head: value }));
  const first = page[0];
  if (first === undefined || !isSameKey(first.key, from)) throw lost(from);
  return last === undefined ? page : page.slice(1);
}

/** The entries of a block, closed or open. */
export function blockEntries(rows: Rows, open: OpenBlock, key: BlockKey): Entries {
  return isSameKey(key, open.openKey) ? open.openEntries : closedEntries(rows, key);
}

/** Entries with times in (startMs, endMs], in order; the newest `most` when there are more. */
export function newestEntries(
  rows: Rows,
  open: OpenBlock,
  window: { readonly startMs: number; readonly endMs: number },
  most: number,
): Entry[] {
  const newest: Entry[] = [];
  const isDone = (): boolean => newest.length >= most;
  /** Takes from the end of a block; false when everything before it is out of the window. */
  const take = (entries: readonly Entry[]): boolean => {
    for (let i = entries.length - 1; i >= 0 && !isDone(); i--) {
      const entry = entries[i] as Entry;
      if (entry.timeMs <= window.startMs) return false;
      if (entry.timeMs <= window.endMs) newest.push(entry);
    }
    return !isDone();
  };
  let goesOn = take(entriesOf(open.openEntries));
  let to =
    open.openKey.timeMs <= window.endMs
      ? blockSubKey(open.openKey.timeMs, open.openKey.ordinal)
      : blockSubKey(window.endMs + 1, 0);
  while (goesOn) {
    const page = rows.range(blockEntriesRow, { to, isReverse: true, limit: BLOCKS_AT_ONCE });
    for (const { value } of page) goesOn = goesOn && take(entriesOf(value));
    if (page.length < BLOCKS_AT_ONCE) break;
    to = (page[page.length - 1] as { subKey: Uint8Array }).subKey;
  }
  return newest.reverse();
}

/** Heads in one range read, at least and at most: a call costs as much as some twenty rows. */
const MIN_HEADS_AT_ONCE = 8;
const HEADS_AT_ONCE = 32;

/** Blocks of entries in one range read for a list of the newest 100. */
const BLOCKS_AT_ONCE = 2;

function setBlock(rows: Rows, key: BlockKey, head: BlockHead, entries: Entries): void {
  const subKey = blockSubKey(key.timeMs, key.ordinal);
  rows.set(blockHeadRow, head, subKey);
  rows.set(blockEntriesRow, entries, subKey);
}

/** The closed block that holds the place; only for a place before the open block. */
function closedBlockOf(rows: Rows, place: BlockKey): Block {
  const to = blockSubKey(place.timeMs, place.ordinal + 1);
  const [row] = rows.range(blockHeadRow, { to, isReverse: true, limit: 1 });
  if (row === undefined) throw lost(place);
  return { key: blockKeyOf(row.subKey), head: row.value };
}

function closedEntries(rows: Rows, key: BlockKey): Entries {
  const entries = rows.get(blockEntriesRow, blockSubKey(key.timeMs, key.ordinal));
  if (entries === null) throw lost(key);
  return entries;
}

function isSameKey(a: BlockKey, b: BlockKey): boolean {
  return a.timeMs === b.timeMs && a.ordinal === b.ordinal;
}

function lost(key: BlockKey): Error {
  return new Error(`no block for time ${key.timeMs}, ordinal ${key.ordinal}: rows are missing`);
}

function addToHead(head: BlockHead | null, entry: Entry): BlockHead {
  const { amountMinor, timeMs } = entry;
  if (head === null) return { sumMinor: amountMinor, count: 1, firstMs: timeMs, lastMs: timeMs };
  return {
    sumMinor: head.sumMinor + amountMinor,
    count: head.count + 1,
    firstMs: Math.min(head.firstMs, timeMs),
    lastMs: Math.max(head.lastMs, timeMs),
  };
}

function headOf(entries: readonly Entry[]): BlockHead {
  const head = entries.reduce<BlockHead | null>(addToHead, null);
  if (head === null) throw new Error("a block of no entries");
  return head;
}

function keyOf(entries: readonly Entry[]): BlockKey {
  const { timeMs, ordinal } = entries[0] as Entry;
  return { timeMs, ordinal };
}

function split(entries: Entries): { left: readonly Entry[]; right: readonly Entry[] } {
  const items = entriesOf(entries);
  const middle = items.length >>> 1;
  return { left: items.slice(0, middle), right: items.slice(middle) };
}
