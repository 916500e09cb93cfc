/**
 * A balance as JSON: amounts as decimal strings, times as Unix milliseconds and in UTC.
 *
 *   balance row ──> one JSON value ──> `check --json`
 */

import { utcText } from "../deposits/deposit.ts";
import { formatDecimal } from "../money.ts";
import { formatPosition } from "../stream/position.ts";
import type { BalanceRow, LastDeposit } from "./balance-row.ts";

/** `row` is null for a wallet without a deposit. */
export function balanceJson(walletId: string, row: BalanceRow | null, decimals: number) {
  const last = row?.last ?? [];
  const newest = last.at(-1);
  return {
    wallet_id: walletId,
    balance: formatDecimal(row?.totalMinor ?? 0n, decimals),
    deposit_count: row?.count ?? 0,
    last_deposits: last.map((deposit) => lastDepositJson(deposit, decimals)),
    position: newest === undefined ? null : formatPosition(newest),
  };
}

function lastDepositJson(deposit: LastDeposit, decimals: number) {
  return {
    deposit_id: formatPosition(deposit),
    client_id: deposit.id,
    amount: formatDecimal(deposit.amountMinor, decimals),
    accepted_at_ms: deposit.acceptedAtMs,
    accepted_at: utcText(deposit.acceptedAtMs),
  };
}
