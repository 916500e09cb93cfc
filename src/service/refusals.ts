/**
 * What is logged of refused requests: one line when it begins, a count once in a while, one line
 * when it is over. Each line of its own would be thousands while a log is away.
 *
 *   refusal ──by code──> first: told at once │ others: counted │ a while without one: over
 */

import { getLogger } from "@logtape/logtape";

/** Often enough to see that it goes on, and how many it hits. */
export const COUNT_EVERY_MS = 10_000;

const logger = getLogger(["depositaja", "service"]);

/** Runs it so much later, and keeps no program from ending. */
export type Later = (ms: number, run: () => void) => void;

interface Untold {
  count: number;
  message: string;
}

export class Refusals {
  /** What goes on, by its code. */
  private readonly untold = new Map<string, Untold>();

  constructor(private readonly later: Later = (ms, run) => void setTimeout(run, ms).unref()) {}

  /** `requestId` names the one that is told of. */
  tell(code: string, message: string, requestId: string): void {
    const known = this.untold.get(code);
    if (known !== undefined) {
      known.count += 1;
      known.message = message;
      return;
    }
    logger.warn("refused with {code}: {message}", { code, message, requestId });
    this.watch(code, { count: 0, message });
  }

  /** What goes on is news again. */
  forget(): void {
    this.untold.clear();
  }

  private watch(code: string, untold: Untold): void {
    this.untold.set(code, untold);
    this.later(COUNT_EVERY_MS, () => {
      if (this.untold.get(code) !== untold) return;
      const values = { ...untold, code, seconds: COUNT_EVERY_MS / 1_000 };
      if (untold.count === 0) {
        this.untold.delete(code);
        logger.info("nothing refused with {code} for {seconds} s", values);
        return;
      }
      logger.warn("refused {count} more with {code} in {seconds} s: {message}", values);
      this.watch(code, { count: 0, message: untold.message });
    });
  }
}
