/**
 * What is said of a wallet: its balance and whether it is above the threshold.
 *
 *   path segment ──kept answer, stores unchanged?──> its text
 *                  └── no ──decode, views──> text, kept
 *
 * An answer is kept with the versions of the two stores that it was read from, and is good while
 * both stand. A look at them costs as much as the whole rest of a request, so that they are looked
 * at again only after a change was heard of, or after LOOK_EVERY_MS: what another process changed
 * may be seen that much later. Who needs to see a certain deposit asks with its position.
 */

import { balanceRow } from "../collector/balance-row.ts";
import { walletIdProblem } from "../deposits/deposit.ts";
import { DepositError } from "../deposits/deposit-error.ts";
import { flagRow, isFlagged } from "../flagger/flag-rows.ts";
import type { EventLog } from "../log/event-log.ts";
import { formatNumber } from "../money.ts";
import type { View } from "../stream/view.ts";

/** In each of two generations: some 30 MB at most for both, all of a busy day's wallets. */
const MAX_KEPT_ANSWERS = 65_536;

/** A change of another process is heard of within about a millisecond; this is the net below. */
const LOOK_EVERY_MS = 5;
/** While changes come faster than this, a partition's versions are looked at this often. */
const LOOK_AT_MOST_EVERY_MS = 1;

interface Kept {
  readonly text: string;
  readonly partition: number;
  readonly versions: Versions;
}

/** Of the stores of one partition. -1: can't be told, nothing is kept. */
interface Versions {
  readonly balance: number;
  readonly flagger: number;
}

/** A partition's versions, and how old they are. */
interface Look {
  readonly versions: Versions;
  readonly atMs: number;
  /** The changes heard of before. */
  readonly change: number;
}

export interface WalletAnswersOptions {
  readonly log: Pick<EventLog, "onChange">;
  readonly views: { readonly balance: View; readonly flagger: View };
  readonly decimals: number;
}

export class WalletAnswers {
  private young = new Map<string, Kept>();
  private old = new Map<string, Kept>();
  private readonly looks: (Look | undefined)[] = [];
  private change = 0;

  constructor(private readonly options: WalletAnswersOptions) {
    options.log.onChange(() => {
      this.change += 1;
    });
  }

  /**
   * The JSON text for a wallet id as it stands in a path. Throws `invalid_wallet_id`.
   */
  of(segment: string): string {
    const kept = this.young.get(segment) ?? this.old.get(segment);
    if (kept !== undefined) {
      const { balance, flagger } = this.versionsOf(kept.partition);
      if (kept.versions.balance === balance && kept.versions.flagger === flagger) return kept.text;
    }
    const walletId = walletIdOf(segment);
    const partition = this.options.views.balance.partitionOf(walletId);
    // Looked up before the rows are read: a change in between makes the kept text look old.
    const versions = this.versionsOf(partition);
    const text = this.read(walletId);
    if (versions.balance !== -1 && versions.flagger !== -1) {
      this.keep(segment, { text, partition, versions });
    }
    return text;
  }

  private read(walletId: string): string {
    const { views, decimals } = this.options;
    const totalMinor = views.balance.get(walletId, balanceRow)?.totalMinor ?? 0n;
    const isAbove = isFlagged(views.flagger.get(walletId, flagRow));
    return (
      `{"wallet_id":${JSON.stringify(walletId)},"balance":${formatNumber(totalMinor, decimals)},` +
      `"above_threshold":${isAbove}}`
    );
  }

  /** From here on every answer of the partition is as new as its stores are now. */
  lookAgain(partition: number): void {
    this.looks[partition] = undefined;
  }

  private versionsOf(partition: number): Versions {
    const known = this.looks[partition];
    const nowMs = performance.now();
    const goodMs = known?.change === this.change ? LOOK_EVERY_MS : LOOK_AT_MOST_EVERY_MS;
    if (known !== undefined && nowMs - known.atMs < goodMs) return known.versions;
    const { balance, flagger } = this.options.views;
    const versions = { balance: balance.version(partition), flagger: flagger.version(partition) };
    this.looks[partition] = { versions, atMs: nowMs, change: this.change };
    return versions;
  }

  private keep(segment: string, kept: Kept): void {
    if (this.young.size >= MAX_KEPT_ANSWERS) {
      this.old = this.young;
      this.young = new Map();
    }
    this.young.set(segment, kept);
  }
}

/** The wallet id of a path segment. Throws `invalid_wallet_id`. */
export function walletIdOf(segment: string): string {
  const walletId = decoded(segment);
  const problem =
    walletId === null ? "wallet_id has a broken percent-encoding" : walletIdProblem(walletId);
  if (problem !== null) throw new DepositError("invalid_wallet_id", problem);
  return walletId as string;
}

function decoded(segment: string): string | null {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}
