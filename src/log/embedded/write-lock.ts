/**
 * Who holds the log's write lock, for the message that an operator reads: SQLite's WAL writer
 * holds byte 120 of the -shm file (wal.c, WAL_WRITE_LOCK).
 */

import { covers, type HeldLock, heldLocks } from "./held-locks.ts";

/** How long the lock may be held elsewhere before what waits here is refused. */
export const LOCK_WAIT_MS = 2_000;
const WAL_WRITE_LOCK_BYTE = 120;

/** After LOCK_WAIT_MS of waiting for it. `path` is the log's file, or ":memory:". */
export function lockHeldMessage(path: string): string {
  return (
    `${holderOf(path)} has held the log's write lock for over ${LOCK_WAIT_MS / 1_000} s: ` +
    "resume or end it"
  );
}

/** "process 123", or "another process" where the system does not tell. */
function holderOf(path: string): string {
  if (path === ":memory:") return "this process";
  const pid = writeLockHolder(path);
  return pid === null ? "another process" : `process ${pid}`;
}

function writeLockHolder(path: string): number | null {
  const locks = heldLocks(`${path}-shm`) ?? []; // where nothing is told, no pid is named
  const holds = (lock: HeldLock) => lock.isWrite && covers(lock, WAL_WRITE_LOCK_BYTE);
  return locks.find(holds)?.pid ?? null;
}
