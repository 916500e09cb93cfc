/**
 * The flagger's rows of a wallet: a small one that says whether it is flagged, and under sub-keys
 * what happened, each row bounded.
 *
 *   flag_wallet ──> flagger ──> flagger-table (these rows) ──views──> `check`, `flags`
 *
 * An episode has two rows, so that its first event, which may list 100 deposits, is written once
 * and not with every event that goes on with it.
 */

import {
  type FlagEvent,
  FlagEventSchema,
  type OperatorAction,
  OperatorActionSchema,
} from "../gen/depositaja/v1/flag_wallet_pb.ts";
import { type Codec, protobufCodec } from "../stream/codec.ts";
import type { RowKind } from "../stream/group.ts";
import { newPacker, packed, putCount, takeCount, takeEnd, unpack } from "../stream/packing.ts";
import { type EpisodeEvents, episodeEventsCodec } from "./episode-events.ts";

/** What decides the flag. Ordinals are of the wallet's deposits; 0 is below every deposit. */
export interface FlagRow {
  /** The last in log order; null while no operator acted. */
  readonly lastAction: "add" | "remove" | null;
  /** The highest of any event's deposit. */
  readonly highestOrdinal: number;
  /** Events up to here are covered by a removal: the highest that any of them had seen. */
  readonly coveredOrdinal: number;
  /** The running episode, its number: the one of the last event in log order. 0: no event yet. */
  readonly episode: number;
  readonly eventCount: number;
  readonly actionCount: number;
}

/** Whether the wallet is above the threshold; null, a wallet without a row, is not. */
export function isFlagged(row: FlagRow | null): boolean {
  if (row === null) return false;
  return row.lastAction === "add" || row.highestOrdinal > row.coveredOrdinal;
}

export const NO_FLAG: FlagRow = {
  lastAction: null,
  highestOrdinal: 0,
  coveredOrdinal: 0,
  episode: 0,
  eventCount: 0,
  actionCount: 0,
};

/** The sub-key of an episode (by its number) or of an action (the how-manieth, from 1). */
export function numberKey(number: number): Uint8Array {
  const key = new Uint8Array(8);
  new DataView(key.buffer).setBigUint64(0, BigInt(number));
  return key;
}

/** The number of such a sub-key. */
export function numberOfKey(key: Uint8Array): number {
  return Number(new DataView(key.buffer, key.byteOffset).getBigUint64(0));
}

const FORMAT = 1;
const ACTIONS = [null, "add", "remove"] as const;
const scratch = newPacker(64);

const flagCodec: Codec<FlagRow> = {
  name: "flag row",
  encode(row) {
    scratch.length = 0;
    putCount(scratch, FORMAT);
    putCount(scratch, ACTIONS.indexOf(row.lastAction));
    putCount(scratch, row.highestOrdinal);
    putCount(scratch, row.coveredOrdinal);
    putCount(scratch, row.episode);
    putCount(scratch, row.eventCount);
    putCount(scratch, row.actionCount);
    return packed(scratch);
  },
  decode(bytes) {
    const from = unpack(bytes);
    const format = takeCount(from);
    if (format !== FORMAT) throw new Error(`flag row of format ${format}; known is ${FORMAT}`);
    const lastAction = ACTIONS[takeCount(from)];
    if (lastAction === undefined) throw new Error("flag row with an unknown action");
    const row = {
      lastAction,
      highestOrdinal: takeCount(from),
      coveredOrdinal: takeCount(from),
      episode: takeCount(from),
      eventCount: takeCount(from),
      actionCount: takeCount(from),
    };
    takeEnd(from);
    return row;
  },
};

export const flagRow: RowKind<FlagRow> = { name: "flag", tag: 1, codec: flagCodec };

/** The event that opened the episode. Sub-key: `numberKey(episode)`. */
export const episodeOpeningRow: RowKind<FlagEvent> = {
  name: "episode opening",
  tag: 2,
  codec: protobufCodec(FlagEventSchema),
};

/** How many events the episode has, and the newest that went on with it. Sub-key: as above. */
export const episodeEventsRow: RowKind<EpisodeEvents> = {
  name: "episode events",
  tag: 3,
  codec: episodeEventsCodec,
};

/** What an operator did. Sub-key: `numberKey(n)`, n from 1 to `actionCount` in log order. */
export const actionRow: RowKind<OperatorAction> = {
  name: "operator's action",
  tag: 4,
  codec: protobufCodec(OperatorActionSchema),
};
