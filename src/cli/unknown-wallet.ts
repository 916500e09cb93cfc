/**
 * A word on a wallet that nobody has heard of, for its id may be misspelt: to stderr, as what is
 * printed and the exit code are those of a wallet without deposits.
 *
 *   views ──known?──> note
 */

import type { App } from "../app.ts";
import { note } from "./output.ts";

export function noteUnknown({ wallets }: App, walletId: string): void {
  if (wallets.isKnown(walletId)) return;
  note(`nothing is known of the wallet ${JSON.stringify(walletId)}: is its id spelt so?`);
}
