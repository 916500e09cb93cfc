/**
 * The stream that everything starts from, and the door's rules: what a deposit may look like.
 *
 *   POST /deposit, `deposit`, `import` ──> deposit ──> collector, detector
 *
 * The door (HTTP, commands, import) calls these functions before it writes; the engine calls
 * `validate` again on every record, for other clients of the log write there too.
 */

import { create } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { type Deposit, DepositSchema } from "../gen/depositaja/v1/deposit_pb.ts";
import { MAX_AMOUNT_MINOR } from "../money.ts";
import { type Codec, protobufCodec } from "../stream/codec.ts";
import type { RecordInfo, Stream } from "../stream/group.ts";
import { type Unpacker, unpack } from "../stream/packing.ts";
import { DepositError } from "./deposit-error.ts";

/** UTF-8 bytes: room for any address or IBAN, small enough to stand in every row's key. */
export const MAX_WALLET_ID_BYTES = 128;

/** UTF-8 bytes of a client's own id: room for a hash and a row number, or a long request id. */
export const MAX_DEPOSIT_KEY_BYTES = 256;

/** Event time ahead of the clock, at most: clocks of servers differ, by less than this. */
export const MAX_AHEAD_MS = 5 * 60_000;

export const depositStream: Stream<Deposit> = {
  topic: "deposit",
  codec: depositCodec(),
  validate: depositProblem,
};

export function newDeposit(deposit: { amountMinor: bigint; acceptedAtMs: number }): Deposit {
  return create(DepositSchema, {
    amountMinor: deposit.amountMinor,
    acceptedAtMs: BigInt(deposit.acceptedAtMs),
  });
}

/**
 * Tells two deposits with one id apart: the same amount is a repeat, another one a conflict. It is
 * stored with every id for good, and so never changes.
 */
export function depositFingerprint({ amountMinor }: Pick<Deposit, "amountMinor">): string {
  return amountMinor.toString();
}

/** Null when the text can be a wallet id; otherwise why not. */
export function walletIdProblem(text: string): string | null {
  if (text === "") return "wallet_id must not be empty";
  return textProblem("wallet_id", text, MAX_WALLET_ID_BYTES);
}

/** The text itself, when it can be a wallet id. Throws DepositError `invalid_wallet_id`. */
export function checkedWalletId(text: string): string {
  const problem = walletIdProblem(text);
  if (problem !== null) throw new DepositError("invalid_wallet_id", problem);
  return text;
}

/** Null when the text can be a client's own id of a deposit; otherwise why not. */
export function depositKeyProblem(text: string): string | null {
  if (text === "") return "id must not be empty";
  return textProblem("id", text, MAX_DEPOSIT_KEY_BYTES);
}

/** Null when the amount can be deposited; otherwise why not. */
export function amountProblem(amountMinor: bigint): string | null {
  if (amountMinor <= 0n) return "amount must be more than 0";
  if (amountMinor > MAX_AMOUNT_MINOR) return "amount is more than 64 bits can hold";
  return null;
}

/** Null when the event time is good at `nowMs`; otherwise why not. Both Unix milliseconds. */
export function acceptedAtProblem(acceptedAtMs: number, nowMs: number): string | null {
  if (!Number.isSafeInteger(acceptedAtMs) || acceptedAtMs < 0) {
    return `accepted_at ${acceptedAtMs} is not a time in Unix milliseconds, 0 or later`;
  }
  if (acceptedAtMs > nowMs + MAX_AHEAD_MS) {
    const [given, now] = [utcText(acceptedAtMs), utcText(nowMs)];
    return `accepted_at ${given} is more than 5 minutes ahead of the time, ${now}`;
  }
  return null;
}

/** "2026-01-31T12:00:00.250Z"; a time that no calendar has (from the year 275760) in Unix ms. */
export function utcText(timeMs: number): string {
  const date = new Date(timeMs);
  return Number.isNaN(date.getTime()) ? `${timeMs} ms` : date.toISOString();
}

/** Null when the text is well-formed, of no control characters and not too long; may be empty. */
export function textProblem(name: string, text: string, maxBytes: number): string | null {
  if (PLAIN_TEXT.test(text)) {
    return text.length <= maxBytes ? null : tooLong(name, text.length, maxBytes);
  }
  if (!text.isWellFormed()) return `${name} must be valid Unicode; it has a lone surrogate`;
  if (/\p{Cc}/u.test(text)) return `${name} must not have control characters`;
  const bytes = Buffer.byteLength(text, "utf8");
  return bytes <= maxBytes ? null : tooLong(name, bytes, maxBytes);
}

/**
 * The runtime reads a field by its number whatever its wire type says, and would take another
 * message's text for an amount; money is not guessed.
 */
function depositCodec(): Codec<Deposit> {
  const plain = protobufCodec(DepositSchema);
  return {
    ...plain,
    decode(bytes) {
      const known = decodePlainDeposit(bytes);
      if (known !== null) return known;
      const reader = new BinaryReader(bytes);
      while (reader.pos < reader.len) {
        const [field, wireType] = reader.tag();
        if (field <= LAST_FIELD && wireType !== WireType.Varint) {
          throw new Error(`not a deposit: field ${field} has wire type ${wireType}`);
        }
        reader.skip(wireType, field);
      }
      return plain.decode(bytes);
    },
  };
}

/** Fields 1 to 2 are numbers. */
const LAST_FIELD = 2;

/**
 * What nearly every deposit is: both fields, once each and in order, of at most 49 bits. Null for
 * all else, which the runtime reads. It takes several times as long, most of it on its reader.
 */
function decodePlainDeposit(bytes: Uint8Array): Deposit | null {
  const from: Unpacker = unpack(bytes);
  const amountMinor = takePlainField(from, 1);
  const acceptedAtMs = takePlainField(from, 2);
  if (amountMinor === null || acceptedAtMs === null || from.at !== bytes.length) return null;
  const deposit = create(DepositSchema);
  deposit.amountMinor = BigInt(amountMinor);
  deposit.acceptedAtMs = BigInt(acceptedAtMs);
  return deposit;
}

/** A varint field; null when another field is there, or a number of more bytes. */
function takePlainField(from: Unpacker, field: number): number | null {
  if (from.bytes[from.at++] !== field << 3) return null;
  let value = 0;
  let scale = 1;
  for (let i = 0; i < MAX_PLAIN_BYTES; i++) {
    const byte = from.bytes[from.at++];
    if (byte === undefined) return null;
    value += (byte & 127) * scale;
    if (byte < 128) return value;
    scale *= 128;
  }
  return null;
}

/** Of a number that is safe to add up as one. */
const MAX_PLAIN_BYTES = 7;

function depositProblem(deposit: Deposit, record: RecordInfo): string | null {
  return (
    walletIdProblem(record.key) ??
    (record.id === null ? null : depositKeyProblem(record.id)) ??
    amountProblem(deposit.amountMinor) ??
    acceptedAtProblem(Number(deposit.acceptedAtMs), record.timestampMs)
  );
}

/** What nearly every id looks like; found good at once. */
const PLAIN_TEXT = /^[\x20-\x7e]*$/;

function tooLong(name: string, bytes: number, maxBytes: number): string {
  return `${name} has ${bytes} UTF-8 bytes; at most ${maxBytes} are allowed`;
}
