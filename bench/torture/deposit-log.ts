/**
 * What stands in the log, read record by record and counted by rules written here a second time:
 * nothing of the groups, their tables or their rules is used.
 *
 *   topics ──log's reader, generated messages──> records ──first of an id counts──> wallets
 */

import { fromBinary } from "@bufbuild/protobuf";
import { DepositSchema } from "../../src/gen/depositaja/v1/deposit_pb.ts";
import {
  type FlagEvent,
  FlagWalletSchema,
  type OperatorAction,
} from "../../src/gen/depositaja/v1/flag_wallet_pb.ts";
import type { EventLog, LogRecord } from "../../src/log/event-log.ts";
import { keyOf } from "./witness.ts";

export interface LoggedDeposit {
  readonly wallet: string;
  readonly id: string | null;
  readonly amountMinor: bigint;
  readonly timeMs: number;
  readonly position: string;
}

export interface WalletLog {
  /** In log order; repeats and conflicts left out. */
  readonly counted: LoggedDeposit[];
  readonly events: FlagEvent[];
  readonly actions: OperatorAction[];
}

export interface DepositLog {
  readonly wallets: ReadonlyMap<string, WalletLog>;
  /** Every record, by `<partition>-<offset>`. */
  readonly byPosition: ReadonlyMap<string, LoggedDeposit>;
  /** The first record of each wallet's id. */
  readonly firstOfId: ReadonlyMap<string, LoggedDeposit>;
  /** Records whose id was counted before, with the same amount and with another one. */
  readonly repeats: number;
  readonly conflicts: number;
}

const decoder = new TextDecoder();

export async function readDepositLog(log: EventLog, partitions: number): Promise<DepositLog> {
  const wallets = new Map<string, WalletLog>();
  const byPosition = new Map<string, LoggedDeposit>();
  const firstOfId = new Map<string, LoggedDeposit>();
  let repeats = 0;
  let conflicts = 0;
  const walletOf = (record: LogRecord): WalletLog => {
    const name = decoder.decode(record.key);
    const wallet = wallets.get(name) ?? { counted: [], events: [], actions: [] };
    wallets.set(name, wallet);
    return wallet;
  };
  for await (const record of allRecords(log, "deposit", partitions)) {
    const deposit = depositOf(record);
    byPosition.set(deposit.position, deposit);
    const id = deposit.id === null ? null : keyOf(deposit.wallet, deposit.id);
    const first = id === null ? undefined : firstOfId.get(id);
    if (first === undefined) {
      if (id !== null) firstOfId.set(id, deposit);
      walletOf(record).counted.push(deposit);
    } else if (first.amountMinor === deposit.amountMinor) repeats += 1;
    else conflicts += 1;
  }
  for await (const record of allRecords(log, "flag_wallet", partitions)) {
    const { kind } = fromBinary(FlagWalletSchema, record.value ?? new Uint8Array());
    if (kind.case === "event") walletOf(record).events.push(kind.value);
    if (kind.case === "action") walletOf(record).actions.push(kind.value);
  }
  return { wallets, byPosition, firstOfId, repeats, conflicts };
}

/** Of one topic, partition after partition. */
export async function* allRecords(
  log: EventLog,
  topic: string,
  partitions: number,
): AsyncGenerator<LogRecord> {
  for (let partition = 0; partition < partitions; partition += 1) {
    const { start, end } = await log.bounds(topic, partition);
    for await (const batch of log.read({ topic, partition, from: start, until: end })) {
      yield* batch;
    }
  }
}

function depositOf(record: LogRecord): LoggedDeposit {
  const { amountMinor, acceptedAtMs } = fromBinary(DepositSchema, record.value ?? new Uint8Array());
  const id = record.headers.find(([name]) => name === "id")?.[1];
  return {
    wallet: decoder.decode(record.key),
    id: id === undefined ? null : decoder.decode(id),
    amountMinor,
    timeMs: Number(acceptedAtMs),
    position: `${record.partition}-${record.offset}`,
  };
}
