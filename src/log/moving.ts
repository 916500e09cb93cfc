/**
 * What a log says of itself while another is moved into it, among its small values.
 *
 *   "running from <incarnation>" ──all is copied──> "done"
 *
 * Until it is done, whoever would write to it or process it is refused.
 */

import { type EventLog, LogError } from "./event-log.ts";

const KEY = "migration";
const RUNNING = "running from ";
const DONE = "done";

/** Where a move into this log stands; null: none was begun. */
export type MoveState = { readonly isDone: boolean; readonly from: string | null } | null;

type MetaStore = Pick<EventLog, "meta" | "setMeta">;

export async function moveState(log: Pick<EventLog, "meta">): Promise<MoveState> {
  const text = await log.meta(KEY);
  if (text === null) return null;
  if (text.startsWith(RUNNING)) return { isDone: false, from: text.slice(RUNNING.length) };
  return { isDone: text === DONE, from: null };
}

/** `from` is the incarnation of the log that is moved. */
export async function beginMove(log: MetaStore, from: string): Promise<void> {
  await log.setMeta(KEY, RUNNING + from);
}

export async function endMove(log: MetaStore): Promise<void> {
  await log.setMeta(KEY, DONE);
}

/** Throws `moved` while a move into the log isn't done. */
export async function refuseUnfinishedMove(log: Pick<EventLog, "meta">): Promise<void> {
  const state = await moveState(log);
  if (state === null || state.isDone) return;
  throw new LogError(
    "moved",
    "a log is being moved here, and not all of it is here yet: wait for `migrate`, or run it " +
      "again when it was interrupted; where the move was given up, delete these topics first",
  );
}
