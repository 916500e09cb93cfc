/**
 * Which removal covers an event: who answers for it, and since when.
 *
 *   event's evidence, actions in log order ──> the first removal that had seen it
 */

import type { App } from "../app.ts";

type Evidence = ReturnType<App["wallets"]["evidence"]>;
type Event = Evidence["episodes"][number]["newestEvents"][number];

export interface Covering {
  /** The how-manieth action of the wallet, from 1. */
  readonly number: number;
  readonly actor: string;
  /** Unix milliseconds. */
  readonly atMs: number;
}

/** Null while none does. `actions`: all of the wallet. */
export function coveringRemoval(
  actions: Evidence["actions"],
  { coveredByAction }: Pick<Event, "coveredByAction">,
): Covering | null {
  if (coveredByAction === null) return null;
  const { actor, atMs } = actions[coveredByAction - 1] as Evidence["actions"][number];
  return { number: coveredByAction, actor, atMs };
}
