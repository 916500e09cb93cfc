/**
 * When a store was last in step with its changelog. One that was out of step for too long may miss
 * tombstones, which a changelog drops in time, and is built anew.
 *
 *   write ──> stamp        nothing to write ──end of the changelog, once an hour──> stamp
 *
 * A stamp is never later than what is known: a process that was stopped for days and wakes up may
 * believe for a moment that nothing has happened. So the clock is read before the log is asked.
 */

import { getLogger } from "@logtape/logtape";
import type { EventLog } from "../log/event-log.ts";
import { tableName } from "./group.ts";
import type { Store } from "./store.ts";
import { TOMBSTONE_RETENTION_MS } from "./topology.ts";

/** A store out of step for longer than half the time that tombstones are kept is built anew. */
const STORE_LIFE_MS = TOMBSTONE_RETENTION_MS / 2;
/** Of an idle partition: a request each time, and a fraction of a store's life. */
const STAMP_EVERY_MS = 3_600_000;

const logger = getLogger(["stream", "store"]);

/**
 * For a store that is not in step: after too long the changelog may have dropped tombstones of
 * rows that it still has. True when it was emptied.
 */
export function resetIfStale(store: Store, epoch: number): boolean {
  if (!store.mayMissTombstones(STORE_LIFE_MS)) return false;
  store.reset(epoch);
  return true;
}

export interface Stamping {
  readonly log: EventLog;
  readonly group: string;
  readonly partition: number;
  readonly store: Store;
  readonly epoch: number;
  /** When it was stamped last; null: not since it was opened. */
  readonly stampedMs: number | null;
  /** Resolves after so many milliseconds, or when the signal fires. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
  /** To fire before the store is closed. */
  readonly signal: AbortSignal;
}

/** Stamps a store that nothing is written to, while it has all that the changelog has. */
export async function keepStamped({ stampedMs, ...stamping }: Stamping): Promise<void> {
  const { group, partition, store, delay, signal } = stamping;
  let lastMs = stampedMs ?? Number.NEGATIVE_INFINITY;
  while (!signal.aborted) {
    const nowMs = store.nowMs();
    if (nowMs - lastMs >= STAMP_EVERY_MS) {
      lastMs = nowMs;
      await stampIfInStep(stamping, nowMs).catch((error: unknown) => {
        // A log that is away has nothing new either. The next hour's stamp is soon enough.
        const place = { group, partition };
        logger.debug("{group} partition {partition}: not stamped: {error}", { ...place, error });
      });
    }
    await delay(STAMP_EVERY_MS, signal);
    await new Promise((resolve) => setImmediate(resolve)); // whatever the delay is worth
  }
}

async function stampIfInStep(
  { log, group, partition, store, epoch, signal }: Omit<Stamping, "stampedMs">,
  nowMs: number,
): Promise<void> {
  const stands = store.progress();
  if (stands === null) return;
  const { end } = await log.bounds(tableName({ name: group }), partition);
  // Rows that are still to come are stamped with their write.
  if (signal.aborted || end > (stands.changelogOffset ?? -1n) + 1n) return;
  store.stamp({ epoch, at: stands, inStepMs: nowMs });
}
