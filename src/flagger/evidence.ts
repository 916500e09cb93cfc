/**
 * Why a wallet is flagged, and what operators did about it: the flagger's rows put together.
 *
 *   flagger-table ──view──> evidence of one wallet, or every flagged wallet ──> `flags`
 */

import {
  type FlagEvent,
  OperatorAction_Kind,
  type WindowDeposit,
} from "../gen/depositaja/v1/flag_wallet_pb.ts";
import type { RowReader } from "../stream/group.ts";
import type { View } from "../stream/view.ts";
import { readEvents, type ShortEvent } from "./episode-events.ts";
import {
  actionRow,
  episodeEventsRow,
  episodeOpeningRow,
  type FlagRow,
  flagRow,
  isFlagged,
  NO_FLAG,
  numberKey,
  numberOfKey,
} from "./flag-rows.ts";

/** A counted deposit as evidence names it. Times are Unix milliseconds, amounts minor units. */
export interface DepositEvidence {
  readonly depositId: string;
  /** The client's own id; null when it gave none. */
  readonly clientId: string | null;
  readonly amountMinor: bigint;
  readonly acceptedAtMs: number;
  /** The how-manieth counted deposit of the wallet. */
  readonly ordinal: number;
}

/** A deposit that lay in an exceeding window when it arrived. */
export interface EventEvidence {
  /** Exclusive. May be negative. */
  readonly windowStartMs: number;
  /** Inclusive. */
  readonly windowEndMs: number;
  readonly totalMinor: bigint;
  readonly deposit: DepositEvidence;
  /** A newer deposit of the wallet had been counted before it. */
  readonly isLate: boolean;
  /** An operator who removed the flag had seen it. */
  readonly isCovered: boolean;
  /** Which action that was, the first one that had: from 1, in log order. */
  readonly coveredByAction: number | null;
}

/** Events whose windows overlap, one after the other. */
export interface EpisodeEvidence {
  /** From 1. */
  readonly number: number;
  /** The event that opened it; null when the log has none, which only another writer causes. */
  readonly opening: OpeningEvidence | null;
  /** All events, the opening one included. */
  readonly eventCount: number;
  /** The newest at most 100 that went on with it, in log order. */
  readonly newestEvents: readonly EventEvidence[];
}

export interface OpeningEvidence extends EventEvidence {
  readonly ruleId: string;
  readonly ruleVersion: number;
  readonly limitMinor: bigint;
  /** The window's deposits by time; the newest at most 100. */
  readonly deposits: readonly DepositEvidence[];
  /** How many are in the window. */
  readonly depositCount: number;
}

export interface ActionEvidence {
  readonly kind: "add" | "remove";
  readonly actor: string;
  /** May be empty. */
  readonly reason: string;
  /** The newest event's ordinal that a removal covers; null for an add. */
  readonly seenOrdinal: number | null;
  readonly atMs: number;
}

export interface FlagSummary {
  readonly isFlagged: boolean;
  readonly lastAction: "add" | "remove" | null;
  /** The highest ordinal of any event's deposit; 0 while there is none. */
  readonly newestOrdinal: number;
  /** Events up to here are covered by a removal. */
  readonly coveredOrdinal: number;
  readonly eventCount: number;
}

export interface WalletEvidence extends FlagSummary {
  /** In order. */
  readonly episodes: readonly EpisodeEvidence[];
  /** In log order. */
  readonly actions: readonly ActionEvidence[];
}

/** Which of a wallet's episodes are read: the newest `limit` of those below a number. */
export interface EpisodePage {
  /** Null: the newest of all. */
  readonly before: number | null;
  readonly limit: number;
}

/**
 * One snapshot. A wallet without any event or action has empty lists. All episodes unless a page
 * of them is asked for; the actions are always complete, for they tell what is covered.
 */
export function walletEvidence(
  view: View,
  walletId: string,
  page: EpisodePage | null = null,
): WalletEvidence {
  return view.read(walletId, (rows) => {
    const row = rows.get(flagRow) ?? NO_FLAG;
    const all = actions(rows);
    return { ...summaryOf(row), episodes: episodes(rows, all, page), actions: all };
  });
}

export function flagSummary(view: View, walletId: string): FlagSummary {
  return summaryOf(view.get(walletId, flagRow) ?? NO_FLAG);
}

/** Every flagged wallet of one partition, by the bytes of its id. Not one snapshot. */
export function* flaggedWallets(
  view: View,
  partition: number,
): Generator<{ readonly walletId: string } & FlagSummary> {
  for (const { key, value } of view.scan(partition, flagRow)) {
    if (isFlagged(value)) yield { walletId: key, ...summaryOf(value) };
  }
}

export function summaryOf(row: FlagRow): FlagSummary {
  return {
    isFlagged: isFlagged(row),
    lastAction: row.lastAction,
    newestOrdinal: row.highestOrdinal,
    coveredOrdinal: row.coveredOrdinal,
    eventCount: row.eventCount,
  };
}

function episodes(
  rows: RowReader,
  all: readonly ActionEvidence[],
  page: EpisodePage | null,
): EpisodeEvidence[] {
  const { before = null, limit = null } = page ?? {};
  const newest = rows.range(episodeEventsRow, {
    isReverse: true,
    ...(limit === null ? {} : { limit }),
    ...(before === null ? {} : { to: numberKey(before) }),
  });
  return newest.reverse().map(({ subKey, value }) => {
    const opening = rows.get(episodeOpeningRow, subKey);
    return {
      number: numberOfKey(subKey),
      opening: opening === null ? null : openingEvidence(opening, all),
      eventCount: value.count,
      newestEvents: readEvents(value).map((event) => shortEvidence(event, all)),
    };
  });
}

function openingEvidence(event: FlagEvent, all: readonly ActionEvidence[]): OpeningEvidence {
  const deposit = depositEvidence(event.deposit as WindowDeposit); // the stream's rule
  return {
    ruleId: event.ruleId,
    ruleVersion: event.ruleVersion,
    limitMinor: BigInt(event.limitMinor),
    windowStartMs: Number(event.windowStartMs),
    windowEndMs: Number(event.windowEndMs),
    totalMinor: BigInt(event.totalMinor),
    deposit,
    isLate: event.isLate,
    ...coverage(deposit.ordinal, all),
    deposits: (event.opening?.deposits ?? []).map(depositEvidence),
    depositCount: Number(event.opening?.count ?? 0n),
  };
}

function depositEvidence(deposit: WindowDeposit): DepositEvidence {
  return {
    depositId: deposit.position,
    clientId: deposit.clientId ?? null,
    amountMinor: deposit.amountMinor,
    acceptedAtMs: Number(deposit.acceptedAtMs),
    ordinal: Number(deposit.ordinal),
  };
}

function shortEvidence(event: ShortEvent, all: readonly ActionEvidence[]): EventEvidence {
  const { windowStartMs, windowEndMs, totalMinor, isLate } = event;
  const { position, clientId, amountMinor, acceptedAtMs, ordinal } = event;
  return {
    windowStartMs,
    windowEndMs,
    totalMinor,
    deposit: { depositId: position, clientId, amountMinor, acceptedAtMs, ordinal },
    isLate,
    ...coverage(ordinal, all),
  };
}

function coverage(ordinal: number, all: readonly ActionEvidence[]) {
  const index = all.findIndex(({ seenOrdinal }) => (seenOrdinal ?? 0) >= ordinal);
  return { isCovered: index !== -1, coveredByAction: index === -1 ? null : index + 1 };
}

function actions(rows: RowReader): ActionEvidence[] {
  return rows.range(actionRow).map(({ value }) => {
    const isRemoval = value.kind === OperatorAction_Kind.REMOVE;
    return {
      kind: isRemoval ? "remove" : "add",
      actor: value.actor,
      reason: value.reason,
      seenOrdinal: isRemoval ? Number(value.seenOrdinal) : null,
      atMs: Number(value.atMs),
    };
  });
}
