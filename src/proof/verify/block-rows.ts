/**
 * The detector's rows of a wallet. Where a wallet's deposits are cut into blocks is the detector's
 * own affair; that each deposit is in the block where it belongs, once, and that heads, sums and
 * the running window are right, is compared.
 *
 *   deposits by time, keys of the found blocks ──cut there──> rows that must be there
 */

import { windowBytes } from "./row-bytes.ts";
import {
  BLOCK_ENTRIES_FORMAT,
  BLOCK_HEAD_FORMAT,
  type BlockKey,
  blockKeyOf,
  blockSubKey,
  type Entry,
  WINDOW_FORMAT,
  type WindowValue,
} from "./row-formats.ts";
import { type ExpectedRow, type FoundRows, rowName } from "./rows.ts";
import type { Window } from "./window-fold.ts";

export interface WindowState {
  /** Of the folded deposits, by time, then ordinal; at least one. */
  readonly ordered: readonly Entry[];
  readonly episode: number;
  readonly eventWindow: Window | null;
  /** Of the rule where the last of them stands. */
  readonly windowMs: number;
}

interface Block {
  readonly key: BlockKey;
  readonly entries: readonly Entry[];
}

const FIRST_KEY: BlockKey = { timeMs: 0, ordinal: 0 };
/** Of a block's rows: a sub-key has so many characters. */
const SUB_KEY_LENGTH = 16;

export function expectedWindowRows(found: FoundRows, state: WindowState): ExpectedRow[] {
  const offset = Number(newestOffset(state.ordered));
  const stored = storedWindow(found);
  const keys = [...closedKeys(found), stored?.openKey ?? FIRST_KEY].sort(compareKeys);
  const blocks = cutAt(state.ordered, keys);
  const open = blocks.pop() as Block;
  const rows: ExpectedRow[] = blocks.flatMap(({ key, entries }) => {
    const subKey = blockSubKey(key);
    return [
      { format: BLOCK_HEAD_FORMAT, subKey, value: headOf(entries), offset },
      { format: BLOCK_ENTRIES_FORMAT, subKey, value: entries, offset },
    ];
  });
  const value = windowValue(state, open, tailKeyOf(state, keys, stored));
  rows.push({ format: WINDOW_FORMAT, subKey: "", value, offset, bytes: windowBytes(value) });
  return rows;
}

function windowValue(state: WindowState, open: Block, tailKey: BlockKey): WindowValue {
  const { ordered, episode, eventWindow, windowMs } = state;
  const newestMs = (ordered.at(-1) as Entry).timeMs;
  const running = ordered.filter(({ timeMs }) => timeMs > newestMs - windowMs);
  return {
    count: ordered.length,
    newestMs,
    windowMs,
    windowSumMinor: sumOf(running),
    windowCount: running.length,
    windowFirstMs: (running[0] as Entry).timeMs,
    tailKey,
    episode,
    eventWindow,
    openKey: open.key,
    openHead: headOf(open.entries),
    openEntries: open.entries,
  };
}

/** The stored one, if it is a block's and nothing of the running window is before it. */
function tailKeyOf(
  { ordered, windowMs }: WindowState,
  keys: readonly BlockKey[],
  stored: WindowValue | null,
): BlockKey {
  const newestMs = (ordered.at(-1) as Entry).timeMs;
  const first = ordered.find(({ timeMs }) => timeMs > newestMs - windowMs) as Entry;
  const usable = keys.filter((key) => compareKeys(key, first) <= 0);
  const found = usable.find((key) => stored !== null && compareKeys(key, stored.tailKey) === 0);
  return found ?? usable.at(-1) ?? FIRST_KEY;
}

/** Each block has the deposits from its key up to the next one's. */
function cutAt(ordered: readonly Entry[], keys: readonly BlockKey[]): Block[] {
  let from = 0;
  return keys.map((key, index) => {
    const next = keys[index + 1];
    const isBefore = (entry: Entry) => next === undefined || compareKeys(entry, next) < 0;
    let to = from;
    while (to < ordered.length && isBefore(ordered[to] as Entry)) to += 1;
    const entries = ordered.slice(from, to);
    from = to;
    return { key: keyAsCut(key, entries), entries };
  });
}

/** A block is cut at its first deposit, which stays that: earlier ones go to the one before. */
function keyAsCut(key: BlockKey, [first]: readonly Entry[]): BlockKey {
  if (first === undefined || compareKeys(key, FIRST_KEY) === 0) return key;
  return { timeMs: first.timeMs, ordinal: first.ordinal };
}

/** Of blocks that have a row of their own, by whichever of their two rows is there. */
function closedKeys(found: FoundRows): BlockKey[] {
  const subKeys = new Set<string>();
  for (const name of found.keys()) {
    const tag = name.charCodeAt(0);
    const isBlock = tag === BLOCK_HEAD_FORMAT.tag || tag === BLOCK_ENTRIES_FORMAT.tag;
    if (isBlock && name.length === SUB_KEY_LENGTH + 1) subKeys.add(name.slice(1));
  }
  return [...subKeys].map(blockKeyOf);
}

function storedWindow(found: FoundRows): WindowValue | null {
  const bytes = found.get(rowName(WINDOW_FORMAT.tag, ""));
  if (bytes === undefined) return null;
  try {
    return WINDOW_FORMAT.decode(bytes);
  } catch {
    return null; // the comparison says so
  }
}

function headOf(entries: readonly Entry[]): WindowValue["openHead"] {
  return {
    sumMinor: sumOf(entries),
    count: entries.length,
    firstMs: entries[0]?.timeMs ?? 0,
    lastMs: entries.at(-1)?.timeMs ?? 0,
  };
}

function sumOf(entries: readonly Entry[]): bigint {
  return entries.reduce((sum, { amountMinor }) => sum + amountMinor, 0n);
}

function newestOffset(entries: readonly Entry[]): bigint {
  return entries.reduce((newest, { offset }) => (offset > newest ? offset : newest), 0n);
}

function compareKeys(a: BlockKey, b: BlockKey): number {
  return a.timeMs - b.timeMs || a.ordinal - b.ordinal;
}
