/**
 * What operators do from the shell, in the log: a line for each action, whatever the log level.
 *
 *   command ──done──> "ann made the key shop ..." ──> stderr
 */

import { getLogger } from "@logtape/logtape";
import { OPERATORS_CATEGORY } from "./logging.ts";
import { systemUser } from "./system-user.ts";

const logger = getLogger(OPERATORS_CATEGORY);

/** `did` is a sentence without its subject, with {names} of values; `actor`: the system's user. */
export function tellOfAction(
  did: string,
  values: Readonly<Record<string, unknown>>,
  actor: string = systemUser(),
): void {
  logger.info(`{actor} ${did}`, { actor, ...values });
}
