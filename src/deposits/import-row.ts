/**
 * One row of a file to import: from its texts to a deposit that the door would take.
 *
 *   CSV fields, JSON members ──checkRow──> row, or why not
 */

import { MoneyError, parseAmount } from "../money.ts";
import { acceptedAtProblem, depositKeyProblem, walletIdProblem } from "./deposit.ts";
import { EVENT_TIME_FORM, parseEventTime } from "./event-time.ts";

export const IMPORT_COLUMNS = ["wallet_id", "amount", "accepted_at", "id"] as const;
export type ImportColumn = (typeof IMPORT_COLUMNS)[number];

export interface ImportRow {
  readonly walletId: string;
  readonly amountMinor: bigint;
  readonly acceptedAtMs: number;
  /** The row's own id; null when it has none. */
  readonly id: string | null;
}

/** Each as it stands in the file; undefined where the row has no such member. */
export interface RowTexts {
  walletId: string | undefined;
  amount: string | undefined;
  acceptedAt: string | undefined;
  id: string | undefined;
}

/** The same for every row of a file, in both passes, so that both decide alike. */
export interface RowRules {
  readonly decimals: number;
  /** Unix milliseconds, when the import began. */
  readonly nowMs: number;
}

/** The row; a text says why there is none. */
export function checkRow(texts: RowTexts, rules: RowRules): ImportRow | string {
  const { walletId, amount, acceptedAt, id } = texts;
  if (walletId === undefined) return "wallet_id is missing";
  if (amount === undefined) return "amount is missing";
  if (acceptedAt === undefined) return "accepted_at is missing";
  const problem = walletIdProblem(walletId) ?? (id === undefined ? null : depositKeyProblem(id));
  if (problem !== null) return problem;
  const acceptedAtMs = parseEventTime(acceptedAt);
  if (acceptedAtMs === null) return `accepted_at ${EVENT_TIME_FORM}`;
  const timeProblem = acceptedAtProblem(acceptedAtMs, rules.nowMs);
  if (timeProblem !== null) return timeProblem;
  try {
    const amountMinor = parseAmount(amount, rules.decimals);
    return { walletId, amountMinor, acceptedAtMs, id: id ?? null };
  } catch (error) {
    if (error instanceof MoneyError) return error.message;
    throw error;
  }
}
