/**
 * The two rows that every wallet has, as they must be stored: where the bytes agree, nothing has
 * to be decoded. row-formats.ts reads what differs.
 *
 *   recomputed values ──packed──> bytes
 */

import {
  newPacker,
  type Packer,
  packed,
  putBigint,
  putCount,
  putSigned,
  putText,
} from "../../stream/packing.ts";
import { WINDOW_MS } from "./published-rule.ts";
import type { BalanceValue, BlockKey, Entry, WindowValue } from "./row-formats.ts";

const FORMAT = 1;
const FORMAT_WITH_WINDOW = 2;
const scratch = newPacker(4_096);

export function balanceBytes({ totalMinor, count, last }: BalanceValue): Uint8Array {
  scratch.length = 0;
  putCount(scratch, FORMAT);
  putBigint(scratch, totalMinor);
  putCount(scratch, count);
  putCount(scratch, last.length);
  for (const { partition, offset, id, amountMinor, acceptedAtMs } of last) {
    putCount(scratch, partition);
    putBigint(scratch, offset);
    putCount(scratch, id === null ? 0 : 1);
    if (id !== null) putText(scratch, id);
    putBigint(scratch, amountMinor);
    putCount(scratch, acceptedAtMs);
  }
  return packed(scratch);
}

export function windowBytes(value: WindowValue): Uint8Array {
  const { eventWindow, openHead } = value;
  scratch.length = 0;
  // Version 1's length goes without saying.
  putCount(scratch, value.windowMs === WINDOW_MS ? FORMAT : FORMAT_WITH_WINDOW);
  if (value.windowMs !== WINDOW_MS) putCount(scratch, value.windowMs);
  putCount(scratch, value.count);
  putCount(scratch, value.newestMs);
  putBigint(scratch, value.windowSumMinor);
  putCount(scratch, value.windowCount);
  putSigned(scratch, value.newestMs - value.windowFirstMs);
  putKey(scratch, value.tailKey);
  putCount(scratch, value.episode);
  putCount(scratch, eventWindow === null ? 0 : 1);
  if (eventWindow !== null) {
    putSigned(scratch, eventWindow.startMs);
    putCount(scratch, eventWindow.endMs - eventWindow.startMs);
  }
  putKey(scratch, value.openKey);
  putBigint(scratch, openHead.sumMinor);
  putCount(scratch, openHead.count);
  putCount(scratch, openHead.firstMs);
  putCount(scratch, openHead.lastMs - openHead.firstMs);
  putEntries(scratch, value.openEntries);
  return packed(scratch);
}

function putKey(to: Packer, { timeMs, ordinal }: BlockKey): void {
  putCount(to, timeMs);
  putCount(to, ordinal);
}

function putEntries(to: Packer, entries: readonly Entry[]): void {
  let before = { timeMs: 0, ordinal: 0, id: "" };
  for (const { timeMs, ordinal, amountMinor, offset, id } of entries) {
    putCount(to, timeMs - before.timeMs);
    putSigned(to, ordinal - before.ordinal);
    putBigint(to, amountMinor);
    putBigint(to, offset);
    if (id === null) putCount(to, 0);
    else {
      const shared = sharedUnits(before.id, id);
      putCount(to, shared + 1);
      putText(to, id.slice(shared));
    }
    before = { timeMs, ordinal, id: id ?? "" };
  }
}

/** What both begin with; a pair of surrogates is shared whole or not at all. */
function sharedUnits(a: string, b: string): number {
  let shared = 0;
  while (shared < a.length && shared < b.length && a[shared] === b[shared]) shared += 1;
  const last = shared === 0 ? 0 : a.charCodeAt(shared - 1);
  return last >= 0xd800 && last < 0xdc00 ? shared - 1 : shared;
}
