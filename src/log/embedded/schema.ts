/**
 * The embedded log's file: `log.db` in the data folder, one SQLite database in WAL mode.
 *
 *   records   every record, clustered by partition and offset; `sequence` is the order across all
 *   partitions  one row for each partition of each topic, with its first and next offset
 *   progress  what each group has done; members and claims say who does it
 *   meta      settings, incarnation, and small values of the log as a whole
 *
 * Only SQLite may open this file in a process that has it open (POSIX locks are dropped by any
 * other close): copy it with `VACUUM INTO` or SQLite's backup.
 */

import { Database } from "bun:sqlite";
import { accessSync, constants, existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { LogError } from "../event-log.ts";
import { refuseNetworkFolder } from "../network-file-system.ts";
import { damagedLog, isDamage, readFault } from "./log-fault.ts";
import { LOCK_WAIT_MS, lockHeldMessage } from "./write-lock.ts";

/** "dpja" in ASCII: tells our files from other SQLite databases. */
const APPLICATION_ID = 0x64706a61;
/**
 * Grows with every change that an older program cannot read. 1: the first. 2: records without a key
 * may stand among others. A log of an older one is read as it is; raised-format.ts says when it is
 * made one of this.
 */
export const FORMAT_VERSION = 2;

const SCHEMA = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE topics (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL,
  cleanup TEXT NOT NULL, retention_ms INTEGER);
CREATE TABLE partitions (
  id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, partition INTEGER NOT NULL,
  start_offset INTEGER NOT NULL DEFAULT 0, next_offset INTEGER NOT NULL DEFAULT 0,
  cleaned_offset INTEGER NOT NULL DEFAULT 0);
CREATE TABLE records (
  partition_id INTEGER NOT NULL, offset INTEGER NOT NULL, sequence INTEGER NOT NULL,
  timestamp_ms INTEGER NOT NULL, key BLOB NOT NULL, value BLOB, headers BLOB,
  checksum INTEGER NOT NULL, PRIMARY KEY (partition_id, offset)) WITHOUT ROWID;
CREATE TABLE sequence (next INTEGER NOT NULL);
INSERT INTO sequence VALUES (0);
CREATE TABLE progress (
  group_name TEXT NOT NULL, partition INTEGER NOT NULL, progress TEXT NOT NULL,
  PRIMARY KEY (group_name, partition)) WITHOUT ROWID;
CREATE TABLE members (
  id TEXT PRIMARY KEY, pid INTEGER NOT NULL, started TEXT NOT NULL, host TEXT NOT NULL,
  counter INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE memberships (
  group_name TEXT NOT NULL, member TEXT NOT NULL, stand_in INTEGER NOT NULL,
  PRIMARY KEY (group_name, member)) WITHOUT ROWID;
CREATE TABLE claims (
  group_name TEXT NOT NULL, partition INTEGER NOT NULL, epoch INTEGER NOT NULL, member TEXT,
  PRIMARY KEY (group_name, partition)) WITHOUT ROWID;
`;

export interface OpenDatabaseOptions {
  /** A folder, or ":memory:". */
  readonly folder: string;
  /** Make the folder and the log where there is none. */
  readonly create: boolean;
  /** What a new log gets where `settings` is silent. */
  readonly defaults: Readonly<Record<string, string>>;
  /** Said explicitly: an existing log must agree. */
  readonly settings: Readonly<Record<string, string>>;
}

export interface OpenedDatabase {
  readonly database: Database;
  readonly settings: Readonly<Record<string, string>>;
  readonly incarnation: string;
  readonly wasCreated: boolean;
}

/** Bytes of the log's files, what is not checkpointed yet among them; 0 in memory. */
export function logBytes(folder: string): number {
  if (folder === ":memory:") return 0;
  let bytes = 0;
  for (const ending of ["", "-wal", "-shm"]) {
    bytes += statSync(logPath(folder) + ending, { throwIfNoEntry: false })?.size ?? 0;
  }
  return bytes;
}

export function logPath(folder: string): string {
  return join(folder, "log.db");
}

/** Opens or creates the database. Throws LogError and leaves nothing behind. */
export function openDatabase(options: OpenDatabaseOptions): OpenedDatabase {
  const isMemory = options.folder === ":memory:";
  const path = isMemory ? ":memory:" : logPath(options.folder);
  const isThere = !isMemory && existsSync(path);
  if (!isThere && !options.create) throw notFound(options.folder);
  if (!isMemory) preparePlace(options.folder);
  const database = connect(path);
  try {
    return { database, ...prepare(database, options) };
  } catch (error) {
    database.close();
    throw error instanceof LogError ? error : unusable(options.folder, error);
  }
}

/** Throws `format_mismatch` for what is no log of this program, or of a newer one. */
export function refuseForeign(database: Database, path: string, name = path): void {
  const version = formatOf(database);
  const isOurs = pragma(database, "application_id") === APPLICATION_ID;
  if (isOurs && version >= 1 && version <= FORMAT_VERSION) return;
  throw new LogError(
    "format_mismatch",
    isOurs
      ? `${name} has format ${version}, this program reads up to ${FORMAT_VERSION}: use the ` +
          "program that wrote it"
      : `${path} is a database of another program: choose another folder`,
  );
}

export function formatOf(database: Database): number {
  return pragma(database, "user_version");
}

/** In a transaction. */
export function writeFormat(database: Database, version: number): void {
  database.exec(`PRAGMA user_version = ${version}`);
}

function preparePlace(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
    refuseNetworkFolder(folder);
    accessSync(folder, constants.W_OK); // SQLite would only say that it cannot open the file
  } catch (error) {
    throw error instanceof LogError ? error : unusable(folder, error);
  }
}

function notFound(folder: string): LogError {
  return new LogError("not_found", `no log in ${folder}: name its folder, or create one`);
}

function unusable(folder: string, cause: unknown): LogError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const code = (cause as { code?: string } | null)?.code ?? "";
  // An error of the statement itself: a table is not there that the file's format has.
  if (isDamage(cause) || code === "SQLITE_ERROR") return damagedLog(logPath(folder), reason, cause);
  if (code.startsWith("SQLITE_IOERR")) return readFault(logPath(folder), cause) as LogError;
  if (code.startsWith("SQLITE_BUSY")) {
    return new LogError("unavailable", lockHeldMessage(logPath(folder)), { cause });
  }
  return new LogError(
    "unusable_place",
    `${folder} cannot be used for a log (${reason}): choose a folder that can be written`,
    { cause },
  );
}

function connect(path: string): Database {
  try {
    return new Database(path, { create: true, readwrite: true });
  } catch (error) {
    throw unusable(path.replace(/\/log\.db$/, ""), error);
  }
}

function prepare(database: Database, options: OpenDatabaseOptions) {
  // Opening is rare and may wait; in service no thread may sleep in here (see writer.ts).
  database.exec(`PRAGMA busy_timeout = ${LOCK_WAIT_MS}`);
  const isEmpty = pragma(database, "schema_version") === 0;
  // A file of no bytes: touched, or left by somebody who was about to make a log there.
  if (isEmpty && !options.create) throw notFound(options.folder);
  if (!isEmpty) {
    refuseForeign(database, logPath(options.folder), `the log in ${options.folder}`);
  }
  database.exec("PRAGMA journal_mode = WAL");
  database.exec("PRAGMA synchronous = NORMAL"); // wal.ts syncs what is committed
  database.exec("PRAGMA wal_autocheckpoint = 0"); // checkpointer.ts decides when
  database.exec("PRAGMA cache_size = -16000"); // 16 MB: the rightmost leaves and the index
  database.exec("BEGIN IMMEDIATE");
  let wasCreated = false;
  try {
    // Another process may have created it while this one waited for the lock.
    wasCreated = pragma(database, "schema_version") === 0;
    if (wasCreated) create(database, options);
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
  database.exec("PRAGMA busy_timeout = 0");
  const settings = readSettings(database);
  for (const [name, value] of Object.entries(options.settings)) {
    if (settings[name] !== value) {
      throw new LogError(
        "settings_mismatch",
        `the log in ${options.folder} was created with ${name} ${settings[name]}, not ${value}: ` +
          "leave the setting out, or use another folder",
      );
    }
  }
  const incarnation = readMeta(database, "incarnation");
  const lost = Object.keys(options.defaults).find((name) => settings[name] === undefined);
  if (incarnation === null || lost !== undefined) {
    throw damagedLog(logPath(options.folder), `its ${lost ?? "incarnation"} is missing`);
  }
  return { settings, incarnation, wasCreated };
}

function create(database: Database, options: OpenDatabaseOptions): void {
  database.exec(SCHEMA);
  database.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
  writeFormat(database, FORMAT_VERSION);
  const insert = database.query("INSERT INTO meta VALUES (?, ?)");
  insert.run("incarnation", crypto.randomUUID());
  for (const [name, value] of Object.entries({ ...options.defaults, ...options.settings })) {
    insert.run(`setting.${name}`, value);
  }
}

function pragma(database: Database, name: string): number {
  const row = database.query(`PRAGMA ${name}`).values()[0];
  return Number(row?.[0]);
}

function readMeta(database: Database, key: string): string | null {
  const row = database.query("SELECT value FROM meta WHERE key = ?").get(key);
  return (row as { value: string } | null)?.value ?? null;
}

function readSettings(database: Database): Record<string, string> {
  const rows = database
    .query("SELECT key, value FROM meta WHERE key LIKE 'setting.%'")
    .all() as { key: string; value: string }[];
  return Object.fromEntries(rows.map(({ key, value }) => [key.slice("setting.".length), value]));
}
