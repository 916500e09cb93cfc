/**
 * What a log's refusal means for a client: nothing was written, so that a second try counts once.
 *
 *   rejected append ──"unavailable"──> the same, with that said
 */

import { LogError } from "../log/event-log.ts";

/** For `catch`: as an append rejects, with `advice` added where nothing was written. */
export function sayUnwritten(advice: string): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof LogError) || error.code !== "unavailable") throw error;
    throw new LogError("unavailable", `${error.message}; ${advice}`, { cause: error });
  };
}
