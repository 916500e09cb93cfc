/**
 * What SQLite's refusals mean for the log: its file is damaged, or cannot be used for the moment.
 * SQLite's own message names no file; each of these names it, and says what to do.
 *
 *   SQLiteError ──code──> `corrupt`: a backup │ `unavailable`: disk, space, rights
 */

import { type Database, SQLiteError } from "bun:sqlite";
import { LogError } from "../event-log.ts";

/** The one way back from a damaged file. */
export const FROM_BACKUP = "make a new folder of a backup with `restore`";

/** What was read is not what was written. */
export function isDamage(error: unknown): error is SQLiteError {
  if (!(error instanceof SQLiteError)) return false;
  return error.code === "SQLITE_NOTADB" || error.code?.startsWith("SQLITE_CORRUPT") === true;
}

export function damagedLog(path: string, reason: string, cause?: unknown): LogError {
  const message = `${path} is damaged or no log (${reason}): ${FROM_BACKUP}`;
  return new LogError("corrupt", message, { cause });
}

/** What is wrong with one record. */
export function recordFault(
  path: string,
  place: { readonly topic: string; readonly partition: number; readonly offset: number },
  fault: string,
  cause?: unknown,
): LogError {
  const { topic, partition, offset } = place;
  const record = `the record at ${topic} partition ${partition} offset ${offset}`;
  return new LogError("corrupt", `${path}: ${record} ${fault}: ${FROM_BACKUP}`, { cause });
}

/** The error to throw for one that came up in reading; others than SQLite's pass unchanged. */
export function readFault(path: string, error: unknown): unknown {
  if (!(error instanceof SQLiteError)) return error;
  const { message: reason } = error;
  if (isDamage(error)) return damagedLog(path, reason, error);
  const advice = `check the disk, then start again; if it stays so, ${FROM_BACKUP}`;
  const message = `${path} cannot be read (${reason}): ${advice}`;
  return new LogError("unavailable", message, { cause: error });
}

/** As `readFault`, for what came up in a transaction that was undone: nothing was written. */
export function writeFault(path: string, error: unknown): LogError {
  if (error instanceof LogError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  if (isDamage(error)) return damagedLog(path, reason, error);
  const message = `the log ${path} cannot be written (${reason}): try again later`;
  return new LogError("unavailable", message, { cause: error });
}

/** Runs what reads the log's file. Throws LogError `corrupt`, `unavailable` where SQLite does. */
export function reading<T>({ filename }: Database, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw readFault(filename, error);
  }
}
