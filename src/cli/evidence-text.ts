/**
 * Evidence as an analyst reads it: why a wallet is flagged, and what was done about it.
 *
 *   WalletEvidence ──> lines
 */

import type { App } from "../app.ts";
import { formatDecimal } from "../money.ts";
import { coveringRemoval } from "./coverage.ts";
import { ruleText } from "./rule-options.ts";
import { table } from "./table.ts";
import { localText, utcText } from "./time-text.ts";
import { windowDrawing } from "./window-drawing.ts";

type Evidence = ReturnType<App["wallets"]["evidence"]>;
type Episode = Evidence["episodes"][number];
type Event = Episode["newestEvents"][number];
type Deposit = Event["deposit"];
type Actions = Evidence["actions"];
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
  for (const episode of shownEpisodes) lines.push("", ...episodeLines(episode, actions, options));
  const shownActions = newest(actions, options);
  if (actions.length > 0) {
    lines.push("", `operators' actions (${shownText(shownActions, actions)})`);
    const first = actions.length - shownActions.length + 1;
    lines.push(...shownActions.map((action, i) => `  action ${first + i}, ${actionText(action)}`));
  }
  return lines;
}

/** Why it is flagged or not, in a sentence. */
export function statusText(summary: Summary): string {
  const { isFlagged, lastAction, newestOrdinal, coveredOrdinal, eventCount } = summary;
  const reasons: string[] = [];
  if (newestOrdinal > coveredOrdinal) {
    const last = `nr ${newestOrdinal}`;
    const which =
      eventCount === 1 ? `deposit ${last}` : `${eventCount} deposits, the newest ${last},`;
    const covered = coveredOrdinal === 0 ? "" : `; removals cover up to nr ${coveredOrdinal}`;
    reasons.push(`${which} took it over the limit${covered}`);
  }
  if (lastAction === "add") reasons.push("an operator flagged it");
  if (isFlagged) return `yes: ${reasons.join("; ")}`;
  if (lastAction === null) return "no: no deposit ever exceeded the limit";
  const all = eventCount === 0 ? "" : `, having seen deposits up to nr ${coveredOrdinal}`;
  return `no: an operator removed the flag${all}`;
}

/** `actions`: all of the wallet, in log order. */
export function episodeLines(episode: Episode, actions: Actions, options: TextOptions): string[] {
  const { opening, newestEvents, eventCount } = episode;
  const events = newest(newestEvents, options);
  const lines =
    opening === null
      ? [`episode ${episode.number}: its opening event is not in the log`]
      : [
          `episode ${episode.number}: rule ${ruleOf(opening, options)}`,
          ...openingLines(opening, actions, options),
        ];
  const further = opening === null ? eventCount : eventCount - 1;
  if (further > 0) {
    const hint = events.length < newestEvents.length ? eventsHint(newestEvents, further) : "";
    lines.push(`  further events (${events.length} of ${further} shown${hint})`);
    lines.push(...eventTable(events, actions, options).map((line) => `    ${line}`));
  }
  return lines;
}

/** `flag --remove` prints an episode, too, and has no --all. */
function eventsHint(kept: readonly Event[], further: number): string {
  return `; \`flags\` with --all shows ${kept.length < further ? `${kept.length}` : "all"}`;
}

function ruleOf(
  { ruleId, ruleVersion, windowStartMs, windowEndMs, limitMinor }: NonNullable<Episode["opening"]>,
  { decimals }: TextOptions,
): string {
  const text = ruleText({ windowMs: windowEndMs - windowStartMs, limitMinor }, decimals);
  return `${ruleId}, version ${ruleVersion}, ${text}`;
}

function openingLines(
  opening: NonNullable<Episode["opening"]>,
  actions: Actions,
  options: TextOptions,
): string[] {
  const money = (minor: bigint) => formatDecimal(minor, options.decimals);
  const { deposits, depositCount, deposit } = opening;
  const count = depositCount === 1 ? "1 deposit" : `${depositCount} deposits`;
  const shown = deposits.length < depositCount ? `, the newest ${deposits.length} shown` : "";
  const late = opening.isLate ? ", came late" : "";
  const covering = coveringRemoval(actions, opening);
  return [
    `  total    ${money(opening.totalMinor)} in ${count}, limit ${money(opening.limitMinor)}`,
    `  window   after ${localText(opening.windowStartMs)}, ` +
      `up to and with ${localText(opening.windowEndMs)}`,
    `  in UTC   after ${utcText(opening.windowStartMs)}, ` +
      `up to and with ${utcText(opening.windowEndMs)}`,
    `  event    nr ${deposit.ordinal}, deposit ${deposit.depositId}${late}`,
    ...(covering === null
      ? []
      : [`  covered  by action ${covering.number}: ${covering.actor}, ${timeText(covering.atMs)}`]),
    `  timeline ${windowDrawing(opening, options.decimals)}`,
    `  deposits in the window${shown}`,
    ...depositTable(deposits, options).map((line) => `    ${line}`),
  ];
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
  ...["nr", "deposit", "amount", "time", "window after (UTC)", "up to (UTC)"],
  ...["total", "late", "covered by", "client id"],
];

function eventTable(
  events: readonly Event[],
  actions: Actions,
  { decimals }: TextOptions,
): string[] {
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
      event.isLate ? "yes" : "no",
      coveringText(actions, event),
      deposit.clientId ?? "-",
    ]),
  );
}

function coveringText(actions: Actions, event: Pick<Event, "coveredByAction">): string {
  const covering = coveringRemoval(actions, event);
  return covering === null ? "-" : `action ${covering.number}: ${covering.actor}`;
}

function actionText(action: Actions[number]): string {
  const did = action.kind === "add" ? "flagged" : "removed the flag";
  const { seenOrdinal } = action;
  const event = seenOrdinal === 0 ? "no event" : `events up to ${seenOrdinal}`;
  const seen = seenOrdinal === null ? "" : `, had seen ${event}`;
  const reason = action.reason === "" ? "no reason given" : `reason: ${action.reason}`;
  return `${timeText(action.atMs)}: ${action.actor} ${did}${seen}; ${reason}`;
}

function timeText(timeMs: number): string {
  return `${localText(timeMs)} (${utcText(timeMs)})`;
}

function newest<T>(all: readonly T[], { isComplete }: TextOptions): readonly T[] {
  return isComplete ? all : all.slice(-SHOWN);
}

function shownText(shown: readonly unknown[], all: readonly unknown[]): string {
  const hint = shown.length < all.length ? "; --all shows all, --json too" : "";
  return `${shown.length} of ${all.length} shown${hint}`;
}
