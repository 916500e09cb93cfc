/**
 * Whether a file is a whole log of this program: its trees by SQLite's own check, each record by
 * its checksum. For a file that nobody else has open.
 *
 *   file ──whose, which format──> trees ──> every record ──> what it holds, or what is wrong
 */

import { Database } from "bun:sqlite";
import { LogError } from "../event-log.ts";
import { integrityFaults } from "../integrity-check.ts";
import { checkedPages } from "./record-check.ts";
import { refuseForeign } from "./schema.ts";

/** Records checked in one step. */
const PAGE_RECORDS = 2_048;

export interface CheckedFile {
  readonly records: number;
  /** Where the log was moved to; null for one that was not. */
  readonly isSealed: boolean;
}

/** Throws LogError `corrupt`, `format_mismatch`; the message names the file. */
export function checkLogFile(path: string): CheckedFile {
  let database: Database | null = null;
  try {
    database = new Database(path, { create: false, readwrite: true });
    database.exec("PRAGMA query_only = ON");
    refuseForeign(database, path);
    const [fault] = integrityFaults(database);
    if (fault !== undefined) throw damagedFile(path, fault);
    let records = 0;
    for (const count of checkedPages(database, PAGE_RECORDS)) records += count;
    const sealed = database.query("SELECT 1 FROM meta WHERE key = 'seal'").get();
    return { records, isSealed: sealed !== null };
  } catch (error) {
    if (error instanceof LogError) throw error;
    throw damagedFile(path, (error as Error).message, error);
  } finally {
    database?.close();
  }
}

function damagedFile(path: string, reason: string, cause?: unknown): LogError {
  const message = `${path} is damaged or no log (${reason}): use another backup`;
  return new LogError("corrupt", message, { cause });
}
