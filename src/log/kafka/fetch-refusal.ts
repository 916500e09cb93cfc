/**
 * What a reader is told whose partition cannot be read on: fact, place, what to do.
 *
 *   a leader's answer, or what was thrown ──> LogError, the end of one cursor
 */

import { LogError } from "../event-log.ts";
import type { Place } from "./cursor.ts";
import type { FetchResult } from "./fetch-request.ts";
import { ErrorCode } from "./wire.ts";

/** Of an answer that names the position. */
export function fetchRefused(place: Place, from: bigint, result: FetchResult): LogError {
  const { topic, partition } = place;
  const where = `offset ${from} of ${topic} partition ${partition}`;
  switch (result.errorCode) {
    case ErrorCode.offsetOutOfRange:
      return new LogError(
        "position_out_of_range",
        `${where} is not there${heldBy(result)}; where the topic was truncated or made anew, ` +
          "restore it",
      );
    case ErrorCode.corruptMessage:
      return new LogError("corrupt", `the broker finds what it has from ${where} on damaged`);
    default:
      return new LogError("unavailable", `the broker does not let this user read ${where}`);
  }
}

function heldBy({ startOffset, lastStableOffset }: FetchResult): string {
  return startOffset < 0n ? "" : `: it holds ${startOffset} to ${lastStableOffset}`;
}

/** Of a topic that has another id than the one that was read. */
export function madeAnew({ topic, partition }: Place, from: bigint): LogError {
  return new LogError(
    "topic_changed",
    `topic ${topic} was made anew, while partition ${partition} was read from offset ${from} on: ` +
      "restore the topic, or start the group anew",
  );
}

/** Of an error that does not pass. Whoever opens a cursor has seen that its topic is there. */
export function fetchFailed(place: Place, from: bigint, error: unknown): LogError {
  const { topic, partition } = place;
  if (!(error instanceof LogError)) {
    return new LogError("unavailable", `cannot read: ${String(error)}`, { cause: error });
  }
  if (error.code !== "unknown_topic") return error;
  return new LogError(
    "unknown_topic",
    `topic ${topic} is gone, while partition ${partition} was read from offset ${from} on: ` +
      "restore the topic, or start the group anew",
    { cause: error },
  );
}
