/**
 * Says that the log is away, once, and that it is back: a program that only processes, or follows a
 * topic, is asked by nobody.
 *
 *   problem ──every second──> one warning, then one word when it is over
 */

import { getLogger } from "@logtape/logtape";

/** A state that is read from memory; soon enough for whoever looks at the messages. */
const LOOK_EVERY_MS = 1_000;

const logger = getLogger(["depositaja", "process"]);

/** Until the signal fires. */
export async function watchLog(options: {
  /** Why the log cannot be used now; null when it can. */
  readonly problem: () => string | null;
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { problem, delay, signal } = options;
  let isAway = false;
  while (!signal.aborted) {
    const now = problem();
    if (now !== null && !isAway) {
      logger.warn("cannot reach the log, trying again: {problem}", { problem: now });
    } else if (now === null && isAway) logger.info("the log is reached again");
    isAway = now !== null;
    await delay(LOOK_EVERY_MS, signal);
  }
}
