/**
 * What the flagger's table must hold of a wallet, by what stands in `flag_wallet`: the detector's
 * events there are compared with the deposits on their own (threshold-proof.ts).
 *
 *   events and operators' actions in log order ──folded──> flag, episodes, actions ──> rows
 */

import {
  type FlagEvent,
  FlagEventSchema,
  type FlagWallet,
  type OperatorAction,
  OperatorAction_Kind,
  OperatorActionSchema,
} from "../../gen/depositaja/v1/flag_wallet_pb.ts";
import { protobufCodec } from "../../stream/codec.ts";
import { countOnce } from "./counting.ts";
import type { WalletPlace } from "./place.ts";
import { MAX_EVENTS } from "./published-rule.ts";
import {
  ACTION_FORMAT,
  EPISODE_EVENTS_FORMAT,
  EPISODE_OPENING_FORMAT,
  FLAG_FORMAT,
  ID_FORMAT,
  numberSubKey,
} from "./row-formats.ts";
import { compareRows, type ExpectedRow, type FoundRows } from "./rows.ts";
import type { Arrival } from "./scratch.ts";

const FORMATS = [
  ID_FORMAT,
  FLAG_FORMAT,
  EPISODE_OPENING_FORMAT,
  EPISODE_EVENTS_FORMAT,
  ACTION_FORMAT,
];

/** With its message. */
export interface FlagArrival extends Arrival {
  readonly message: FlagWallet;
}

const eventCodec = protobufCodec(FlagEventSchema);
const actionCodec = protobufCodec(OperatorActionSchema);

interface Episode {
  count: number;
  readonly newest: FlagEvent[];
  offset: number;
}

/** Whether the wallet is flagged, by what was folded. */
export function proveFlagger(
  arrivals: readonly FlagArrival[],
  found: FoundRows,
  at: WalletPlace,
): boolean {
  if (arrivals.length === 0 && found.size === 0) return false; // as most wallets
  const { counted, idRows } = countOnce(arrivals, fingerprintOf, at);
  const fold = new FlagFold();
  for (const { offset, message } of counted) {
    if (offset >= at.folded) break;
    const { kind } = message;
    if (kind.case === "event") fold.event(kind.value, offset);
    else if (kind.case === "action") fold.action(kind.value, offset);
  }
  compareRows(found, [...idRows, ...fold.rows()], FORMATS, at);
  return fold.isFlagged;
}

/** Only operators' records carry an id; what tells two of them apart is what they do. */
function fingerprintOf({ message: { kind } }: FlagArrival): string {
  return kind.case === "action" ? `${kind.value.kind}:${kind.value.seenOrdinal}` : "event";
}

class FlagFold {
  private flag = {
    lastAction: null as "add" | "remove" | null,
    highestOrdinal: 0,
    coveredOrdinal: 0,
    episode: 0,
    eventCount: 0,
    actionCount: 0,
  };
  private lastOffset: number | null = null;
  private readonly episodes = new Map<number, Episode>();
  private readonly own: ExpectedRow[] = [];

  get isFlagged(): boolean {
    const { lastAction, highestOrdinal, coveredOrdinal } = this.flag;
    return lastAction === "add" || highestOrdinal > coveredOrdinal;
  }

  event(event: FlagEvent, offset: number): void {
    const { flag } = this;
    const number = Number(event.episode);
    flag.highestOrdinal = Math.max(flag.highestOrdinal, Number(event.deposit?.ordinal));
    flag.episode = number;
    flag.eventCount += 1;
    this.lastOffset = offset;
    const episode = this.episodes.get(number) ?? { count: 0, newest: [], offset };
    this.episodes.set(number, episode);
    if (event.opening !== undefined && episode.count === 0) {
      const subKey = numberSubKey(number);
      const bytes = eventCodec.encode(event);
      this.own.push({ format: EPISODE_OPENING_FORMAT, subKey, value: event, offset, bytes });
    } else {
      episode.newest.push(event);
      if (episode.newest.length > MAX_EVENTS) episode.newest.shift();
    }
    episode.count += 1;
    episode.offset = offset;
  }

  action(action: OperatorAction, offset: number): void {
    const { flag } = this;
    const isAdd = action.kind === OperatorAction_Kind.ADD;
    flag.lastAction = isAdd ? "add" : "remove";
    if (!isAdd) flag.coveredOrdinal = Math.max(flag.coveredOrdinal, Number(action.seenOrdinal));
    flag.actionCount += 1;
    this.lastOffset = offset;
    const subKey = numberSubKey(flag.actionCount);
    const bytes = actionCodec.encode(action);
    this.own.push({ format: ACTION_FORMAT, subKey, value: action, offset, bytes });
  }

  rows(): ExpectedRow[] {
    if (this.lastOffset === null) return [];
    const flag = { format: FLAG_FORMAT, subKey: "", value: this.flag, offset: this.lastOffset };
    const episodes = [...this.episodes].map(([number, { count, newest, offset }]) => ({
      format: EPISODE_EVENTS_FORMAT,
      subKey: numberSubKey(number),
      value: { count, newest: newest.map(shortEvent) },
      offset,
    }));
    return [flag, ...this.own, ...episodes];
  }
}

function shortEvent(event: FlagEvent) {
  const { deposit } = event;
  return {
    windowStartMs: Number(event.windowStartMs),
    windowEndMs: Number(event.windowEndMs),
    totalMinor: event.totalMinor,
    position: deposit?.position,
    isLate: event.isLate,
    clientId: deposit?.clientId ?? null,
    amountMinor: deposit?.amountMinor,
    acceptedAtMs: Number(deposit?.acceptedAtMs),
    ordinal: Number(deposit?.ordinal),
  };
}
