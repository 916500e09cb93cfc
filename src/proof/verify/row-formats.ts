/**
 * How the rows of the three tables stand in bytes, read here a second time: what the processors'
 * own codecs say of themselves is not taken on trust.
 *
 *   stored bytes ──format──> plain values, to be compared with recomputed ones
 *
 * All are packed (stream/packing.ts): counts in sevens, texts after their length.
 */

import { FlagEventSchema, OperatorActionSchema } from "../../gen/depositaja/v1/flag_wallet_pb.ts";
import { protobufCodec } from "../../stream/codec.ts";
import {
  takeBigint,
  takeBytes,
  takeCount,
  takeEnd,
  takeSigned,
  takeText,
  type Unpacker,
  unpack,
} from "../../stream/packing.ts";
import { ID_TAG, toLatin1 } from "../../stream/row-key.ts";
import { WINDOW_MS } from "./published-rule.ts";

/** One kind of row of a table. */
export interface RowFormat<V = unknown> {
  readonly name: string;
  readonly tag: number;
  /** Throws on bytes that are no such row. */
  decode(bytes: Uint8Array): V;
}

/** A counted deposit in a block of the detector's. */
export interface Entry {
  readonly timeMs: number;
  readonly ordinal: number;
  readonly amountMinor: bigint;
  readonly offset: bigint;
  readonly id: string | null;
}

export interface BlockKey {
  readonly timeMs: number;
  readonly ordinal: number;
}

/** The collector's row of a wallet. */
export interface BalanceValue {
  readonly totalMinor: bigint;
  readonly count: number;
  /** In log order. */
  readonly last: readonly {
    readonly partition: number;
    readonly offset: bigint;
    readonly id: string | null;
    readonly amountMinor: bigint;
    readonly acceptedAtMs: number;
  }[];
}

/** The detector's row of a version of the rule, of no wallet. */
export interface RuleVersionValue {
  readonly number: number;
  readonly windowMs: number;
  readonly limitMinor: bigint;
  readonly actor: string;
  readonly reason: string;
  readonly atMs: number;
  /** Of its control record. */
  readonly offset: bigint;
}

/** The detector's row of a wallet. */
export interface WindowValue {
  readonly count: number;
  readonly newestMs: number;
  /** The length of the running window. */
  readonly windowMs: number;
  readonly windowSumMinor: bigint;
  readonly windowCount: number;
  readonly windowFirstMs: number;
  /** No deposit of the running window is in a block before this one. */
  readonly tailKey: BlockKey;
  readonly episode: number;
  readonly eventWindow: { readonly startMs: number; readonly endMs: number } | null;
  /** The newest block, which is in this row. */
  readonly openKey: BlockKey;
  readonly openHead: ReturnType<typeof takeHead>;
  readonly openEntries: readonly Entry[];
}

export const ID_FORMAT: RowFormat = {
  name: "id",
  tag: ID_TAG,
  decode: (bytes) => {
    const stored = Buffer.from(bytes);
    return { offset: stored.readBigUInt64BE(0), fingerprint: stored.toString("utf8", 8) };
  },
};

export const BALANCE_FORMAT: RowFormat<BalanceValue> = {
  name: "balance",
  tag: 1,
  decode: (bytes) =>
    whole(bytes, (from) => {
      const totalMinor = takeBigint(from);
      const count = takeCount(from);
      return { totalMinor, count, last: times(takeCount(from), () => takeLast(from)) };
    }),
};

export const WINDOW_FORMAT: RowFormat<WindowValue> = {
  name: "window",
  tag: 1,
  decode: (bytes) =>
    wholeOf(bytes, [1, 2], (from, rowFormat): WindowValue => {
      const windowMs = rowFormat === 2 ? takeCount(from) : WINDOW_MS;
      const count = takeCount(from);
      const newestMs = takeCount(from);
      const windowSumMinor = takeBigint(from);
      const windowCount = takeCount(from);
      const windowFirstMs = newestMs - takeSigned(from);
      const tailKey = takeKey(from);
      const episode = takeCount(from);
      const eventWindow = takeCount(from) === 0 ? null : takeWindow(from);
      const openKey = takeKey(from);
      const openHead = takeHead(from);
      return {
        ...{ count, newestMs, windowMs, windowSumMinor, windowCount, windowFirstMs, tailKey },
        ...{ episode, eventWindow, openKey, openHead },
        openEntries: takeEntries(from, openHead.count),
      };
    }),
};

export const BLOCK_HEAD_FORMAT: RowFormat = {
  name: "block head",
  tag: 2,
  decode: (bytes) => whole(bytes, takeHead),
};

export const BLOCK_ENTRIES_FORMAT: RowFormat = {
  name: "block entries",
  tag: 3,
  decode: (bytes) => whole(bytes, (from) => takeEntries(from, takeCount(from))),
};

export const RULE_VERSION_FORMAT: RowFormat<RuleVersionValue> = {
  name: "rule version",
  tag: 4,
  decode: (bytes) =>
    whole(bytes, (from) => ({
      number: takeCount(from),
      windowMs: takeCount(from),
      limitMinor: takeBigint(from),
      actor: takeText(from),
      reason: takeText(from),
      atMs: takeCount(from),
      offset: takeBigint(from),
    })),
};

export const FLAG_FORMAT: RowFormat = {
  name: "flag",
  tag: 1,
  decode: (bytes) =>
    whole(bytes, (from) => ({
      lastAction: [null, "add", "remove"][takeCount(from)],
      highestOrdinal: takeCount(from),
      coveredOrdinal: takeCount(from),
      episode: takeCount(from),
      eventCount: takeCount(from),
      actionCount: takeCount(from),
    })),
};

export const EPISODE_OPENING_FORMAT: RowFormat = {
  name: "episode opening",
  tag: 2,
  decode: protobufCodec(FlagEventSchema).decode,
};

export const EPISODE_EVENTS_FORMAT: RowFormat = {
  name: "episode events",
  tag: 3,
  decode: (bytes) =>
    whole(bytes, (from) => {
      const count = takeCount(from);
      return { count, newest: times(takeCount(from), () => takeShortEvent(takeBytes(from))) };
    }),
};

export const ACTION_FORMAT: RowFormat = {
  name: "operator's action",
  tag: 4,
  decode: protobufCodec(OperatorActionSchema).decode,
};

/** A block's sub-key, as one character a byte: 64 bits of time, 64 of ordinal. */
export function blockSubKey({ timeMs, ordinal }: BlockKey): string {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64BE(BigInt(timeMs), 0);
  bytes.writeBigUInt64BE(BigInt(ordinal), 8);
  return toLatin1(bytes);
}

export function blockKeyOf(subKey: string): BlockKey {
  const bytes = Buffer.from(subKey, "latin1");
  return {
    timeMs: Number(bytes.readBigUInt64BE(0)),
    ordinal: Number(bytes.readBigUInt64BE(8)),
  };
}

/** The sub-key of an episode or an action, as one character a byte. */
export function numberSubKey(number: number): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(number));
  return toLatin1(bytes);
}

/** The first field is the format, 1 for nearly all; nothing stands behind the last. */
function whole<T>(bytes: Uint8Array, take: (from: Unpacker) => T): T {
  return wholeOf(bytes, [1], take);
}

function wholeOf<T>(
  bytes: Uint8Array,
  formats: readonly number[],
  take: (from: Unpacker, format: number) => T,
): T {
  const from = unpack(bytes);
  const format = takeCount(from);
  if (!formats.includes(format)) throw new Error(`format ${format} is not known`);
  const value = take(from, format);
  takeEnd(from);
  return value;
}

function takeLast(from: Unpacker) {
  const partition = takeCount(from);
  const offset = takeBigint(from);
  const id = takeCount(from) === 0 ? null : takeText(from);
  return { partition, offset, id, amountMinor: takeBigint(from), acceptedAtMs: takeCount(from) };
}

function takeKey(from: Unpacker): BlockKey {
  return { timeMs: takeCount(from), ordinal: takeCount(from) };
}

function takeHead(from: Unpacker) {
  const sumMinor = takeBigint(from);
  const count = takeCount(from);
  const firstMs = takeCount(from);
  return { sumMinor, count, firstMs, lastMs: firstMs + takeCount(from) };
}

function takeWindow(from: Unpacker) {
  const startMs = takeSigned(from);
  return { startMs, endMs: startMs + takeCount(from) };
}

/** Times and ordinals are steps; of an id stands what it does not share with the one before. */
function takeEntries(from: Unpacker, count: number): Entry[] {
  let before: Entry = { timeMs: 0, ordinal: 0, amountMinor: 0n, offset: 0n, id: null };
  return times(count, () => {
    const timeMs = before.timeMs + takeCount(from);
    const ordinal = before.ordinal + takeSigned(from);
    const amountMinor = takeBigint(from);
    const offset = takeBigint(from);
    const shared = takeCount(from);
    const beforeId = before.id ?? "";
    if (shared > beforeId.length + 1) throw new Error(`${shared - 1} shared of "${beforeId}"`);
    const id = shared === 0 ? null : beforeId.slice(0, shared - 1) + takeText(from);
    before = { timeMs, ordinal, amountMinor, offset, id };
    return before;
  });
}

function takeShortEvent(bytes: Uint8Array) {
  const from = unpack(bytes);
  const windowStartMs = takeSigned(from);
  const windowEndMs = windowStartMs + takeCount(from);
  const totalMinor = takeBigint(from).toString();
  const position = takeText(from);
  const marks = takeCount(from);
  const event = {
    ...{ windowStartMs, windowEndMs, totalMinor, position, isLate: marks >= 2 },
    clientId: marks % 2 === 1 ? takeText(from) : null,
    amountMinor: takeBigint(from),
    acceptedAtMs: takeCount(from),
    ordinal: takeCount(from),
  };
  takeEnd(from);
  if (marks > 3) throw new Error(`an event's marks are ${marks}`);
  return event;
}

function times<T>(count: number, take: () => T): T[] {
  const all: T[] = [];
  for (let i = 0; i < count; i++) all.push(take()); // a count too high ends where the bytes do
  return all;
}
