/**
 * The flagger, group `flagger`: who is flagged, and why.
 *
 *   flag_wallet (events, operators' actions) ──> flagger ──> flagger-table ──views──> `check`,
 *                                                                                      `flags`
 *
 * A flag stays until an operator removes it; a removal covers the events that the operator had
 * seen. The verdict is the same in whatever order events and operators' records meet, for it
 * compares two maxima: the highest event ordinal and the highest covered one. So a removal that
 * covers more than any event yet covers those to come, too.
 */

import type { FlagEvent, OperatorAction } from "../gen/depositaja/v1/flag_wallet_pb.ts";
import { OperatorAction_Kind } from "../gen/depositaja/v1/flag_wallet_pb.ts";
import { type Context, defineGroup, input } from "../stream/group.ts";
import { addEvent, NO_EVENTS } from "./episode-events.ts";
import {
  actionRow,
  episodeEventsRow,
  episodeOpeningRow,
  type FlagRow,
  flagRow,
  isFlagged,
  NO_FLAG,
  numberKey,
} from "./flag-rows.ts";
import { flagWalletStream } from "./flag-wallet.ts";

/** The rule for a detector's event. */
export function applyEvent(row: FlagRow, event: { ordinal: number; episode: number }): FlagRow {
  return {
    ...row,
    highestOrdinal: Math.max(row.highestOrdinal, event.ordinal),
    episode: event.episode,
    eventCount: row.eventCount + 1,
  };
}

/** The rule for an operator's action. `seenOrdinal` counts for a removal only. */
export function applyAction(
  row: FlagRow,
  action: { kind: "add" | "remove"; seenOrdinal: number },
): FlagRow {
  const covered = action.kind === "remove" ? action.seenOrdinal : 0;
  return {
    ...row,
    lastAction: action.kind,
    coveredOrdinal: Math.max(row.coveredOrdinal, covered),
    actionCount: row.actionCount + 1,
  };
}

/** How often a wallet came to be flagged, and how often it ceased to be. */
export const RAISED_COUNT = "raised";
export const REMOVED_COUNT = "removed";

export const flaggerGroup = defineGroup({
  name: "flagger",
  inputs: [
    input(
      flagWalletStream,
      (context, { kind }) => {
        if (kind.case === "event") keepEvent(context, kind.value);
        else if (kind.case === "action") keepAction(context, kind.value);
      },
      // Only operators' records carry an id, so that a retried one counts once.
      { fingerprint: ({ kind }) => (kind.case === "action" ? actionText(kind.value) : "event") },
    ),
  ],
  rows: [flagRow, episodeOpeningRow, episodeEventsRow, actionRow],
  counts: [RAISED_COUNT, REMOVED_COUNT],
});

function keepEvent(context: Context, event: FlagEvent): void {
  const ordinal = Number(event.deposit?.ordinal);
  const episode = Number(event.episode);
  setFlag(context, (row) => applyEvent(row, { ordinal, episode }));
  const key = numberKey(episode);
  const events = context.get(episodeEventsRow, key) ?? NO_EVENTS;
  if (event.opening !== undefined && events.count === 0) {
    context.set(episodeOpeningRow, event, key);
    context.set(episodeEventsRow, { count: 1, newest: [] }, key);
  } else {
    context.set(episodeEventsRow, addEvent(events, event), key);
  }
}

function keepAction(context: Context, action: OperatorAction): void {
  const kind = action.kind === OperatorAction_Kind.ADD ? "add" : "remove";
  const seenOrdinal = Number(action.seenOrdinal);
  const row = setFlag(context, (before) => applyAction(before, { kind, seenOrdinal }));
  context.set(actionRow, action, numberKey(row.actionCount));
}

function setFlag(context: Context, apply: (row: FlagRow) => FlagRow): FlagRow {
  const before = context.get(flagRow) ?? NO_FLAG;
  const row = apply(before);
  context.set(flagRow, row);
  const isNow = isFlagged(row);
  if (isNow !== isFlagged(before)) context.count(isNow ? RAISED_COUNT : REMOVED_COUNT);
  return row;
}

function actionText(action: OperatorAction): string {
  return `${action.kind}:${action.seenOrdinal}`;
}
