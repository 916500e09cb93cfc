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
import { walletIdProblem } from "../deposits/deposit.ts";
import {
  type FlagEvent,
  type FlagWallet,
  FlagWalletSchema,
  OperatorAction_Kind,
  OperatorActionSchema,
} from "../gen/depositaja/v1/flag_wallet_pb.ts";
import { protobufCodec } from "../stream/codec.ts";
import type { RecordInfo, Stream } from "../stream/group.ts";

/** UTF-8 bytes: room for a name or an address, small enough for a row of one action. */
export const MAX_ACTOR_BYTES = 128;

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
  return boundedTextProblem("actor", text, MAX_ACTOR_BYTES);
}

/** Null when the text can be a reason, also the empty one; otherwise why not. */
export function reasonProblem(text: string): string | null {
  return boundedTextProblem("reason", text, MAX_REASON_BYTES);
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
      if (!isCount(atMs)) return `at_ms ${atMs} is not a time in Unix milliseconds`;
      return actorProblem(actor) ?? reasonProblem(reason);
    }
    default:
      return "neither an event nor an operator's action";
  }
}

function eventProblem(event: FlagEvent): string | null {
  if (event.deposit === undefined) return "an event without its deposit";
  if (!isCount(event.deposit.ordinal) || event.deposit.ordinal === 0n) {
    return `ordinal ${event.deposit.ordinal} is not a count from 1`;
  }
  if (!isCount(event.episode) || event.episode === 0n) {
    return `episode ${event.episode} is not a count from 1`;
  }
  if (!isCount(event.deposit.acceptedAtMs)) return "a deposit's accepted_at_ms is not a time";
  if (event.deposit.amountMinor <= 0n) return "a deposit's amount is not more than 0";
  if (!isSafe(event.windowStartMs) || !isCount(event.windowEndMs)) return "a window is no time";
  if (!isDigits(event.totalMinor) || !isDigits(event.limitMinor)) {
    return "total_minor and limit_minor must be decimal digits";
  }
  return null;
}

/** Rows hold sums as digits; more than this is no sum of deposits. */
const MAX_SUM_DIGITS = 64;

function isDigits(text: string): boolean {
  return text.length <= MAX_SUM_DIGITS && /^(0|[1-9][0-9]*)$/.test(text);
}

function isSafe(value: bigint): boolean {
  return Number.isSafeInteger(Number(value));
}

function isCount(value: bigint): boolean {
  return value >= 0n && isSafe(value);
}

function boundedTextProblem(name: string, text: string, maxBytes: number): string | null {
  if (!text.isWellFormed()) return `${name} must be valid Unicode; it has a lone surrogate`;
  if (/\p{Cc}/u.test(text)) return `${name} must not have control characters`;
  const bytes = Buffer.byteLength(text, "utf8");
  if (bytes <= maxBytes) return null;
  return `${name} has ${bytes} UTF-8 bytes; at most ${maxBytes} are allowed`;
}
