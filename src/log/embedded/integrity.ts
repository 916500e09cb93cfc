/**
 * What SQLite itself finds wrong with a log's file: pages, order and counts of its trees. That the
 * bytes of each record are those that were written, the checksums say, when records are read.
 *
 *   log.db ──integrity_check, on a connection of its own──> one sentence each
 *
 * The whole check, not the quick one: it differs by the look into indexes, of which there is one
 * that is small.
 */

import { Database } from "bun:sqlite";
import { damagedLog, readFault } from "./log-fault.ts";
import { logPath } from "./schema.ts";
import { LOCK_WAIT_MS } from "./write-lock.ts";

/** Empty when nothing is. Appends go on meanwhile. */
export function integrityProblems(folder: string): readonly string[] {
  if (folder === ":memory:") return [];
  const path = logPath(folder);
  let database: Database | null = null;
  try {
    database = new Database(path, { create: false, readwrite: true });
    database.exec(`PRAGMA busy_timeout = ${LOCK_WAIT_MS}`);
    database.exec("PRAGMA query_only = ON");
    const found = database.query("PRAGMA integrity_check").values();
    const lines = found.map(([line]) => String(line)).filter((line) => line !== "ok");
    return lines.map((line) => damagedLog(path, line).message);
  } catch (error) {
    return [(readFault(path, error) as Error).message];
  } finally {
    database?.close();
  }
}
