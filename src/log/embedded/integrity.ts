/**
 * What SQLite itself finds wrong with a log's file: pages, order and counts of its trees. That the
 * bytes of each record are those that were written, the checksums say, when records are read.
 *
 *   log.db ──integrity_check, on a connection of its own──> one sentence each
 */

import { Database } from "bun:sqlite";
import { integrityFaults } from "../integrity-check.ts";
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
    return integrityFaults(database).map((fault) => damagedLog(path, fault).message);
  } catch (error) {
    return [(readFault(path, error) as Error).message];
  } finally {
    database?.close();
  }
}
