/**
 * A program that stops inside a write transaction on a log, and ends it when it is resumed.
 *
 *   bun write-lock-holder.ts <log.db> ──BEGIN IMMEDIATE──> "held" ──SIGSTOP──> ... ──> COMMIT
 */

import { Database } from "bun:sqlite";

const database = new Database(process.argv[2] as string, { readwrite: true });
database.exec("PRAGMA busy_timeout = 5000");
database.exec("BEGIN IMMEDIATE");
process.stdout.write("held\n");
process.kill(process.pid, "SIGSTOP");
database.exec("COMMIT");
database.close();
