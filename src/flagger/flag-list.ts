/**
 * The list of flags: wallets with a flag or a history of one, after one wallet, by state and time.
 *
 *   flagger-table ──scan after a wallet──> state? ──snapshot──> time? ──> GET /flags
 *
 * The order is that of the table: by partition, then by the bytes of the wallet id, shorter ones
 * first. It says nothing, but it never changes, so that a list can be read page by page without
 * missing a wallet, whatever is written meanwhile.
 */

import type { RowReader } from "../stream/group.ts";
import type { View } from "../stream/view.ts";
import { lastEvent } from "./episode-events.ts";
import { type FlagSummary, summaryOf } from "./evidence.ts";
import {
  actionRow,
  episodeEventsRow,
  episodeOpeningRow,
  type FlagRow,
  flagRow,
  isFlagged,
  numberKey,
} from "./flag-rows.ts";

/** `removed`: it has a history and no flag now. */
export const FLAG_STATES = ["flagged", "removed", "any"] as const;

export interface FlagFilter {
  readonly state: (typeof FLAG_STATES)[number];
  /** Changed then or later, Unix milliseconds; null: whenever. */
  readonly fromMs: number | null;
  /** Changed before then. */
  readonly toMs: number | null;
}

export interface ListedFlag extends FlagSummary {
  readonly walletId: string;
  /**
   * The later of the newest event's deposit's time and the last operator's action; null when the
   * log has neither, which only another writer causes.
   */
  readonly changedAtMs: number | null;
}

/** One wallet that was looked at. */
export interface Looked {
  readonly walletId: string;
  /** Null: the filter leaves it out. */
  readonly flag: ListedFlag | null;
}

/**
 * Every wallet with a flag or a history, the matching ones and the others, after one wallet or from
 * the first. Each is one snapshot, all of them are not.
 */
export function* listFlags(
  view: View,
  { partitions, after, filter }: ListOptions,
): Generator<Looked> {
  let last = after ?? undefined;
  const first = last === undefined ? 0 : view.partitionOf(last);
  for (let partition = first; partition < partitions; partition++) {
    for (const { key: walletId, value } of view.scan(partition, flagRow, last)) {
      const flag = isOfState(value, filter) ? listedFlag(view, walletId) : null;
      yield { walletId, flag: flag !== null && matches(flag, filter) ? flag : null };
    }
    last = undefined;
  }
}

export interface ListOptions {
  readonly partitions: number;
  /** Null: from the first. */
  readonly after: string | null;
  readonly filter: FlagFilter;
}

/** Null for a wallet without a flag and without a history. */
export function listedFlag(view: View, walletId: string): ListedFlag | null {
  return view.read(walletId, (rows) => {
    const row = rows.get(flagRow);
    if (row === null) return null;
    const times = [eventTimeMs(rows, row), actionTimeMs(rows, row)].filter((time) => time !== null);
    const changedAtMs = times.length === 0 ? null : Math.max(...times);
    return { walletId, ...summaryOf(row), changedAtMs };
  });
}

/** Of the last event in log order. */
function eventTimeMs(rows: RowReader, { episode, eventCount }: FlagRow): number | null {
  if (eventCount === 0) return null;
  const key = numberKey(episode);
  const events = rows.get(episodeEventsRow, key);
  const last = events === null ? null : lastEvent(events);
  if (last !== null) return last.acceptedAtMs;
  const opening = rows.get(episodeOpeningRow, key)?.deposit;
  return opening === undefined ? null : Number(opening.acceptedAtMs);
}

function actionTimeMs(rows: RowReader, { actionCount }: FlagRow): number | null {
  const action = actionCount === 0 ? null : rows.get(actionRow, numberKey(actionCount));
  return action === null ? null : Number(action.atMs);
}

function isOfState(row: FlagRow, { state }: FlagFilter): boolean {
  return state === "any" || isFlagged(row) === (state === "flagged");
}

function matches(flag: ListedFlag, { state, fromMs, toMs }: FlagFilter): boolean {
  if (state !== "any" && flag.isFlagged !== (state === "flagged")) return false;
  if (fromMs === null && toMs === null) return true;
  const { changedAtMs } = flag;
  if (changedAtMs === null) return false;
  return (fromMs === null || changedAtMs >= fromMs) && (toMs === null || changedAtMs < toMs);
}
