/**
 * Evidence as JSON: complete, times as Unix milliseconds and in UTC, amounts as decimal strings.
 *
 *   WalletEvidence ──> one JSON value ──> `flags --json`, GET /flags/{wallet_id}
 */

import { utcText } from "../deposits/deposit.ts";
import { formatDecimal } from "../money.ts";
import type {
  DepositEvidence,
  EpisodeEvidence,
  EventEvidence,
  FlagSummary,
  WalletEvidence,
} from "./evidence.ts";

export function summaryJson(walletId: string, summary: FlagSummary) {
  return {
    wallet_id: walletId,
    flagged: summary.isFlagged,
    last_action: summary.lastAction,
    newest_event: summary.newestOrdinal,
    covered_event: summary.coveredOrdinal,
    event_count: summary.eventCount,
  };
}

export function evidenceJson(walletId: string, evidence: WalletEvidence, decimals: number) {
  return {
    ...summaryJson(walletId, evidence),
    episodes: evidence.episodes.map((episode) => episodeJson(episode, decimals)),
    actions: evidence.actions.map((action, i) => ({
      action: i + 1,
      kind: action.kind,
      actor: action.actor,
      reason: action.reason,
      seen_event: action.seenOrdinal,
      ...timeJson("at", action.atMs),
    })),
  };
}

function episodeJson(episode: EpisodeEvidence, decimals: number) {
  const { number, opening, eventCount, newestEvents } = episode;
  return {
    episode: number,
    event_count: eventCount,
    opening:
      opening === null
        ? null
        : {
            rule_id: opening.ruleId,
            rule_version: opening.ruleVersion,
            limit: formatDecimal(opening.limitMinor, decimals),
            ...eventJson(opening, decimals),
            deposit_count: opening.depositCount,
            deposits: opening.deposits.map((deposit) => depositJson(deposit, decimals)),
          },
    newest_events: newestEvents.map((event) => eventJson(event, decimals)),
  };
}

function eventJson(event: EventEvidence, decimals: number) {
  return {
    event: event.deposit.ordinal,
    ...timeJson("window_start", event.windowStartMs),
    ...timeJson("window_end", event.windowEndMs),
    total: formatDecimal(event.totalMinor, decimals),
    late: event.isLate,
    covered: event.isCovered,
    covered_by_action: event.coveredByAction,
    deposit: depositJson(event.deposit, decimals),
  };
}

export function depositJson(deposit: DepositEvidence, decimals: number) {
  return {
    deposit_id: deposit.depositId,
    client_id: deposit.clientId,
    amount: formatDecimal(deposit.amountMinor, decimals),
    ...timeJson("accepted_at", deposit.acceptedAtMs),
    ordinal: deposit.ordinal,
  };
}

/** In Unix milliseconds and as people read it. */
export function timeJson<Name extends string>(name: Name, timeMs: number) {
  return { [`${name}_ms`]: timeMs, [name]: utcText(timeMs) } as Record<
    `${Name}_ms` | Name,
    number | string
  >;
}
