/**
 * What the collector's table must hold of a wallet.
 *
 *   counted deposits ──summed──> balance, count, the last ones ──against──> rows
 */

import { countOnce } from "./counting.ts";
import type { WalletPlace } from "./place.ts";
import { MAX_LAST } from "./published-rule.ts";
import { balanceBytes } from "./row-bytes.ts";
import { BALANCE_FORMAT, ID_FORMAT } from "./row-formats.ts";
import { compareRows, type ExpectedRow, type FoundRows } from "./rows.ts";
import type { Arrival } from "./scratch.ts";

const FORMATS = [ID_FORMAT, BALANCE_FORMAT];

export function proveBalance(
  arrivals: readonly Arrival[],
  found: FoundRows,
  at: WalletPlace,
): void {
  const { counted, idRows } = countOnce(arrivals, ({ amount }) => String(amount), at);
  const folded = counted.filter(({ offset }) => offset < at.folded);
  const newest = folded.at(-1);
  const rows: ExpectedRow[] = [...idRows];
  if (newest !== undefined) {
    const value = {
      totalMinor: folded.reduce((sum, { amount }) => sum + BigInt(amount ?? 0), 0n),
      count: folded.length,
      last: folded.slice(-MAX_LAST).map(({ offset, id, amount, at_ms }) => ({
        partition: at.partition,
        offset: BigInt(offset),
        id,
        amountMinor: BigInt(amount ?? 0),
        acceptedAtMs: at_ms ?? 0,
      })),
    };
    const bytes = balanceBytes(value);
    rows.push({ format: BALANCE_FORMAT, subKey: "", value, offset: newest.offset, bytes });
  }
  compareRows(found, rows, FORMATS, at);
}
