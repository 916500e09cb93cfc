/**
 * What the detector must have made of a wallet: its table as it is folded, and its events in
 * `flag_wallet` as it has committed them.
 *
 *   counted deposits ──fold──> rows, events ──against──> table, `flag_wallet`
 */

import type { FlagEvent, WindowDeposit } from "../../gen/depositaja/v1/flag_wallet_pb.ts";
import { formatPosition, parsePosition } from "../../stream/position.ts";
import { expectedWindowRows } from "./block-rows.ts";
import { countOnce } from "./counting.ts";
import { inWords, textOf } from "./findings.ts";
import { differ, positionText, type WalletPlace } from "./place.ts";
import { RULE_ID } from "./published-rule.ts";
import type { RuleVersions } from "./rule-versions.ts";
import {
  BLOCK_ENTRIES_FORMAT,
  BLOCK_HEAD_FORMAT,
  type Entry,
  ID_FORMAT,
  WINDOW_FORMAT,
} from "./row-formats.ts";
import { compareRows, type FoundRows } from "./rows.ts";
import type { Arrival } from "./scratch.ts";
import { type ExpectedEvent, foldWindows } from "./window-fold.ts";

const FORMATS = [ID_FORMAT, WINDOW_FORMAT, BLOCK_HEAD_FORMAT, BLOCK_ENTRIES_FORMAT];

/** An event that stands in `flag_wallet`, in the part that the detector has written. */
export interface FoundEvent {
  readonly offset: number;
  readonly event: FlagEvent;
  /** Whether it is stored as such an event is written: decoders read other bytes as the same. */
  readonly isAsWritten: boolean;
}

export function proveThreshold(
  arrivals: readonly Arrival[],
  found: { readonly rows: FoundRows; readonly events: readonly FoundEvent[] },
  at: WalletPlace & { readonly rules: RuleVersions },
): void {
  const { counted, idRows } = countOnce(arrivals, ({ amount }) => String(amount), at);
  const entries = counted.map(entryOf);
  const { events, ordered } = foldWindows(entries, at.rules);
  const isFolded = ({ offset }: Entry) => offset < at.folded;
  const folded = entries.every(isFolded) ? ordered : ordered.filter(isFolded);
  const newest = entries.findLast(isFolded);
  const last = events.findLast(({ entry }) => isFolded(entry));
  const state = {
    ordered: folded,
    episode: last?.episode ?? 0,
    eventWindow: last?.window ?? null,
    windowMs: at.rules.at(newest?.offset ?? 0n).windowMs,
  };
  const rows = folded.length === 0 ? [] : expectedWindowRows(found.rows, state);
  compareRows(found.rows, [...idRows, ...rows], FORMATS, at);
  const committed = events.filter(({ entry }) => entry.offset < at.committed);
  compareEvents(committed, found.events, at);
}

function entryOf({ at_ms, amount, offset, id }: Arrival, index: number): Entry {
  return {
    timeMs: at_ms ?? 0,
    ordinal: index + 1,
    amountMinor: BigInt(amount ?? 0),
    offset: BigInt(offset),
    id,
  };
}

function compareEvents(
  expected: readonly ExpectedEvent[],
  found: readonly FoundEvent[],
  at: WalletPlace,
): void {
  const where = "flag_wallet";
  const byDeposit = new Map<string, FoundEvent>();
  for (const each of found) {
    const position = each.event.deposit?.position ?? "";
    const offset = Number(parsePosition(position)?.offset ?? 0n);
    if (byDeposit.has(position)) {
      const shown = `another at ${positionText(where, at.partition, each.offset)}`;
      const difference = { expected: "one event", found: shown };
      differ(at, { kind: "flag_event", where, offset, ...difference });
    } else byDeposit.set(position, each);
  }
  let before = -1;
  for (const event of expected) {
    at.findings.compared.flagEvents += 1;
    const value = eventValue(event, at);
    const offset = Number(event.entry.offset);
    const stands = byDeposit.get(value.deposit.position);
    byDeposit.delete(value.deposit.position);
    const difference =
      stands === undefined
        ? { expected: `an event: ${textOf(value)}`, found: "none" }
        : differenceOf(value, stands, before);
    if (difference !== null) differ(at, { kind: "flag_event", where, offset, ...difference });
    before = Math.max(before, stands?.offset ?? before);
  }
  for (const { event, offset: stands } of byDeposit.values()) {
    const offset = Number(parsePosition(event.deposit?.position ?? "")?.offset ?? 0n);
    const place = positionText(where, at.partition, stands);
    const shown = `at ${place}: ${textOf(foundValue(event))}`;
    differ(at, { kind: "flag_event", where, offset, expected: "no event", found: shown });
  }
}

function differenceOf(value: object, found: FoundEvent, before: number) {
  const { event, offset, isAsWritten } = found;
  const stored = foundValue(event);
  if (!Bun.deepEquals(stored, value)) return inWords(value, stored);
  if (!isAsWritten) return { expected: "its bytes as written", found: "others, read as the same" };
  if (offset > before) return null;
  return { expected: "behind the event before it", found: `before it, at offset ${offset}` };
}

function eventValue(
  { entry, rule, window, totalMinor, isLate, episode, opening }: ExpectedEvent,
  { partition }: { readonly partition: number },
) {
  const deposit = (one: Entry) => ({
    position: formatPosition({ partition, offset: one.offset }),
    clientId: one.id,
    amountMinor: one.amountMinor,
    acceptedAtMs: one.timeMs,
    ordinal: one.ordinal,
  });
  return {
    ruleId: RULE_ID,
    ruleVersion: rule.version,
    windowStartMs: window.startMs,
    windowEndMs: window.endMs,
    totalMinor: totalMinor.toString(),
    limitMinor: rule.limitMinor.toString(),
    deposit: deposit(entry),
    isLate,
    episode,
    deposits: opening === null ? null : opening.deposits.map(deposit),
    depositCount: opening === null ? null : opening.count,
    unknownFields: 0,
  };
}

/** A message as plain values, in the same form. */
function foundValue(event: FlagEvent) {
  const deposit = (one: WindowDeposit | undefined) => ({
    position: one?.position ?? "",
    clientId: one?.clientId ?? null,
    amountMinor: one?.amountMinor ?? 0n,
    acceptedAtMs: Number(one?.acceptedAtMs),
    ordinal: Number(one?.ordinal),
  });
  const listed = event.opening?.deposits ?? [];
  const messages = [event, event.deposit, event.opening, ...listed];
  return {
    ruleId: event.ruleId,
    ruleVersion: event.ruleVersion,
    windowStartMs: Number(event.windowStartMs),
    windowEndMs: Number(event.windowEndMs),
    totalMinor: event.totalMinor,
    limitMinor: event.limitMinor,
    deposit: deposit(event.deposit),
    isLate: event.isLate,
    episode: Number(event.episode),
    deposits: event.opening === undefined ? null : listed.map(deposit),
    depositCount: event.opening === undefined ? null : Number(event.opening.count),
    unknownFields: messages.reduce((sum, one) => sum + (one?.$unknown?.length ?? 0), 0),
  };
}
