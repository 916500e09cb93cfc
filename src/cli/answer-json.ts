/**
 * What must be flagged in a sample as JSON: as the evidence of a wallet, without what depends on
 * the log and on operators.
 *
 *   Answer ──> one JSON value
 */

import { formatDecimal } from "../money.ts";
import type { Answer } from "../proof/sample/answers.ts";
import { SAMPLE_DECIMALS } from "../proof/sample/sample-plan.ts";
import { utcText } from "./time-text.ts";

type Event = Answer["episodes"][number]["opening"];
type Deposit = Event["entry"];

export function answerJson(answer: Answer) {
  return {
    wallet_id: answer.walletId,
    flagged: true,
    newest_event: answer.newestOrdinal,
    event_count: answer.eventCount,
    episodes: answer.episodes.map(({ eventCount, opening }, i) => ({
      episode: i + 1,
      event_count: eventCount,
      opening: {
        rule_id: answer.ruleId,
        rule_version: answer.ruleVersion,
        limit: formatDecimal(answer.limitMinor, SAMPLE_DECIMALS),
        ...eventJson(opening),
        deposit_count: opening.opening?.count ?? 0,
        deposits: (opening.opening?.deposits ?? []).map(depositJson),
      },
    })),
  };
}

function eventJson({ entry, window, totalMinor, isLate }: Event) {
  return {
    event: entry.ordinal,
    window_start_ms: window.startMs,
    window_start: utcText(window.startMs),
    window_end_ms: window.endMs,
    window_end: utcText(window.endMs),
    total: formatDecimal(totalMinor, SAMPLE_DECIMALS),
    late: isLate,
    deposit: depositJson(entry),
  };
}

function depositJson({ id, amountMinor, timeMs, ordinal }: Deposit) {
  return {
    client_id: id,
    amount: formatDecimal(amountMinor, SAMPLE_DECIMALS),
    accepted_at_ms: timeMs,
    accepted_at: utcText(timeMs),
    ordinal,
  };
}
