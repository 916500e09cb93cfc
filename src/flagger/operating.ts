/**
 * What an operator does to a wallet's flag, and its rules: the same in the shell and over HTTP.
 *
 *   add:     checked ──> flag_wallet
 *   removal: what stands ──what was seen?──> flag_wallet ──what stands then──> gone, or stays
 */

import { walletIdProblem } from "../deposits/deposit.ts";
import type { FlagWallet } from "../gen/depositaja/v1/flag_wallet_pb.ts";
import type { Emitter } from "../stream/emitter.ts";
import type { Position } from "../stream/position.ts";
import type { FlagSummary } from "./evidence.ts";
import { actorProblem, type NewAction, newAction, reasonProblem } from "./flag-wallet.ts";

export type OperatorErrorCode =
  | "invalid_wallet_id"
  | "invalid_actor"
  | "invalid_reason"
  /** There is nothing to remove. */
  | "not_flagged"
  /** A removal of an event that is not there, which nobody can have seen. */
  | "unknown_event"
  /** The removal is written, and the wallet is flagged all the same. */
  | "stays_flagged";

/** The one error of this layer. The message can be shown to the operator. */
export class OperatorError extends Error {
  override readonly name = "OperatorError";
  constructor(
    readonly code: OperatorErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** Throws OperatorError; also before anything is known of the wallet, so that a prompt can wait. */
export function checkOperator(action: {
  readonly walletId: string;
  readonly actor: string;
  readonly reason: string;
}): void {
  check("invalid_wallet_id", walletIdProblem(action.walletId));
  check("invalid_actor", actorProblem(action.actor));
  check("invalid_reason", reasonProblem(action.reason));
}

/** What a removal says it covers, and the words of whoever is asked for it. */
export interface Removal {
  readonly walletId: string;
  /** Null: all that is there now. */
  readonly seenOrdinal: number | null;
  /** What the operator knows the ordinal as: `--seen`, `seen_event`. */
  readonly seenName: string;
  /** Where to look: "`flags`", "GET /flags/alice". */
  readonly lookWith: string;
}

/**
 * The ordinal that a removal covers. `summary`: with everything settled that was written before.
 * Throws OperatorError `not_flagged`, `unknown_event`.
 */
export function seenByRemoval(summary: FlagSummary, removal: Removal): number {
  const { walletId, seenOrdinal, seenName, lookWith } = removal;
  const { newestOrdinal } = summary;
  if (!summary.isFlagged) {
    throw new OperatorError(
      "not_flagged",
      `${walletId} is not flagged: there is nothing to remove`,
    );
  }
  if (seenOrdinal === null || seenOrdinal <= newestOrdinal) return seenOrdinal ?? newestOrdinal;
  throw new OperatorError(
    "unknown_event",
    `${seenName} ${seenOrdinal} is beyond the newest event of ${walletId}, which is ` +
      `${newestOrdinal}: a removal covers what was seen; look with ${lookWith}`,
  );
}

/** `after`: with the removal settled. Throws OperatorError `stays_flagged`. */
export function checkRemoved(
  after: FlagSummary,
  { walletId, seenOrdinal, lookWith }: Removal & { readonly seenOrdinal: number },
): void {
  if (!after.isFlagged) return;
  const covered = seenOrdinal === 0 ? "no event" : `events up to ${seenOrdinal}`;
  throw new OperatorError(
    "stays_flagged",
    after.newestOrdinal > after.coveredOrdinal
      ? `${walletId} stays flagged: event ${after.newestOrdinal} is newer than what the removal ` +
          `covers, ${covered}; look with ${lookWith}`
      : `${walletId} stays flagged: an operator flagged it meanwhile`,
  );
}

/**
 * Writes the action; `id` makes a retry safe. Resolves when durable. Rejects with OperatorError,
 * or as `EventLog.append` does.
 */
export async function submitAction(
  flagWallet: Emitter<FlagWallet>,
  action: NewAction & { readonly walletId: string; readonly id: string },
): Promise<Position> {
  checkOperator(action);
  return flagWallet.emit({ key: action.walletId, message: newAction(action), id: action.id });
}

function check(code: OperatorErrorCode, problem: string | null): void {
  if (problem !== null) throw new OperatorError(code, problem);
}
