/**
 * Makes durable what was committed: the WAL is synced before anything in it is answered.
 *
 *   COMMIT (synchronous=NORMAL: written, the lock given up) ──sync──> on disk ──> answers
 *
 * With synchronous=FULL SQLite would do so inside COMMIT, at twice the price: Bun's calls fsync,
 * which has the file system write the file's times too, and holds the write lock meanwhile.
 * NORMAL keeps the file whole all the same: it syncs around every checkpoint. A reader may see a
 * record a moment before it is on disk; whatever is written because of it stands behind it in the
 * same WAL, and is synced no earlier.
 *
 * No POSIX lock lies on the WAL (only on the database and its -shm), so this file descriptor drops
 * none when it is closed.
 */

import { closeSync, fdatasyncSync, openSync } from "node:fs";
import { logPath } from "./schema.ts";

export interface Wal {
  /** Throws when the disk fails; nobody knows then what it holds. */
  sync(): void;
  close(): void;
}

/** While the database is open: its WAL is the same file until the last connection is closed. */
export function openWal(folder: string): Wal {
  if (folder === ":memory:") return { sync: () => {}, close: () => {} };
  const file = openSync(`${logPath(folder)}-wal`, "r+");
  return { sync: () => fdatasyncSync(file), close: () => closeSync(file) };
}
