/**
 * A lock that one process has at a time, and that the system takes back however it ends.
 *
 *   path ──> a file of SQLite, a transaction that is never committed ──> lock, or null
 *
 * Nothing else opens that file: on POSIX a process that closes a file loses all its locks on it.
 */

import { Database } from "bun:sqlite";

export interface FileLock {
  /** Idempotent. */
  release(): void;
}

/** Null when another process, or another part of this one, has it. Throws as SQLite does. */
export function tryLock(path: string): FileLock | null {
  const database = new Database(path, { create: true, readwrite: true });
  try {
    database.run("PRAGMA busy_timeout = 0");
    database.run("BEGIN EXCLUSIVE"); // open until the release; nothing is ever written
    return { release: () => database.close() };
  } catch (error) {
    database.close();
    if ((error as { code?: string }).code?.startsWith("SQLITE_BUSY") === true) return null;
    throw error;
  }
}
