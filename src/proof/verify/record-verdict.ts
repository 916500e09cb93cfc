/**
 * Whether a record may be taken, by the published rules alone: what the message is and who sent it
 * under which id, or why a group has to refuse it.
 *
 *   record ──partition, message, door's rules──> what it says, or the reason of its dead letter
 */

import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { type Deposit, DepositSchema } from "../../gen/depositaja/v1/deposit_pb.ts";
import {
  type FlagEvent,
  type FlagWallet,
  FlagWalletSchema,
  type OperatorAction,
  OperatorAction_Kind,
  type WindowDeposit,
} from "../../gen/depositaja/v1/flag_wallet_pb.ts";
import type { LogRecord } from "../../log/event-log.ts";
import { protobufCodec } from "../../stream/codec.ts";
import type { DeadLetterReason } from "../../stream/dead-letter.ts";
import { ID_HEADER } from "../../stream/ids.ts";
import { takeBigint, takeCount, unpack } from "../../stream/packing.ts";
import { partitionOf } from "../../stream/partitioner.ts";
import { parsePosition } from "../../stream/position.ts";
import { MAX_KEY_BYTES } from "../../stream/row-key.ts";
import {
  MAX_ACTOR_BYTES,
  MAX_AHEAD_MS,
  MAX_COUNT,
  MAX_ID_BYTES,
  MAX_LISTED,
  MAX_REASON_BYTES,
  MAX_RULE_ID_BYTES,
  MAX_SUM_DIGITS,
  MAX_TIME_MS,
  MAX_WALLET_BYTES,
} from "./published-rule.ts";

export type Verdict<M> =
  | { readonly reason: DeadLetterReason }
  | { readonly reason: null; readonly message: M; readonly id: string | null };

export const flagWalletCodec = protobufCodec(FlagWalletSchema);

const depositCodec = protobufCodec(DepositSchema);
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function depositVerdict(record: LogRecord, partitions: number): Verdict<Deposit> {
  return verdictOf(record, partitions, {
    decode: (bytes) => {
      refuseOtherFields(bytes);
      return depositCodec.decode(bytes);
    },
    isGood: ({ amountMinor, acceptedAtMs }, { id }) => {
      const atMs = Number(acceptedAtMs);
      return (
        (id === null || isText(id, 1, MAX_ID_BYTES)) &&
        amountMinor > 0n &&
        Number.isSafeInteger(atMs) &&
        atMs >= 0 &&
        atMs <= record.timestampMs + MAX_AHEAD_MS
      );
    },
  });
}

export function flagWalletVerdict(record: LogRecord, partitions: number): Verdict<FlagWallet> {
  return verdictOf(record, partitions, {
    decode: (bytes) => flagWalletCodec.decode(bytes),
    isGood: ({ kind }) => {
      if (kind.case === "event") return isGoodEvent(kind.value);
      return kind.case === "action" && isGoodAction(kind.value);
    },
  });
}

function verdictOf<M>(
  record: LogRecord,
  partitions: number,
  message: {
    readonly decode: (bytes: Uint8Array) => M;
    readonly isGood: (message: M, from: { readonly id: string | null }) => boolean;
  },
): Verdict<M> {
  const { key, value, partition } = record;
  if (partitionOf(key, partitions) !== partition) return { reason: "wrong_partition" };
  let wallet: string;
  let id: string | null = null;
  let decoded: M;
  try {
    if (value === null || key.length > MAX_KEY_BYTES) return { reason: "undecodable" };
    decoded = message.decode(value);
    wallet = strict.decode(key);
    const header = record.headers.find(([name]) => name === ID_HEADER);
    if (header !== undefined) id = strict.decode(header[1]);
  } catch {
    return { reason: "undecodable" };
  }
  const isGood = isText(wallet, 1, MAX_WALLET_BYTES) && message.isGood(decoded, { id });
  return isGood ? { reason: null, message: decoded, id } : { reason: "invalid_record" };
}

/** Money is not guessed from a field that holds something else than a number. */
function refuseOtherFields(bytes: Uint8Array): void {
  const from = unpack(bytes);
  while (from.at < bytes.length) {
    if (takeCount(from) % 8 !== Number(WireType.Varint)) return refuseOtherTypes(bytes);
    takeBigint(from);
  }
}

/** For one that has other fields, too. */
function refuseOtherTypes(bytes: Uint8Array): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field <= 2 && type !== WireType.Varint) throw new Error("not a number");
    reader.skip(type, field);
  }
}

function isGoodAction({ kind, actor, reason, seenOrdinal, atMs }: OperatorAction): boolean {
  return (
    (kind === OperatorAction_Kind.ADD || kind === OperatorAction_Kind.REMOVE) &&
    isCount(seenOrdinal, 0n) &&
    isTime(atMs, 0n) &&
    isText(actor, 1, MAX_ACTOR_BYTES) &&
    isText(reason, 0, MAX_REASON_BYTES)
  );
}

function isGoodEvent(event: FlagEvent): boolean {
  const { deposit, opening, windowStartMs, windowEndMs } = event;
  if (deposit === undefined || !isCount(event.episode, 1n)) return false;
  if (!isTime(windowStartMs, -MAX_TIME_MS) || !isTime(windowEndMs, windowStartMs)) return false;
  if (!isSum(event.totalMinor) || !isSum(event.limitMinor)) return false;
  if (!isText(event.ruleId, 0, MAX_RULE_ID_BYTES)) return false;
  if (opening !== undefined && !isCount(opening.count, 0n)) return false;
  const listed = opening?.deposits ?? [];
  return listed.length <= MAX_LISTED && [deposit, ...listed].every(isGoodDeposit);
}

function isGoodDeposit(deposit: WindowDeposit): boolean {
  const { position, clientId, ordinal, acceptedAtMs, amountMinor } = deposit;
  return (
    parsePosition(position) !== null &&
    isCount(ordinal, 1n) &&
    isTime(acceptedAtMs, 0n) &&
    (clientId === undefined || isText(clientId, 1, MAX_ID_BYTES)) &&
    amountMinor > 0n
  );
}

/** Well-formed, of no control characters, and so many UTF-8 bytes. */
export function isText(text: string, minBytes: number, maxBytes: number): boolean {
  if (!text.isWellFormed() || /\p{Cc}/u.test(text)) return false;
  const bytes = Buffer.byteLength(text);
  return bytes >= minBytes && bytes <= maxBytes;
}

function isCount(value: bigint, from: bigint): boolean {
  return value >= from && value <= MAX_COUNT;
}

function isTime(value: bigint, from: bigint): boolean {
  return value >= from && value <= MAX_TIME_MS;
}

function isSum(text: string): boolean {
  return text.length <= MAX_SUM_DIGITS && /^(0|[1-9][0-9]*)$/.test(text);
}
