/**
 * The first word with a cluster: within a limit it is reached, or it is said what to check.
 *
 *   brokers ──metadata──> answer | not let in: at once | nobody there: `unavailable` at the limit
 */

import { LogError } from "../event-log.ts";
import type { Connections, KafkaAccess } from "./connections.ts";
import { OPEN_WITHIN_MS, REACH_AGAIN_FIRST_MS, REACH_AGAIN_LAST_MS } from "./limits.ts";
import { hintOf, refusalOf } from "./refusal.ts";
import { isPassing, messageOf, pause } from "./retry.ts";
import type { ClusterMetadata } from "./wire.ts";

/** Throws LogError: `unusable_place` when it is not let in, `unavailable` when nobody answers. */
export async function reachCluster(
  connections: Connections,
  access: KafkaAccess,
): Promise<ClusterMetadata> {
  const endMs = performance.now() + OPEN_WITHIN_MS;
  let cause: unknown = null;
  for (let pauseMs = REACH_AGAIN_FIRST_MS; ; pauseMs = Math.min(pauseMs * 2, REACH_AGAIN_LAST_MS)) {
    try {
      return await before(endMs, connections.metadata([]));
    } catch (error) {
      const refusal = refusalOf(error, access);
      if (refusal !== null) throw refusal;
      if (!isPassing(error)) throw error;
      // A try that the limit cuts off says less than one that failed before.
      if (cause === null || performance.now() < endMs) cause = error;
      if (performance.now() + pauseMs > endMs) throw unreachable(cause, access);
    }
    await pause(pauseMs);
  }
}

/** One that takes a connection and does not answer takes no longer than one that is off. */
async function before<T>(endMs: number, promise: Promise<T>): Promise<T> {
  const isOver = new AbortController();
  const leftMs = Math.max(0, endMs - performance.now());
  promise.catch(() => {}); // it may fail when nobody waits any more
  const tooLate = pause(leftMs, isOver.signal).then(() => {
    throw Object.assign(new Error("it does not answer"), { type: "REQUEST_TIMED_OUT" });
  });
  tooLate.catch(() => {}); // the promise was first
  try {
    return await Promise.race([promise, tooLate]);
  } finally {
    isOver.abort();
  }
}

function unreachable(error: unknown, access: KafkaAccess): LogError {
  const message =
    `no broker of ${access.brokers.join(", ")} can be reached: ${messageOf(error)}` +
    `${hintOf(error, access) || "; check --brokers, and that the cluster runs"}`;
  return new LogError("unavailable", message, { cause: error });
}
