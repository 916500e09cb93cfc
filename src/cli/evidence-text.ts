/**
 * Evidence as an analyst reads it: why a wallet is flagged, and what was done about it.
 *
 *   WalletEvidence ──> lines
 */

import type { App } from "../app.ts";
import { formatDecimal } from "../money.ts";
import { localText, utcText } from "./time-text.ts";

type Evidence = ReturnType<App["wallets"]["evidence"]>;
type Episode = Evidence["episodes"][number];
type Event = Episode["newestEvents"][number];
type Deposit = Event["deposit"];
type Action = Evidence["actions"][number];
type Summary = ReturnType<App["wallets"]["flag"]>;

/** Of episodes, events and actions: the newest, so that a screen shows what matters now. */
const SHOWN = 10;

export interface TextOptions {
  readonly decimals: number;
  /** All of everything, instead of the newest. */
  readonly isComplete: boolean;
}

/** The whole report on one wallet. */
export function evidenceLines(walletId: string, evidence: Evidence, options: TextOptions) {
  const { episodes, actions } = evidence;
  const lines = [`wallet   ${walletId}`, `flagged  ${statusText(evidence)}`];
  const shownEpisodes = newest(episodes, options);
  if (episodes.length > 0) lines.push("", `episodes (${shownText(shownEpisodes, episodes)})`);
  for (const episode of shownEpisodes) lines.push("", ...episodeLines(episode, options));
  const shownActions = newest(actions, options);
  if (actions.length > 0) {
    lines.push("", `operators' actions (${shownText(shownActions, actions)})`);
    lines.push(...shownActions.map((action) => `  ${actionText(action)}`));
  }
  return lines;
}

/** Why it is flagged or not, in a sentence. */
export function statusText(summary: Summary): string {
  const { isFlagged, lastAction, newestOrdinal, coveredOrdinal, eventCount } = summary;
  const isUncovered = newestOrdinal > coveredOrdinal;
  if (isFlagged && isUncovered) {
    const covered = coveredOrdinal === 0 ? "" : `; removals cover events up to ${coveredOrdinal}`;
    return `yes: its newest event is ${newestOrdinal}${covered}`;
  }
  if (isFlagged) return "yes: an operator flagged it";
  if (lastAction === "remove") {
    return coveredOrdinal === 0
      ? "no: removed"
      : `no: removed; events up to ${coveredOrdinal} are covered`;
  }
  return eventCount === 0 ? "no: no deposit ever exceeded the limit" : "no";
}

export function episodeLines(episode: Episode, options: TextOptions): string[] {
  const { opening, newestEvents, eventCount } = episode;
  const events = newest(newestEvents, options);
  const lines =
    opening === null
      ? [`episode ${episode.number}: its opening event is not in the log`]
      : openingLines(episode.number, opening, options);
  const further = opening === null ? eventCount : eventCount - 1;
  if (further > 0) {
    lines.push(`  further events (${events.length} of ${further} shown)`);
    lines.push(...eventTable(events, options).map((line) => `    ${line}`));
  }
  return lines;
}

function openingLines(
  number: number,
  opening: NonNullable<Episode["opening"]>,
  options: TextOptions,
): string[] {
  const money = (minor: bigint) => formatDecimal(minor, options.decimals);
  const { deposits, depositCount, deposit } = opening;
  const count = depositCount === 1 ? "1 deposit" : `${depositCount} deposits`;
  const shown = deposits.length < depositCount ? `, the newest ${deposits.length} shown` : "";
  return [
    `episode ${number}: rule ${opening.ruleId}, version ${opening.ruleVersion}`,
    `  total    ${money(opening.totalMinor)} in ${count}, limit ${money(opening.limitMinor)}`,
    `  window   after ${localText(opening.windowStartMs)}, ` +
      `up to and with ${localText(opening.windowEndMs)}`,
    `  in UTC   after ${utcText(opening.windowStartMs)}, ` +
      `up to and with ${utcText(opening.windowEndMs)}`,
    `  event    ${deposit.ordinal}, deposit ${deposit.depositId}${marks(opening)}`,
    `  deposits in the window${shown}`,
    ...depositTable(deposits, options).map((line) => `    ${line}`),
  ];
}

function marks(event: Pick<Event, "isLate" | "isCovered">): string {
  const late = event.isLate ? ", came late" : "";
  return `${late}${event.isCovered ? ", covered by a removal" : ""}`;
}

function depositTable(deposits: readonly Deposit[], { decimals }: TextOptions): string[] {
  return table(
    ["nr", "deposit", "amount", "time", "UTC", "client id"],
    deposits.map((deposit) => [
      String(deposit.ordinal),
      deposit.depositId,
      formatDecimal(deposit.amountMinor, decimals),
      localText(deposit.acceptedAtMs),
      utcText(deposit.acceptedAtMs),
      deposit.clientId ?? "-",
    ]),
  );
}

const EVENT_COLUMNS = [
  ...["event", "deposit", "amount", "time", "window after (UTC)", "up to (UTC)"],
  ...["total", "client id"],
];

function eventTable(events: readonly Event[], { decimals }: TextOptions): string[] {
  return table(
    EVENT_COLUMNS,
    events.map(({ deposit, ...event }) => [
      String(deposit.ordinal),
      deposit.depositId,
      formatDecimal(deposit.amountMinor, decimals),
      localText(deposit.acceptedAtMs),
      utcText(event.windowStartMs),
      utcText(event.windowEndMs),
      formatDecimal(event.totalMinor, decimals),
      `${deposit.clientId ?? "-"}${marks(event)}`,
    ]),
  );
}

function actionText(action: Action): string {
  const did = action.kind === "add" ? "flagged" : "removed the flag";
  const { seenOrdinal } = action;
  const event = seenOrdinal === 0 ? "no event" : `event ${seenOrdinal}`;
  const seen = seenOrdinal === null ? "" : `, had seen ${event}`;
  const reason = action.reason === "" ? "no reason given" : `reason: ${action.reason}`;
  const when = `${localText(action.atMs)} (${utcText(action.atMs)})`;
  return `${when}: ${action.actor} ${did}${seen}; ${reason}`;
}

/** Columns as wide as their widest cell; numbers of the house stand to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => Bun.stringWidth(row[column] ?? ""))),
  );
  const isRight = (title: string) => ["nr", "event", "amount", "total"].includes(title);
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => {
        const gap = " ".repeat(Math.max(0, (widths[column] ?? 0) - Bun.stringWidth(cell)));
        return isRight(head[column] as string) ? gap + cell : cell + gap;
      })
      .join("  ")
      .trimEnd();
  return [head, ...rows].map(line);
}

function newest<T>(all: readonly T[], { isComplete }: TextOptions): readonly T[] {
  return isComplete ? all : all.slice(-SHOWN);
}

function shownText(shown: readonly unknown[], all: readonly unknown[]): string {
  const hint = shown.length < all.length ? "; --all shows all, --json too" : "";
  return `${shown.length} of ${all.length} shown${hint}`;
}
