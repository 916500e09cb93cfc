/**
 * What an operator does to a wallet's flag.
 *
 *   `flag`, `flag --remove` ──checked──> flag_wallet
 */

import { walletIdProblem } from "../deposits/deposit.ts";
import type { FlagWallet } from "../gen/depositaja/v1/flag_wallet_pb.ts";
import type { Emitter } from "../stream/emitter.ts";
import type { Position } from "../stream/position.ts";
import { actorProblem, type NewAction, newAction, reasonProblem } from "./flag-wallet.ts";

export type OperatorErrorCode = "invalid_wallet_id" | "invalid_actor" | "invalid_reason";

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
