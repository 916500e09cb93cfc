/**
 * The detector, group `threshold`: flags a wallet the moment its deposits exceed the limit inside
 * any rolling window.
 *
 *   deposit ──> detector ──> flag_wallet ──> flagger
 *                  └──> threshold-table
 *
 * Windows are of event time, (T - 120 s, T] for any T; nothing here reads a clock. Whatever the
 * order in which a wallet's deposits arrive, the same wallets are flagged. Window and limit can be
 * changed from a place in the log on (rule-versions.ts).
 */

import { create } from "@bufbuild/protobuf";
import { depositFingerprint, depositStream } from "../deposits/deposit.ts";
import { flagWalletStream, MAX_LISTED_DEPOSITS } from "../flagger/flag-wallet.ts";
import type { Deposit } from "../gen/depositaja/v1/deposit_pb.ts";
import {
  EpisodeOpeningSchema,
  type FlagWallet,
  FlagEventSchema,
  FlagWalletSchema,
  type WindowDeposit,
  WindowDepositSchema,
} from "../gen/depositaja/v1/flag_wallet_pb.ts";
import { type Context, defineGroup, type Group, input, type RowReader } from "../stream/group.ts";
import { formatPosition } from "../stream/position.ts";
import { MAX_BLOCK_ENTRIES, newestEntries } from "./blocks.ts";
import type { Entry } from "./entries.ts";
import type { Exceeding, Rule } from "./late-window.ts";
import { type Counted, countDeposit, type CountOptions } from "./rule.ts";
import {
  firstRule,
  newestVersion,
  RULE_ID,
  ruleControlOfInput,
  ruleVersionRow,
} from "./rule-versions.ts";
import { blockEntriesRow, blockHeadRow, walletRow } from "./window-rows.ts";

/** Deposits that came after a newer one of their wallet. */
export const LATE_COUNT = "late";

export interface ThresholdOptions {
  /** The log's scale: how many decimals an amount's minor units are. */
  readonly decimals: number;
  /** For tests: blocks that split early. */
  readonly maxBlockEntries?: number;
}

export function thresholdGroup(options: ThresholdOptions): Group {
  const first = firstRule(options.decimals);
  const { maxBlockEntries = MAX_BLOCK_ENTRIES } = options;
  /** What holds where the record in hand stands. */
  const inForce = (rows: RowReader): CountOptions => {
    const newest = newestVersion(rows);
    if (newest === null) return { rule: first, maxBlockEntries };
    const { number: version, windowMs, limitMinor } = newest;
    return { rule: { version, windowMs, limitMinor }, maxBlockEntries };
  };
  return defineGroup({
    name: "threshold",
    inputs: [
      input(
        depositStream,
        (context, deposit) => judge(context, deposit, context.ofPartition(inForce)),
        { fingerprint: depositFingerprint, control: ruleControlOfInput },
      ),
    ],
    outputs: [flagWalletStream],
    rows: [walletRow, blockHeadRow, blockEntriesRow, ruleVersionRow],
    counts: [LATE_COUNT],
  });
}

function judge(context: Context, deposit: Deposit, options: CountOptions): void {
  const row = context.get(walletRow);
  const entry: Entry = {
    timeMs: Number(deposit.acceptedAtMs),
    ordinal: (row?.count ?? 0) + 1,
    amountMinor: deposit.amountMinor,
    offset: context.record.offset,
    id: context.record.id,
  };
  const counted = countDeposit(context, row, entry, options);
  context.set(walletRow, counted.row);
  if (counted.isLate) context.count(LATE_COUNT);
  if (counted.exceeding === null) return;
  const { rule } = options;
  const message = flagEvent(context, { counted, exceeding: counted.exceeding, entry, rule });
  context.emit(flagWalletStream, context.record.key, message);
}

function flagEvent(
  context: Context,
  event: { counted: Counted; exceeding: Exceeding; entry: Entry; rule: Rule },
): FlagWallet {
  const { counted, exceeding, entry } = event;
  const { partition } = context.record;
  const value = create(FlagEventSchema, {
    ruleId: RULE_ID,
    ruleVersion: event.rule.version,
    windowStartMs: BigInt(exceeding.window.startMs),
    windowEndMs: BigInt(exceeding.window.endMs),
    totalMinor: exceeding.totalMinor.toString(),
    limitMinor: event.rule.limitMinor.toString(),
    deposit: windowDeposit(entry, partition),
    isLate: counted.isLate,
    episode: BigInt(counted.row.episode),
  });
  if (counted.isOpening) {
    const listed = newestEntries(context, counted.row, exceeding.window, MAX_LISTED_DEPOSITS);
    value.opening = create(EpisodeOpeningSchema, {
      deposits: listed.map((one) => windowDeposit(one, partition)),
      count: BigInt(exceeding.count),
    });
  }
  return create(FlagWalletSchema, { kind: { case: "event", value } });
}

function windowDeposit(entry: Entry, partition: number): WindowDeposit {
  const deposit = create(WindowDepositSchema, {
    position: formatPosition({ partition, offset: entry.offset }),
    amountMinor: entry.amountMinor,
    acceptedAtMs: BigInt(entry.timeMs),
    ordinal: BigInt(entry.ordinal),
  });
  if (entry.id !== null) deposit.clientId = entry.id;
  return deposit;
}
