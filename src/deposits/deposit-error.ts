/** The error of this domain, by codes that HTTP and commands put into their own words. */

export type DepositErrorCode =
  | "invalid_wallet_id"
  | "invalid_amount"
  | "invalid_key"
  | "invalid_time"
  /** The key was counted with another amount. The record stays and is never counted. */
  | "id_conflict"
  /** It is written, and the collector will decide once; nothing is known yet. */
  | "undecided"
  /** Too many wait. Nothing was written. */
  | "busy";

/** The one error of this layer. The message can be shown to whoever sent the deposit. */
export class DepositError extends Error {
  override readonly name = "DepositError";
  constructor(
    readonly code: DepositErrorCode,
    message: string,
  ) {
    super(message);
  }
}
