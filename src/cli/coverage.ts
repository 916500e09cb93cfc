/**
 * Which removal covers an event: who answers for it, and since when.
 *
 *   actions in log order, event's ordinal ──> the first removal that had seen it
 */

import type { App } from "../app.ts";

type Actions = ReturnType<App["wallets"]["evidence"]>["actions"];

export interface Covering {
  /** The how-manieth action of the wallet, from 1. */
  readonly number: number;
  readonly actor: string;
  /** Unix milliseconds. */
  readonly atMs: number;
}

/** Null while none does. */
export function coveringRemoval(actions: Actions, ordinal: number): Covering | null {
  const index = actions.findIndex(({ seenOrdinal }) => (seenOrdinal ?? 0) >= ordinal);
  const action = actions[index];
  return action === undefined
    ? null
    : { number: index + 1, actor: action.actor, atMs: action.atMs };
}
