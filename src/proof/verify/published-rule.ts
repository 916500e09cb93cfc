/**
 * What docs/semantics.md publishes, in numbers, written down here a second time: a verification
 * that took them from the processors would find nothing wrong with a wrong one.
 */

/** `deposits-over-limit`, version 1. */
export const RULE_ID = "deposits-over-limit";
export const RULE_VERSION = 1;
export const WINDOW_MS = 120_000;
/** Of other versions, which operators set. */
export const MIN_WINDOW_MS = 1_000;
export const MAX_WINDOW_MS = 86_400_000;
/** In whole units; a window over the limit has more. */
const LIMIT = 10_000n;

/** An opening lists so many deposits of its window, the newest. */
export const MAX_LISTED = 100;
/** A balance keeps so many of the last deposits. */
export const MAX_LAST = 5;
/** An episode keeps so many of the events that went on with it, the newest. */
export const MAX_EVENTS = 100;

export const MAX_AHEAD_MS = 5 * 60_000;
/** UTF-8 bytes. */
export const MAX_WALLET_BYTES = 128;
export const MAX_ID_BYTES = 256;
export const MAX_ACTOR_BYTES = 128;
export const MAX_REASON_BYTES = 1_000;
export const MAX_RULE_ID_BYTES = 100;
export const MAX_SUM_DIGITS = 64;
export const MAX_COUNT = BigInt(Number.MAX_SAFE_INTEGER);
export const MAX_TIME_MS = 2n ** 51n;

/** Of version 1, at the log's scale. */
export function limitMinor(decimals: number): bigint {
  return LIMIT * 10n ** BigInt(decimals);
}
