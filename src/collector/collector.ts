/**
 * The collector, group `balance`: what a wallet holds.
 *
 *   deposit ──> collector ──> balance-table ──views──> GET /check, `check`, repeats of a key
 *
 * After the collector of the Goka example that this program follows, which keeps every deposit in
 * one value and sums it at each read; here the total runs along and the history is bounded.
 */

import { depositFingerprint, depositStream } from "../deposits/deposit.ts";
import { defineGroup, input } from "../stream/group.ts";
import { type BalanceRow, balanceRow, type LastDeposit, MAX_LAST_DEPOSITS } from "./balance-row.ts";

/** The rule: one more deposit counted. `row` is null for a new wallet. */
export function addDeposit(row: BalanceRow | null, deposit: LastDeposit): BalanceRow {
  if (row === null) return { totalMinor: deposit.amountMinor, count: 1, last: [deposit] };
  const last =
    row.last.length < MAX_LAST_DEPOSITS
      ? [...row.last, deposit]
      : [...row.last.slice(1 - MAX_LAST_DEPOSITS), deposit];
  return { totalMinor: row.totalMinor + deposit.amountMinor, count: row.count + 1, last };
}

export const balanceGroup = defineGroup({
  name: "balance",
  inputs: [
    input(
      depositStream,
      (context, message) => {
        const { partition, offset, id } = context.record;
        const { amountMinor } = message;
        const acceptedAtMs = Number(message.acceptedAtMs);
        const deposit = { partition, offset, id, amountMinor, acceptedAtMs };
        context.set(balanceRow, addDeposit(context.get(balanceRow), deposit));
      },
      { fingerprint: depositFingerprint },
    ),
  ],
  rows: [balanceRow],
});
