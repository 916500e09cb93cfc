/**
 * A lock that one process has at a time, and that the system takes back however it ends.
 *
 *   path ──> a file of SQLite, a transaction that is never committed ──> lock, or null
 *
 * Nothing else opens that file: on POSIX a process that closes a file loses all its locks on it.
 */

import { Database, SQLiteError } from "bun:sqlite";
import { LogError } from "./event-log.ts";

export interface FileLock {
  /** Idempotent. */
  release(): void;
}

/**
 * Null when another process, or another part of this one, has it. Throws LogError `unusable_place`
 * where the file is none that SQLite can lock.
 */
export function tryLock(path: string): FileLock | null {
  let database: Database | null = null;
  try {
    const locked = new Database(path, { create: true, readwrite: true });
    database = locked;
    database.run("PRAGMA busy_timeout = 0");
    database.run("BEGIN EXCLUSIVE"); // open until the release; nothing is ever written
    return { release: () => locked.close() };
  } catch (error) {
    database?.close();
    if (!(error instanceof SQLiteError)) throw error;
    if (error.code?.startsWith("SQLITE_BUSY") === true) return null;
    const message = `${path} cannot be locked (${error.message}): look at the disk, or delete it`;
    throw new LogError("unusable_place", message, { cause: error });
  }
}
