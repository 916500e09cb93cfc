/**
 * What is said of a wallet: its balance and whether it is above the threshold.
 *
 *   path segment ──kept answer, stores unchanged?──> its text
 *                  └── no ──views──> text, kept
 *
 * A partition's answers are kept while the versions of the two stores that they were read from
 * stand. A look at these costs as much as the whole rest of a request, so that they are looked at
 * again only after a change was heard of, or after LOOK_EVERY_MS: what another process changed may
 * be seen that much later. Who needs to see a certain deposit asks with its position.
 */

import { balanceRow } from "../collector/balance-row.ts";
import { checkedWalletId } from "../deposits/deposit.ts";
import { DepositError } from "../deposits/deposit-error.ts";
import { flagRow, isFlagged } from "../flagger/flag-rows.ts";
import type { EventLog } from "../log/event-log.ts";
import { formatNumber } from "../money.ts";
import { murmur2, partitionOf } from "../stream/partitioner.ts";
import type { View } from "../stream/view.ts";
import { ServiceError } from "./problem.ts";
import { KeptTexts } from "./kept-texts.ts";

/** Over all partitions: some 12 MB. A partition that is full begins anew. */
const MAX_KEPT_ANSWERS = 131_072;
/** A change of another process is heard of within about a millisecond; this is the net below. */
const LOOK_EVERY_MS = 5;
/** While changes come faster than this, a partition's versions are looked at this often. */
const LOOK_AT_MOST_EVERY_MS = 1;

const encoder = new TextEncoder();

/** What is kept of a partition. */
interface Kept {
  /** By wallet id. */
  readonly texts: KeptTexts;
  /** Of the stores, when they were looked at last. -1: can't be told, nothing is kept. */
  balanceVersion: number;
  flaggerVersion: number;
  lookedAtMs: number;
  /** How many changes had been heard of then. */
  change: number;
}

export interface WalletAnswersOptions {
  readonly log: Pick<EventLog, "onChange">;
  readonly views: { readonly balance: View; readonly flagger: View };
  readonly partitions: number;
  readonly decimals: number;
  /** Whether a wallet is above the threshold is not told. */
  readonly hidesFlags?: boolean;
}

export class WalletAnswers {
  private readonly partitions: Kept[];
  private change = 0;

  constructor(private readonly options: WalletAnswersOptions) {
    const maxTexts = Math.ceil(MAX_KEPT_ANSWERS / options.partitions);
    this.partitions = Array.from({ length: options.partitions }, () => ({
      texts: new KeptTexts(maxTexts),
      balanceVersion: -1,
      flaggerVersion: -1,
      lookedAtMs: Number.NEGATIVE_INFINITY,
      change: 0,
    }));
    options.log.onChange(() => {
      this.change += 1;
    });
  }

  /** The JSON text for a wallet id as it stands in a path. Throws `invalid_wallet_id`. */
  of(segment: string): string {
    const walletId = segment.includes("%") ? walletIdOf(segment) : segment;
    const key = encoder.encode(walletId);
    const hash = murmur2(key);
    const kept = this.upToDate(partitionOf(key, this.options.partitions));
    const known = kept.texts.get(hash, key);
    if (known !== null) return known;
    const text = this.read(walletIdOf(segment));
    if (kept.balanceVersion !== -1 && kept.flaggerVersion !== -1) kept.texts.add(hash, key, text);
    return text;
  }

  /** From here on every answer of the partition is as new as its stores are now. */
  lookAgain(partition: number): void {
    (this.partitions[partition] as Kept).lookedAtMs = Number.NEGATIVE_INFINITY;
  }

  private read(walletId: string): string {
    const { views, decimals, hidesFlags = false } = this.options;
    const totalMinor = views.balance.get(walletId, balanceRow)?.totalMinor ?? 0n;
    const balance = formatNumber(totalMinor, decimals);
    const start = `{"wallet_id":${JSON.stringify(walletId)},"balance":${balance}`;
    if (hidesFlags) return `${start}}`;
    return `${start},"above_threshold":${isFlagged(views.flagger.get(walletId, flagRow))}}`;
  }

  /** Looked at before rows are read: a change in between makes what was read look old. */
  private upToDate(partition: number): Kept {
    const kept = this.partitions[partition] as Kept;
    const nowMs = performance.now();
    const goodMs = kept.change === this.change ? LOOK_EVERY_MS : LOOK_AT_MOST_EVERY_MS;
    if (nowMs - kept.lookedAtMs < goodMs) return kept;
    const balanceVersion = this.options.views.balance.version(partition);
    const flaggerVersion = this.options.views.flagger.version(partition);
    if (balanceVersion !== kept.balanceVersion || flaggerVersion !== kept.flaggerVersion) {
      kept.texts.clear();
      kept.balanceVersion = balanceVersion;
      kept.flaggerVersion = flaggerVersion;
    }
    kept.lookedAtMs = nowMs;
    kept.change = this.change;
    return kept;
  }
}

/** The wallet id of a path segment. Throws `invalid_wallet_id`. */
export function walletIdOf(segment: string): string {
  const walletId = decoded(segment);
  if (walletId !== null) return checkedWalletId(walletId);
  throw new DepositError("invalid_wallet_id", "wallet_id has a broken percent-encoding");
}

/** `what` is missing, as far as is known here. */
export function unknownWallet(walletId: string, what: string): ServiceError {
  return new ServiceError("unknown_wallet", `${what} of the wallet ${JSON.stringify(walletId)}`);
}

function decoded(segment: string): string | null {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}
