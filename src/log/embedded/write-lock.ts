/**
 * Who holds the log's write lock, for the message that an operator reads. On Linux the kernel
 * lists every POSIX lock with its process and inode (proc(5), /proc/locks); SQLite's WAL writer
 * holds byte 120 of the -shm file (wal.c, WAL_WRITE_LOCK).
 */

import { readFileSync, statSync } from "node:fs";

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
  let locks: string;
  let inode: number;
  try {
    locks = readFileSync("/proc/locks", "latin1");
    inode = statSync(`${path}-shm`).ino; // a stat opens nothing
  } catch {
    return null; // not Linux: the caller's words do without the pid
  }
  for (const line of locks.split("\n")) {
    // "12: POSIX  ADVISORY  WRITE 4321 fe:00:131090 120 120"
    const [, , , kind, pid, file, start, end] = line.trim().split(/\s+/);
    const covers = Number(start) <= WAL_WRITE_LOCK_BYTE && Number(end) >= WAL_WRITE_LOCK_BYTE;
    if (kind === "WRITE" && covers && file?.split(":")[2] === String(inode)) return Number(pid);
  }
  return null;
}
