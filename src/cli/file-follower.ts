/**
 * Follows files that a running service uses, so that a new key or certificate needs no restart.
 *
 *   read, twice a second ──another text, twice the same──> used, or told why not
 *
 * Reading a few kilobytes costs microseconds, and is right where a file's times are not: two
 * changes within one tick of the clock, or a file system that tells of nothing.
 */

import { getLogger } from "@logtape/logtape";
import { delay } from "./stopping.ts";

/** Between two looks. A text is used when it stood still for one: files are written in pieces. */
export const LOOK_EVERY_MS = 500;

const logger = getLogger(["depositaja", "access"]);

export interface Followed {
  /** For log lines. */
  readonly name: string;
  /** What was read at the start. */
  readonly used: string;
  readonly signal: AbortSignal;
}

/** Until the signal fires. `read` and `use` throw what is told: then what was used before stays. */
export function followFile(
  { name, used, signal }: Followed,
  read: () => string,
  use: (text: string) => void,
): void {
  void follow();

  async function follow(): Promise<void> {
    let seen = used;
    let settled = used;
    for (;;) {
      await delay(LOOK_EVERY_MS, signal);
      if (signal.aborted) return;
      const { text, error } = attempt(read);
      const now = error === null ? (text as string) : `error: ${error}`;
      const stoodStill = now === seen;
      seen = now;
      if (!stoodStill || now === settled) continue;
      settled = now;
      const problem = error ?? attempt(() => use(now)).error;
      if (problem === null) logger.info("{name} is read anew", { name });
      else logger.error("{name} is not read anew: {problem}; the old one stays", { name, problem });
    }
  }
}

function attempt<T>(action: () => T) {
  try {
    return { text: action(), error: null };
  } catch (error) {
    return { text: null, error: (error as Error).message };
  }
}
