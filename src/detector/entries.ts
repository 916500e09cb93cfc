/**
 * Entries: a wallet's counted deposits, in blocks, ordered by event time and then by ordinal. A
 * list of entries is packed bytes that are read only when someone looks inside: a deposit in order
 * is appended to the bytes of the newest block without reading one of its neighbours.
 *
 *   deposit ──appendEntry──> Entries ──entriesOf──> window sums, evidence
 *
 * Lists are values. Several of them share one growing buffer, as Go's slices do: appending to the
 * longest writes behind it, where none of the others looks; appending to another one copies.
 */

import {
  newPacker,
  type Packer,
  putBigint,
  putCount,
  putSigned,
  putText,
  takeBigint,
  takeCount,
  takeSigned,
  takeText,
  type Unpacker,
  unpack,
} from "../stream/packing.ts";

/** A counted deposit. */
export interface Entry {
  /** Event time, Unix milliseconds. */
  readonly timeMs: number;
  /** The how-manieth counted deposit of the wallet in log order, from 1. */
  readonly ordinal: number;
  readonly amountMinor: bigint;
  /** Its offset; its partition is the wallet's. */
  readonly offset: bigint;
  /** The client's own id; null when it gave none. */
  readonly id: string | null;
}

/** A list of entries, ordered. Fields but `count` and `lengthBytes` are this module's own. */
export interface Entries {
  readonly count: number;
  readonly packer: Packer;
  /** How much of the packer's bytes is this list's. */
  readonly lengthBytes: number;
  /** The newest; null in an empty list, and while nobody looked. */
  last: Entry | null;
  /** What the bytes say; its first `count` are this list's. Null while nobody looked. */
  items: Entry[] | null;
}

export function noEntries(): Entries {
  return { count: 0, packer: newPacker(INITIAL_BYTES), lengthBytes: 0, last: null, items: [] };
}

/** Whether `a` comes before `b`. */
export function isBefore(
  a: { readonly timeMs: number; readonly ordinal: number },
  b: { readonly timeMs: number; readonly ordinal: number },
): boolean {
  return a.timeMs < b.timeMs || (a.timeMs === b.timeMs && a.ordinal < b.ordinal);
}

/** The list with one more at its end; `entry` must not come before its last. */
export function appendEntry(entries: Entries, entry: Entry): Entries {
  const last = lastOf(entries);
  const packer = writable(entries);
  putEntry(packer, last, entry);
  let items = entries.items;
  if (items !== null) {
    if (items.length > entries.count) items = items.slice(0, entries.count);
    items.push(entry);
  }
  return { count: entries.count + 1, packer, lengthBytes: packer.length, last: entry, items };
}

export function entriesFrom(items: readonly Entry[]): Entries {
  return items.reduce(appendEntry, noEntries());
}

/** The entries, in order. Shared: do not change the array. */
export function entriesOf(entries: Entries): readonly Entry[] {
  const items = itemsOf(entries);
  return items.length === entries.count ? items : items.slice(0, entries.count);
}

/** The entry at `index`, 0 to `count` - 1. */
export function entryAt(entries: Entries, index: number): Entry {
  const entry = index < entries.count ? itemsOf(entries)[index] : undefined;
  if (entry === undefined) throw new RangeError(`no entry ${index} among ${entries.count}`);
  return entry;
}

/** A place in a list, and the entry there. */
export interface EntryPlace {
  readonly entries: Entries;
  readonly entry: Entry;
  readonly index: number;
  /** Where the bytes of the entry after it begin. */
  readonly nextAt: number;
}

/**
 * The entry after a place, or the list's first one; null past the last. Entries are read one by
 * one: a block of which one at a time is needed is never held decoded.
 */
export function nextPlace(entries: Entries, place: EntryPlace | null): EntryPlace | null {
  const index = place === null ? 0 : place.index + 1;
  if (index >= entries.count) return null;
  const from: Unpacker = { bytes: entries.packer.bytes, at: place === null ? 0 : place.nextAt };
  const entry = takeEntry(from, place === null ? null : place.entry);
  return { entries, entry, index, nextAt: from.at };
}

/** How many entries have a time of at most `timeMs`. */
export function countUpTo(entries: Entries, timeMs: number): number {
  const items = itemsOf(entries);
  let low = 0;
  let high = entries.count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((items[middle] as Entry).timeMs <= timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The list with `entry` in its place. */
export function insertEntry(entries: Entries, entry: Entry): Entries {
  const items = entriesOf(entries);
  let at = countUpTo(entries, entry.timeMs);
  while (at > 0 && isBefore(entry, items[at - 1] as Entry)) at--;
  return entriesFrom([...items.slice(0, at), entry, ...items.slice(at)]);
}

/** The list's bytes, for a row. A view. */
export function packedEntries(entries: Entries): Uint8Array {
  return entries.packer.bytes.subarray(0, entries.lengthBytes);
}

/** The list in a row's bytes, of which it keeps a view. */
export function unpackEntries(count: number, bytes: Uint8Array): Entries {
  const packer = { bytes, length: bytes.length };
  return { count, packer, lengthBytes: bytes.length, last: null, items: null };
}

/** Room for a few entries; it doubles. */
const INITIAL_BYTES = 64;

function lastOf(entries: Entries): Entry | null {
  if (entries.count === 0) return null;
  entries.last ??= entryAt(entries, entries.count - 1);
  return entries.last;
}

function itemsOf(entries: Entries): Entry[] {
  if (entries.items !== null) return entries.items;
  const from = unpack(packedEntries(entries));
  const items: Entry[] = [];
  for (let i = 0; i < entries.count; i++) items.push(takeEntry(from, items[i - 1] ?? null));
  if (from.at !== from.bytes.length) throw new RangeError("packed entries are too long");
  entries.items = items;
  return items;
}

/** The list's packer when nothing was written behind the list; else a copy of its own. */
function writable(entries: Entries): Packer {
  if (entries.packer.length === entries.lengthBytes) return entries.packer;
  const packer = newPacker(Math.max(INITIAL_BYTES, 2 * entries.lengthBytes));
  packer.bytes.set(packedEntries(entries));
  packer.length = entries.lengthBytes;
  return packer;
}

/** Times and ordinals as steps, ids without what they share with the one before. */
function putEntry(packer: Packer, previous: Entry | null, entry: Entry): void {
  putCount(packer, entry.timeMs - (previous?.timeMs ?? 0));
  putSigned(packer, entry.ordinal - (previous?.ordinal ?? 0));
  putBigint(packer, entry.amountMinor);
  putBigint(packer, entry.offset);
  if (entry.id === null) {
    putCount(packer, 0);
    return;
  }
  const shared = sharedLength(previous?.id ?? "", entry.id);
  putCount(packer, shared + 1);
  putText(packer, shared === 0 ? entry.id : entry.id.slice(shared));
}

function takeEntry(from: Unpacker, previous: Entry | null): Entry {
  const timeMs = (previous?.timeMs ?? 0) + takeCount(from);
  const ordinal = (previous?.ordinal ?? 0) + takeSigned(from);
  const amountMinor = takeBigint(from);
  const offset = takeBigint(from);
  const shared = takeCount(from) - 1;
  const id = shared < 0 ? null : (previous?.id ?? "").slice(0, shared) + takeText(from);
  return { timeMs, ordinal, amountMinor, offset, id };
}

/** UTF-16 units that both begin with; never splits a surrogate pair. */
function sharedLength(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let shared = 0;
  while (shared < most && a.charCodeAt(shared) === b.charCodeAt(shared)) shared++;
  const isHighSurrogate = shared > 0 && (a.charCodeAt(shared - 1) & 0xfc00) === 0xd800;
  return isHighSurrogate ? shared - 1 : shared;
}
