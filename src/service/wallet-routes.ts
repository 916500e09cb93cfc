/**
 * The newer of the customers' answers about a wallet: amounts as decimal strings, which no client
 * rounds, and what the balance is made of.
 *
 *   GET /wallets/{wallet_id} ──views──> what `check --json` prints
 *
 * The last deposits are those that the collector keeps beside the balance, one row with it: they,
 * the count, the balance and the position are always of one moment. Whether the wallet is above the
 * threshold is the flagger's, and may be a moment older or newer.
 */

import type { Context, Hono } from "hono";
import { balanceJson } from "../collector/balance-json.ts";
import { balanceRow } from "../collector/balance-row.ts";
import { flagRow, isFlagged } from "../flagger/flag-rows.ts";
import type { View } from "../stream/view.ts";
import { ServiceError } from "./problem.ts";
import { afterOf } from "./query.ts";
import { SECURE_HEADERS } from "./secure-headers.ts";
import type { SettledReads } from "./settled-reads.ts";
import { unknownWallet, walletIdOf } from "./wallet-answers.ts";

export interface WalletParts {
  readonly views: { readonly balance: View; readonly flagger: View };
  readonly decimals: number;
  /** Why views cannot answer yet; null where there is nothing to load. */
  readonly viewProblem?: () => string | null;
}

export interface WalletRoutesOptions {
  readonly reads: SettledReads;
  /** Whether a wallet is above the threshold is not told. */
  readonly hidesFlags: boolean;
}

const WALLETS = "/wallets/";

export function addWalletRoutes(
  routes: Hono,
  parts: WalletParts,
  { reads, hidesFlags }: WalletRoutesOptions,
): void {
  const answer = async (c: Context) => {
    const walletId = walletIdOf(c.req.path.slice(WALLETS.length));
    const after = afterOf(c);
    const problem = parts.viewProblem?.() ?? null;
    if (problem !== null) throw new ServiceError("log_unavailable", problem);
    if (after !== null) {
      const partition = parts.views.balance.partitionOf(walletId);
      await reads.wait(after, { partition, signal: c.req.raw.signal, hidesFlags });
    }
    return c.json(walletJson(parts, { walletId, hidesFlags }), 200, SECURE_HEADERS);
  };
  for (const path of [WALLETS, `${WALLETS}:wallet_id`]) routes.get(path, answer);
}

/** Throws `unknown_wallet`. */
function walletJson(
  { views, decimals }: WalletParts,
  { walletId, hidesFlags }: { readonly walletId: string; readonly hidesFlags: boolean },
) {
  const row = views.balance.get(walletId, balanceRow);
  // Whatever operators did about it: that is not for customers to be told.
  if (row === null) throw unknownWallet(walletId, "no deposit has been counted");
  const { position, ...balance } = balanceJson(walletId, row, decimals);
  if (hidesFlags) return { ...balance, position };
  const isAbove = isFlagged(views.flagger.get(walletId, flagRow));
  return { ...balance, above_threshold: isAbove, position };
}
