/**
 * Which other processes have a log's file open, whatever they do with it: a service that only
 * appends is no member of a group.
 *
 *   log.db, log.db-shm ──locks that SQLite holds while it is connected──> pids
 *   members ──alive by pid, or seen to move their counter──> pids, where the locks don't tell
 */

import { covers, type HeldLock, heldLocks } from "./held-locks.ts";
import { HANG_MS } from "./heartbeats.ts";
import type { MemberRow } from "./member-rows.ts";
import { isDead, thisProcess } from "./processes.ts";

/** Held on the log's file by whoever reads it (os.h, SHARED_FIRST). */
const SHARED_BYTE = 0x4000_0002;
/** Held on the -shm file by whoever has the WAL open (os_unix.c, UNIX_SHM_DMS). */
const CONNECTED_BYTE = 128;
/** How often members' counters are looked at. */
const LOOK_EVERY_MS = 100;

/**
 * Pids, without this process's. A service without processors is seen only where the system lists
 * locks, and in this pid namespace. Takes as long as a heartbeat may when members of another one
 * are written down.
 */
export async function otherUsers(options: {
  readonly path: string;
  readonly members: () => readonly MemberRow[];
  readonly monotonicMs: () => number;
}): Promise<readonly number[]> {
  const connected = connectedProcesses(options.path) ?? [];
  const known = connected.length > 0 ? connected : await livingMembers(options);
  return [...new Set(known)].sort((a, b) => a - b);
}

/** Both locks: an inode's number alone may be another file system's. Null where nobody tells. */
function connectedProcesses(path: string): readonly number[] | null {
  const readers = heldLocks(path);
  if (readers === null) return null;
  const pids = (locks: readonly HeldLock[], byte: number) =>
    locks.filter((lock) => covers(lock, byte)).map(({ pid }) => pid);
  const reading = new Set(pids(readers, SHARED_BYTE));
  const connected = pids(heldLocks(`${path}-shm`) ?? [], CONNECTED_BYTE);
  return connected.filter((pid) => reading.has(pid) && pid !== process.pid);
}

async function livingMembers(options: {
  readonly path: string;
  readonly members: () => readonly MemberRow[];
  readonly monotonicMs: () => number;
}): Promise<readonly number[]> {
  const own = thisProcess();
  // One that has left without a word is still written down; its locks are gone with it.
  const areLocksTold = connectedProcesses(options.path) !== null;
  const isOther = ({ pid, host }: MemberRow) =>
    host !== own.host || (pid !== own.pid && !areLocksTold);
  const asked = options.members().filter((member) => isOther(member) && !isDead(member));
  const living = asked.filter(({ host }) => host === own.host);
  if (asked.length === 0 || living.length > 0) return living.map(({ pid }) => pid);
  const counters = new Map(asked.map(({ id, counter }) => [id, counter]));
  const endMs = options.monotonicMs() + HANG_MS;
  while (options.monotonicMs() < endMs) {
    await Bun.sleep(LOOK_EVERY_MS);
    const moved = options.members().filter(({ id, counter }) => {
      const before = counters.get(id);
      return before !== undefined && before !== counter;
    });
    if (moved.length > 0) return moved.map(({ pid }) => pid);
  }
  return [];
}
