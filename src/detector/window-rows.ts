/**
 * The detector's rows of a wallet: the wallet row, which a deposit in order reads and writes and
 * nothing else; and the closed blocks of its older entries, two rows each, so that a late deposit
 * can pass over a block by its head.
 *
 *   deposit ──> detector ──> threshold-table (these rows)
 *
 * A block has the key of its first entry when it was made, the very first block the key (0, 0).
 * It holds the entries from its key up to the next block's, so every entry has one block to be in.
 */

import type { Codec } from "../stream/codec.ts";
import type { RowKind } from "../stream/group.ts";
import {
  newPacker,
  type Packer,
  packed,
  putBigint,
  putCount,
  putRest,
  putSigned,
  takeBigint,
  takeCount,
  takeEnd,
  takeRest,
  takeSigned,
  type Unpacker,
  unpack,
} from "../stream/packing.ts";
import { type Entries, type EntryPlace, packedEntries, unpackEntries } from "./entries.ts";

/** A place in the order of entries. */
export interface BlockKey {
  readonly timeMs: number;
  readonly ordinal: number;
}

/** What a block adds up to. Of no entries: sum and count 0, and no times to rely on. */
export interface BlockHead {
  readonly sumMinor: bigint;
  readonly count: number;
  /** Event times of its first and last entry, Unix milliseconds, both inclusive. */
  readonly firstMs: number;
  readonly lastMs: number;
}

export interface Block {
  readonly key: BlockKey;
  readonly head: BlockHead;
}

/**
 * What was read of the window's beginning, so that the next deposit need not read it again. It
 * holds while no late entry changes a block.
 */
export interface WindowTail {
  /** Closed blocks in order, without gaps; a few more than were needed. */
  readonly blocks: readonly Block[];
  /** The one among them with the row's `tailKey`. */
  readonly index: number;
  /** The first entry in the window, where it stands in one of them; null: not looked for. */
  readonly first: { readonly block: Block; readonly place: EntryPlace } | null;
}

/** (startMs, endMs]: the start is exclusive, the end inclusive. Unix milliseconds. */
export interface Window {
  readonly startMs: number;
  readonly endMs: number;
}

export interface WalletRow {
  /** Counted deposits: the ordinal of the last one in log order. */
  readonly count: number;
  /** The newest event time. */
  readonly newestMs: number;
  /** The length of the window that the next five are of: the rule's when the row was written. */
  readonly windowMs: number;
  /** Sum and count of the entries in the window that ends at `newestMs`. */
  readonly windowSumMinor: bigint;
  readonly windowCount: number;
  /** The earliest event time in that window. */
  readonly windowFirstMs: number;
  /** No entry of that window is in a block before this one. */
  readonly tailKey: BlockKey;
  /** In memory alone; null when nothing is known. */
  readonly tail: WindowTail | null;
  /** Number of the running episode; 0 before the first. */
  readonly episode: number;
  /** The window of the last event in log order; null before the first. */
  readonly eventWindow: Window | null;
  /** The newest block, which is kept in this row until it is full. */
  readonly openKey: BlockKey;
  readonly openHead: BlockHead;
  readonly openEntries: Entries;
}

/** A block's sub-key: 16 bytes, big-endian, so that bytes sort as entries do. */
export function blockSubKey(timeMs: number, ordinal: number): Uint8Array {
  const key = new Uint8Array(16);
  putUint32(key, 0, Math.floor(timeMs / 2 ** 32));
  putUint32(key, 4, timeMs);
  putUint32(key, 8, Math.floor(ordinal / 2 ** 32));
  putUint32(key, 12, ordinal);
  return key;
}

export function blockKeyOf(subKey: Uint8Array): BlockKey {
  const view = new DataView(subKey.buffer, subKey.byteOffset, subKey.byteLength);
  return {
    timeMs: view.getUint32(0) * 2 ** 32 + view.getUint32(4),
    ordinal: view.getUint32(8) * 2 ** 32 + view.getUint32(12),
  };
}

/** Of version 1 of the rule. */
export const FIRST_WINDOW_MS = 120_000;

const FORMAT = 1;
/**
 * A wallet's row whose window has another length than version 1's: that length comes second. A
 * program that knows no other reads no such row, and stops instead of adding up the wrong window.
 */
const FORMAT_WITH_WINDOW = 2;
const scratch = newPacker(4_096);

const walletCodec: Codec<WalletRow> = {
  name: "window row",
  encode(row) {
    scratch.length = 0;
    putFormat(scratch, row.windowMs);
    putCount(scratch, row.count);
    putCount(scratch, row.newestMs);
    putBigint(scratch, row.windowSumMinor);
    putCount(scratch, row.windowCount);
    putSigned(scratch, row.newestMs - row.windowFirstMs);
    putKey(scratch, row.tailKey);
    putCount(scratch, row.episode);
    putCount(scratch, row.eventWindow === null ? 0 : 1);
    if (row.eventWindow !== null) {
      putSigned(scratch, row.eventWindow.startMs);
      putCount(scratch, row.eventWindow.endMs - row.eventWindow.startMs);
    }
    putKey(scratch, row.openKey);
    putHead(scratch, row.openHead);
    putRest(scratch, packedEntries(row.openEntries));
    return packed(scratch);
  },
  decode(bytes) {
    const from = unpack(bytes);
    const windowMs = takeWindowMs(from);
    const count = takeCount(from);
    const newestMs = takeCount(from);
    const windowSumMinor = takeBigint(from);
    const windowCount = takeCount(from);
    const windowFirstMs = newestMs - takeSigned(from);
    const tailKey = takeKey(from);
    const episode = takeCount(from);
    const eventWindow = takeCount(from) === 0 ? null : takeWindow(from);
    const openKey = takeKey(from);
    const openHead = takeHead(from);
    const openEntries = unpackEntries(openHead.count, takeRest(from));
    return {
      count,
      newestMs,
      windowMs,
      windowSumMinor,
      windowCount,
      windowFirstMs,
      tailKey,
      tail: null,
      episode,
      eventWindow,
      openKey,
      openHead,
      openEntries,
    };
  },
};

const headCodec: Codec<BlockHead> = {
  name: "block head row",
  encode(head) {
    scratch.length = 0;
    putCount(scratch, FORMAT);
    putHead(scratch, head);
    return packed(scratch);
  },
  decode(bytes) {
    const from = unpack(bytes);
    takeFormat(from);
    const head = takeHead(from);
    takeEnd(from);
    return head;
  },
};

const entriesCodec: Codec<Entries> = {
  name: "block entries row",
  encode(entries) {
    scratch.length = 0;
    putCount(scratch, FORMAT);
    putCount(scratch, entries.count);
    putRest(scratch, packedEntries(entries));
    return packed(scratch);
  },
  decode(bytes) {
    const from = unpack(bytes);
    takeFormat(from);
    return unpackEntries(takeCount(from), takeRest(from));
  },
};

export const walletRow: RowKind<WalletRow> = { name: "window", tag: 1, codec: walletCodec };

/** Sub-key: `blockSubKey`. */
export const blockHeadRow: RowKind<BlockHead> = { name: "block head", tag: 2, codec: headCodec };

/** Sub-key: the same as its head's. */
export const blockEntriesRow: RowKind<Entries> = {
  name: "block entries",
  tag: 3,
  codec: entriesCodec,
};

/** The lower 32 bits, big-endian. A DataView for each key takes longer than all else here. */
function putUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function putKey(packer: Packer, key: BlockKey): void {
  putCount(packer, key.timeMs);
  putCount(packer, key.ordinal);
}

function takeKey(from: Unpacker): BlockKey {
  return { timeMs: takeCount(from), ordinal: takeCount(from) };
}

function putHead(packer: Packer, head: BlockHead): void {
  putBigint(packer, head.sumMinor);
  putCount(packer, head.count);
  putCount(packer, head.firstMs);
  putCount(packer, head.lastMs - head.firstMs);
}

function takeHead(from: Unpacker): BlockHead {
  const sumMinor = takeBigint(from);
  const count = takeCount(from);
  const firstMs = takeCount(from);
  return { sumMinor, count, firstMs, lastMs: firstMs + takeCount(from) };
}

function takeWindow(from: Unpacker): Window {
  const startMs = takeSigned(from);
  return { startMs, endMs: startMs + takeCount(from) };
}

function putFormat(packer: Packer, windowMs: number): void {
  if (windowMs === FIRST_WINDOW_MS) return putCount(packer, FORMAT);
  putCount(packer, FORMAT_WITH_WINDOW);
  putCount(packer, windowMs);
}

function takeWindowMs(from: Unpacker): number {
  const format = takeCount(from);
  if (format === FORMAT) return FIRST_WINDOW_MS;
  if (format === FORMAT_WITH_WINDOW) return takeCount(from);
  throw new Error(`detector row of format ${format}; known are 1 and ${FORMAT_WITH_WINDOW}`);
}

function takeFormat(from: Unpacker): void {
  const format = takeCount(from);
  if (format !== FORMAT) throw new Error(`detector row of format ${format}; known is ${FORMAT}`);
}
