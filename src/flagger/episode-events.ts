/**
 * The events that go on with an episode: how many the episode has, and the newest, each packed
 * after its length. Such a row is written with every deposit of a wallet that is far above the
 * limit, so an event is packed once, when it comes; to add one copies bytes and reads none.
 *
 *   FlagEvent ──> addEvent ──> episode events row ──readEvents──> `flags <wallet>`
 */

import type { FlagEvent } from "../gen/depositaja/v1/flag_wallet_pb.ts";
import type { Codec } from "../stream/codec.ts";
import {
  newPacker,
  packed,
  putBigint,
  putBytes,
  putCount,
  putSigned,
  putText,
  takeBigint,
  takeBytes,
  takeCount,
  takeEnd,
  takeSigned,
  takeText,
  unpack,
} from "../stream/packing.ts";

/** Kept of an episode: enough to see how it went, small enough to be written each time. */
export const MAX_EPISODE_EVENTS = 100;

export interface EpisodeEvents {
  /** All events of the episode, the one that opened it included. */
  readonly count: number;
  /** The newest at most `MAX_EPISODE_EVENTS` that went on with it, in log order, packed. */
  readonly newest: readonly Uint8Array[];
}

/** An event without the list of deposits. */
export interface ShortEvent {
  readonly windowStartMs: number;
  readonly windowEndMs: number;
  readonly totalMinor: bigint;
  readonly position: string;
  /** Null when the client gave none. */
  readonly clientId: string | null;
  readonly amountMinor: bigint;
  readonly acceptedAtMs: number;
  readonly ordinal: number;
  readonly isLate: boolean;
}

export const NO_EVENTS: EpisodeEvents = { count: 0, newest: [] };

/** One more event that goes on with the episode. */
export function addEvent(events: EpisodeEvents, event: FlagEvent): EpisodeEvents {
  const isFull = events.newest.length >= MAX_EPISODE_EVENTS;
  const newest = isFull ? events.newest.slice(1 - MAX_EPISODE_EVENTS) : events.newest.slice();
  newest.push(packEvent(event));
  return { count: events.count + 1, newest };
}

/** In log order. */
export function readEvents(events: EpisodeEvents): ShortEvent[] {
  return events.newest.map(unpackEvent);
}

/** Null while none went on with the episode. */
export function lastEvent(events: EpisodeEvents): ShortEvent | null {
  const last = events.newest.at(-1);
  return last === undefined ? null : unpackEvent(last);
}

const FORMAT = 1;
const scratch = newPacker(16_384);

export const episodeEventsCodec: Codec<EpisodeEvents> = {
  name: "episode events row",
  encode(events) {
    scratch.length = 0;
    putCount(scratch, FORMAT);
    putCount(scratch, events.count);
    putCount(scratch, events.newest.length);
    for (const event of events.newest) putBytes(scratch, event);
    return packed(scratch);
  },
  decode(bytes) {
    const from = unpack(bytes);
    const format = takeCount(from);
    if (format !== FORMAT) {
      throw new Error(`episode events row of format ${format}; known is ${FORMAT}`);
    }
    const count = takeCount(from);
    const length = takeCount(from);
    const newest: Uint8Array[] = [];
    for (let i = 0; i < length; i++) newest.push(takeBytes(from));
    takeEnd(from);
    return { count, newest };
  },
};

const eventScratch = newPacker(512);

function packEvent(event: FlagEvent): Uint8Array {
  const { deposit } = event;
  if (deposit === undefined) throw new Error("an event without its deposit was let in");
  const to = eventScratch;
  to.length = 0;
  putSigned(to, Number(event.windowStartMs));
  putCount(to, Number(event.windowEndMs - event.windowStartMs));
  putBigint(to, BigInt(event.totalMinor));
  putText(to, deposit.position);
  putCount(to, (event.isLate ? 2 : 0) + (deposit.clientId === undefined ? 0 : 1));
  if (deposit.clientId !== undefined) putText(to, deposit.clientId);
  putBigint(to, deposit.amountMinor);
  putCount(to, Number(deposit.acceptedAtMs));
  putCount(to, Number(deposit.ordinal));
  return packed(to);
}

function unpackEvent(bytes: Uint8Array): ShortEvent {
  const from = unpack(bytes);
  const windowStartMs = takeSigned(from);
  const windowEndMs = windowStartMs + takeCount(from);
  const totalMinor = takeBigint(from);
  const position = takeText(from);
  const marks = takeCount(from);
  const event = {
    windowStartMs,
    windowEndMs,
    totalMinor,
    position,
    clientId: marks % 2 === 1 ? takeText(from) : null,
    amountMinor: takeBigint(from),
    acceptedAtMs: takeCount(from),
    ordinal: takeCount(from),
    isLate: marks >= 2,
  };
  takeEnd(from);
  return event;
}
