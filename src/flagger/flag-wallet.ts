/**
 * The stream of what flags a wallet or takes the flag away: the detector's events and operators'
 * actions, keyed by the wallet id.
 *
 *   detector, `flag`, `flag --remove` ──> flag_wallet ──> flagger
 *
 * An operator's record is checked here only for its shape. Its `seen_ordinal` is taken at its
 * word, even above every event there is: were it cut down to the newest event, the outcome would
 * depend on which of the two came first. Whoever writes one must have read what it covers.
 */

import { create } from "@bufbuild/protobuf";
import {
  amountProblem,
  depositKeyProblem,
  textProblem,
  walletIdProblem,
} from "../deposits/deposit.ts";
import {
  type FlagEvent,
  type FlagWallet,
  FlagWalletSchema,
  OperatorAction_Kind,
  OperatorActionSchema,
  type WindowDeposit,
} from "../gen/depositaja/v1/flag_wallet_pb.ts";
import { protobufCodec } from "../stream/codec.ts";
import type { RecordInfo, Stream } from "../stream/group.ts";
import { parsePosition } from "../stream/position.ts";

/** UTF-8 bytes: room for a name or an address, small enough for a row of one action. */
export const MAX_ACTOR_BYTES = 128;

/** Deposits that an opening lists: enough to see why, small enough for one record. */
export const MAX_LISTED_DEPOSITS = 100;

/** UTF-8 bytes: a few sentences. */
export const MAX_REASON_BYTES = 1_000;

export const flagWalletStream: Stream<FlagWallet> = {
  topic: "flag_wallet",
  codec: protobufCodec(FlagWalletSchema),
  validate: flagWalletProblem,
};

export type NewAction =
  | { kind: "add"; actor: string; reason: string; atMs: number }
  | { kind: "remove"; actor: string; reason: string; atMs: number; seenOrdinal: number };

/** An operator's record. Check with `actorProblem` and `reasonProblem` first. */
export function newAction(action: NewAction): FlagWallet {
  const isRemoval = action.kind === "remove";
  const value = create(OperatorActionSchema, {
    kind: isRemoval ? OperatorAction_Kind.REMOVE : OperatorAction_Kind.ADD,
    actor: action.actor,
    reason: action.reason,
    seenOrdinal: isRemoval ? BigInt(action.seenOrdinal) : 0n,
    atMs: BigInt(action.atMs),
  });
  return create(FlagWalletSchema, { kind: { case: "action", value } });
}

/** Null when the text can name who acted; otherwise why not. */
export function actorProblem(text: string): string | null {
  if (text === "") return "actor must not be empty";
  return textProblem("actor", text, MAX_ACTOR_BYTES);
}

/** Null when the text can be a reason, also the empty one; otherwise why not. */
export function reasonProblem(text: string): string | null {
  return textProblem("reason", text, MAX_REASON_BYTES);
}

function flagWalletProblem(message: FlagWallet, record: RecordInfo): string | null {
  const walletProblem = walletIdProblem(record.key);
  if (walletProblem !== null) return walletProblem;
  switch (message.kind.case) {
    case "event":
      return eventProblem(message.kind.value);
    case "action": {
      const { kind, actor, reason, seenOrdinal, atMs } = message.kind.value;
      if (kind !== OperatorAction_Kind.ADD && kind !== OperatorAction_Kind.REMOVE) {
        return `an operator's action of kind ${kind} is not known`;
      }
      if (!isCount(seenOrdinal)) return `seen_ordinal ${seenOrdinal} is not a count`;
      if (atMs < 0n || atMs > MAX_TIME_MS)
        return `at_ms ${atMs} is not a time in Unix milliseconds`;
      return actorProblem(actor) ?? reasonProblem(reason);
    }
    default:
      return "neither an event nor an operator's action";
  }
}

function eventProblem(event: FlagEvent): string | null {
  const { deposit, opening, windowStartMs, windowEndMs } = event;
  if (deposit === undefined) return "an event without its deposit";
  if (!isCount(event.episode) || event.episode === 0n) {
    return `episode ${event.episode} is not a count from 1`;
  }
  if (windowStartMs < -MAX_TIME_MS || windowEndMs > MAX_TIME_MS || windowEndMs < windowStartMs) {
    return `(${windowStartMs}, ${windowEndMs}] is no window of Unix milliseconds`;
  }
  if (!isSum(event.totalMinor) || !isSum(event.limitMinor)) {
    return `total_minor and limit_minor must be 1 to ${MAX_SUM_DIGITS} decimal digits`;
  }
  if (opening !== undefined && !isCount(opening.count)) return "an opening without a count";
  if (opening !== undefined && opening.deposits.length > MAX_LISTED_DEPOSITS) {
    return `an opening lists ${opening.deposits.length} deposits; at most ${MAX_LISTED_DEPOSITS}`;
  }
  const ruleProblem = textProblem("rule_id", event.ruleId, MAX_RULE_ID_BYTES);
  if (ruleProblem !== null) return ruleProblem;
  const deposits = [deposit, ...(opening?.deposits ?? [])];
  return deposits.reduce<string | null>((found, one) => found ?? windowDepositProblem(one), null);
}

function windowDepositProblem(deposit: WindowDeposit): string | null {
  const { position, clientId, ordinal, acceptedAtMs } = deposit;
  if (parsePosition(position) === null) return `"${position}" is not a position`;
  if (!isCount(ordinal) || ordinal === 0n) return `ordinal ${ordinal} is not a count from 1`;
  if (acceptedAtMs < 0n || acceptedAtMs > MAX_TIME_MS) {
    return `accepted_at_ms ${acceptedAtMs} is not a time in Unix milliseconds, 0 or later`;
  }
  if (clientId !== undefined) {
    const problem = depositKeyProblem(clientId);
    if (problem !== null) return problem;
  }
  return amountProblem(deposit.amountMinor);
}

/** UTF-8 bytes: a name. */
const MAX_RULE_ID_BYTES = 100;

/** Rows hold a sum as digits; one of more than this is no sum of deposits. */
const MAX_SUM_DIGITS = 64;

/** Far from any time there will be, and packed rows can still hold it with a sign. */
const MAX_TIME_MS = 2n ** 51n;

function isSum(text: string): boolean {
  return text.length <= MAX_SUM_DIGITS && /^(0|[1-9][0-9]*)$/.test(text);
}

function isCount(value: bigint): boolean {
  return value >= 0n && value <= MAX_COUNT;
}

const MAX_COUNT = BigInt(Number.MAX_SAFE_INTEGER);
