/** Tries again with growing pauses, until it works, the deadline passes or a signal fires. */

import { LogError } from "../event-log.ts";
import { RETRY_FIRST_MS, RETRY_LAST_MS } from "./limits.ts";

export interface RetryOptions {
  readonly withinMs: number;
  readonly signal?: AbortSignal;
  /** What it does, for the message: "look up events partition 3". */
  readonly what: string;
  /** What an error that does not pass means; `unavailable` when left out. */
  readonly refused?: (error: unknown) => Error;
}

/**
 * Throws the first LogError; `refused`'s for any other that `isPassing` does not call passing;
 * `unavailable` with the last one as its cause at the deadline or when the signal fires.
 */
export async function retrying<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const endMs = performance.now() + options.withinMs;
  for (let pauseMs = RETRY_FIRST_MS; ; pauseMs = Math.min(pauseMs * 2, RETRY_LAST_MS)) {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof LogError) throw error;
      if (!isPassing(error)) {
        throw options.refused?.(error) ?? unavailable(options.what, error);
      }
      if (performance.now() + pauseMs > endMs || options.signal?.aborted === true) {
        throw unavailable(options.what, error);
      }
    }
    await pause(pauseMs, options.signal);
  }
}

/** Resolves after so many milliseconds, or when the signal fires. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end, { once: true });
  });
}

/** Resolves with the promise, or after so many milliseconds: whether the promise was first. */
export async function atMost(ms: number, promise: Promise<unknown>): Promise<boolean> {
  const isOver = new AbortController();
  const late = pause(ms, isOver.signal).then(() => false);
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    isOver.abort();
  }
}

/** Of the error that lies at the bottom: kafkajs wraps some in "retries exceeded". */
export function typeOf(error: unknown): string {
  const bottom = bottomOf(error) as { readonly type?: string; readonly name?: string };
  return bottom.type ?? bottom.name ?? "";
}

const PASSING = new Set([
  "KafkaJSConnectionError",
  "KafkaJSConnectionClosedError",
  "KafkaJSRequestTimeoutError",
  "KafkaJSBrokerNotFound",
  "KafkaJSLockTimeout",
  "KafkaJSMetadataNotLoaded",
  "KafkaJSTopicMetadataNotLoaded",
  "KafkaJSGroupCoordinatorNotFound",
  "KafkaJSNoBrokerAvailableError",
  "LEADER_NOT_AVAILABLE",
  "NOT_LEADER_FOR_PARTITION",
  "REQUEST_TIMED_OUT",
  "NETWORK_EXCEPTION",
  "REPLICA_NOT_AVAILABLE",
  "GROUP_LOAD_IN_PROGRESS",
  "GROUP_COORDINATOR_NOT_AVAILABLE",
  "NOT_COORDINATOR_FOR_GROUP",
  "NOT_CONTROLLER",
  "KAFKA_STORAGE_ERROR",
  "OFFSET_NOT_AVAILABLE",
  "UNKNOWN_LEADER_EPOCH",
  "FENCED_LEADER_EPOCH",
]);

/** Whether the same may work in a moment, at another broker or at the same. */
export function isPassing(error: unknown): boolean {
  if (error instanceof LogError) return false;
  const type = typeOf(error);
  return PASSING.has(type) || (type === LOGIN_FAILED && !isLoginRefused(error));
}

const LOGIN_FAILED = "KafkaJSSASLAuthenticationError";
/** kafkajs calls whatever goes wrong while it logs in a failed login. */
const LOST_MEANWHILE =
  /closed connection|connection (error|closed|timeout)|not connected|timed out/i;

/** Whether every broker would refuse the login, now and in a moment. */
export function isLoginRefused(error: unknown): boolean {
  return typeOf(error) === LOGIN_FAILED && !LOST_MEANWHILE.test(messageOf(error));
}

export function unavailable(what: string, cause: unknown): LogError {
  return new LogError("unavailable", `cannot ${what}: ${messageOf(cause)}`, { cause });
}

/** Of the error that lies at the bottom. */
export function messageOf(error: unknown): string {
  return (bottomOf(error) as Partial<Error>)?.message ?? String(error);
}

const WRAPPERS = new Set(["KafkaJSNumberOfRetriesExceeded", "KafkaJSNonRetriableError"]);

function bottomOf(error: unknown): unknown {
  let bottom = error;
  while (WRAPPERS.has((bottom as Error).name)) {
    const cause = (bottom as Error).cause;
    if (cause === undefined || cause === bottom) break;
    bottom = cause;
  }
  return bottom;
}
