/**
 * What commands say and ask of one wallet, or of all: the one place where the domains' answers
 * stand side by side.
 *
 *   text ──checked──> wallet id, time      views ──> balance, flag, evidence
 *   operator's action ──> flag_wallet
 */

import { balanceJson } from "./collector/balance-json.ts";
import { type BalanceRow, balanceRow } from "./collector/balance-row.ts";
import { checkedWalletId } from "./deposits/deposit.ts";
import { DepositError } from "./deposits/deposit-error.ts";
import { EVENT_TIME_FORM, parseEventTime } from "./deposits/event-time.ts";
import {
  type EpisodePage,
  type FlagSummary,
  flaggedWallets,
  flagSummary,
  type WalletEvidence,
  walletEvidence,
} from "./flagger/evidence.ts";
import { evidenceJson, summaryJson } from "./flagger/evidence-json.ts";
import { flagWalletStream, type NewAction } from "./flagger/flag-wallet.ts";
import { checkOperator, checkRemoved, seenByRemoval, submitAction } from "./flagger/operating.ts";
import type { FlagWallet } from "./gen/depositaja/v1/flag_wallet_pb.ts";
import type { Emitter } from "./stream/emitter.ts";
import type { StreamPosition } from "./stream/settling.ts";
import type { View } from "./stream/view.ts";

export interface Wallets {
  /** The id as given. Throws DepositError `invalid_wallet_id`. */
  check(walletId: string): string;
  /** Where everything about the wallet stands. */
  partitionOf(walletId: string): number;
  /** With the last deposits; null for a wallet without any. */
  balance(walletId: string): BalanceRow | null;
  flag(walletId: string): FlagSummary;
  /** Of all episodes, unless a page of them is asked for. */
  evidence(walletId: string, page?: EpisodePage): WalletEvidence;
  /** Whether a deposit of it was counted, a flag event seen, or an operator acted on it. */
  isKnown(walletId: string): boolean;
  /** As JSON values. */
  balanceJson: typeof balanceJson;
  summaryJson: typeof summaryJson;
  evidenceJson: typeof evidenceJson;
  flagged(partition: number): Iterable<{ readonly walletId: string } & FlagSummary>;
  /** The event time that a text says. Throws DepositError `invalid_time`. */
  timeMs(text: string): number;
  /** Throws OperatorError. */
  checkOperator: typeof checkOperator;
  /** The rules of a removal, before and after it is written. Throw OperatorError. */
  seenByRemoval: typeof seenByRemoval;
  checkRemoved: typeof checkRemoved;
  /** Resolves when durable. Throws OperatorError. */
  act(action: NewAction & { walletId: string; id: string }): Promise<StreamPosition>;
}

export function walletsOf(options: {
  readonly flagWallet: Emitter<FlagWallet>;
  readonly views: { readonly balance: View; readonly flagger: View };
}): Wallets {
  const { balance, flagger } = options.views;
  return {
    check: checkedWalletId,
    partitionOf: (walletId) => balance.partitionOf(walletId),
    balance: (walletId) => balance.get(walletId, balanceRow),
    flag: (walletId) => flagSummary(flagger, walletId),
    evidence: (walletId, page) => walletEvidence(flagger, walletId, page),
    isKnown: (walletId) => {
      if (balance.get(walletId, balanceRow) !== null) return true;
      const newest = { before: null, limit: 1 };
      const { eventCount, actions } = walletEvidence(flagger, walletId, newest);
      return eventCount > 0 || actions.length > 0;
    },
    balanceJson,
    summaryJson,
    evidenceJson,
    flagged: (partition) => flaggedWallets(flagger, partition),
    timeMs: (text) => {
      const timeMs = parseEventTime(text);
      if (timeMs !== null) return timeMs;
      throw new DepositError("invalid_time", `"${text}" ${EVENT_TIME_FORM}`);
    },
    checkOperator,
    seenByRemoval,
    checkRemoved,
    act: async (action) => {
      const position = await submitAction(options.flagWallet, action);
      return { topic: flagWalletStream.topic, ...position };
    },
  };
}
