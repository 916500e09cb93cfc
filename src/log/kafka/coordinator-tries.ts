/**
 * A request to the broker that keeps a transaction or a group, tried again while that is another.
 *
 *   transactional id, group ──coordinator──> request ──> answer | it has moved, look again
 */

import type Broker from "kafkajs/src/broker/index.js";
import type { Connections } from "./connections.ts";
import {
  CONCURRENT_FIRST_MS,
  CONCURRENT_LAST_MS,
  RETRY_FIRST_MS,
  RETRY_LAST_MS,
} from "./limits.ts";
import { isPassing, pause, typeOf, unavailable } from "./retry.ts";

/** The markers of the last transaction are not all written yet. */
export const CONCURRENT = "CONCURRENT_TRANSACTIONS";

export interface CoordinatorTries {
  readonly connections: Connections;
  readonly of: "group" | "transaction";
  readonly id: string;
  readonly withinMs: number;
  readonly signal?: AbortSignal;
}

/**
 * Throws `unavailable` at the deadline or when the signal fires; what does not pass, as it came.
 */
export async function withCoordinator<T>(
  { connections, of, id, withinMs, signal }: CoordinatorTries,
  attempt: (coordinator: Broker) => Promise<T>,
): Promise<T> {
  const endMs = performance.now() + withinMs;
  let pauseMs = RETRY_FIRST_MS;
  let concurrentMs = CONCURRENT_FIRST_MS;
  for (;;) {
    try {
      return await attempt(await connections.coordinator(of, id));
    } catch (error) {
      const isConcurrent = typeOf(error) === CONCURRENT;
      if (!isConcurrent && !isPassing(error)) throw error;
      if (performance.now() > endMs || signal?.aborted === true) {
        throw unavailable(`reach the coordinator of ${id}`, error);
      }
      if (isConcurrent) {
        await pause(concurrentMs, signal);
        concurrentMs = Math.min(concurrentMs * 1.5, CONCURRENT_LAST_MS);
        continue;
      }
      connections.forgetCoordinator(of, id);
      await pause(pauseMs, signal);
      pauseMs = Math.min(pauseMs * 2, RETRY_LAST_MS);
    }
  }
}
