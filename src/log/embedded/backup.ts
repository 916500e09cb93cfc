/**
 * A log's backup: one file, as of one moment, taken while everything runs; and back.
 *
 *   log.db ──VACUUM INTO, in one read transaction──> unfinished file ──checked, synced──> FILE
 *   FILE ──copied, checked──> a new incarnation, no members ──> log.db of a new folder
 *
 * Appends do not wait: SQLite copies from a snapshot, and writers go on behind it. The stores are
 * left out, for they are folded from the log, and so is what only says who runs.
 */

import { Database } from "bun:sqlite";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  statfsSync,
  statSync,
} from "node:fs";
import { dirname } from "node:path";
import { LogError } from "../event-log.ts";
import { refuseNetworkFolder } from "../network-file-system.ts";
import { type CheckedFile, checkLogFile } from "./file-check.ts";
import { damagedLog, isDamage, reading } from "./log-fault.ts";
import { logPath, openDatabase } from "./schema.ts";
import { checkWitness } from "./witness.ts";
import {
  makeUnfinished,
  makeWhole,
  refuseToOverwrite,
  type UnfinishedFile,
  unusable,
} from "./whole-file.ts";

export interface FinishedFile extends CheckedFile {
  readonly bytes: number;
}

/**
 * Throws LogError: `not_found`, `unusable_place` where the file is there already or cannot be
 * made, `corrupt` where the log is damaged. A file that is not finished is taken away.
 */
export function backUpLog({ folder, file }: { folder: string; file: string }): FinishedFile {
  refuseToOverwrite(file);
  checkWitness(folder);
  const { database } = openDatabase({ folder, create: false, defaults: {}, settings: {} });
  try {
    using copy = copyLog(database, { folder, file });
    copy.putInPlace();
    return copy.made;
  } finally {
    database.close();
  }
}

/** As of one moment, while others write; it has yet to be put in place. Throws as `backUpLog`. */
export function copyLog(
  database: Database,
  { folder, file }: { readonly folder: string; readonly file: string },
): UnfinishedFile<FinishedFile> {
  return makeUnfinished(file, (unfinished) => {
    refuseWithoutRoom(database, { folder, file });
    copyWhole(database, { folder, file, unfinished });
    const checked = checkedAs(logPath(folder), unfinished);
    return { ...checked, bytes: statSync(unfinished).size };
  });
}

/** A disk that is filled by a copy takes no records meanwhile. */
function refuseWithoutRoom(
  database: Database,
  { folder, file }: { readonly folder: string; readonly file: string },
): void {
  const [pages, unused, pageBytes] = ["page_count", "freelist_count", "page_size"].map((name) =>
    reading(database, () => Number(database.query(`PRAGMA ${name}`).values()[0]?.[0])),
  ) as [number, number, number];
  const bytes = (pages - unused) * pageBytes;
  const { bavail, bsize } = statfsSync(dirname(file));
  if (bavail * bsize > bytes) return;
  throw unusable(
    `${file} would take ${megabytes(bytes)} as ${logPath(folder)} does, and its disk has ` +
      `${megabytes(bavail * bsize)} left: make room`,
  );
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/**
 * Makes a folder of a log from a backup. Throws LogError: `not_found` for the file,
 * `unusable_place` for a folder that holds anything, `corrupt`, `format_mismatch`. Nothing is left
 * behind then.
 */
export function restoreLog({ folder, file }: { folder: string; file: string }): FinishedFile {
  refuseUnusableFile(file);
  const isNew = !existsSync(folder);
  try {
    mkdirSync(folder, { recursive: true });
    refuseNetworkFolder(folder);
    if (readdirSync(folder).length > 0) {
      throw unusable(`${folder} is not empty: name a new folder with --data`);
    }
    return makeWhole(logPath(folder), (unfinished) => {
      copyFileSync(file, unfinished);
      const checked = checkedAs(file, unfinished);
      makeAnother(unfinished);
      return { ...checked, bytes: statSync(unfinished).size };
    });
  } catch (error) {
    if (isNew && existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
    if (error instanceof LogError) throw error;
    throw unusable(`${folder} cannot be used for a log (${(error as Error).message})`, error);
  }
}

function refuseUnusableFile(file: string): void {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) throw new LogError("not_found", `there is no backup ${file}`);
  if (!found.isFile()) throw unusable(`${file} is no file: name a backup`);
  const walBytes = statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  if (walBytes === 0) return;
  throw unusable(
    `${file} has a WAL beside it: it is no backup but a log that was in use. Take a backup of ` +
      "its folder with `backup`, and restore that",
  );
}

/** What the check says of the copy is so of the file. */
function checkedAs(file: string, copy: string): CheckedFile {
  try {
    return checkLogFile(copy);
  } catch (error) {
    if (!(error instanceof LogError)) throw error;
    throw new LogError(error.code, error.message.replaceAll(copy, file), { cause: error });
  }
}

function copyWhole(
  database: Database,
  { folder, file, unfinished }: { folder: string; file: string; unfinished: string },
): void {
  try {
    database.query("VACUUM INTO ?").run(unfinished);
  } catch (error) {
    const { message } = error as Error;
    const path = logPath(folder);
    if (isDamage(error)) throw damagedLog(path, message, error);
    // Which of the two files it is, SQLite does not say.
    throw unusable(`${path} cannot be copied to ${file} (${message}): look at both disks`, error);
  }
}

/**
 * Another incarnation, so that no store or copy of the old one is taken for its own: offsets
 * behind the backup's end will be given to other records. Whoever was a member of it is none here.
 */
function makeAnother(path: string): void {
  const database = new Database(path, { create: false, readwrite: true });
  try {
    database.exec("BEGIN IMMEDIATE");
    const incarnation = crypto.randomUUID();
    database.query("UPDATE meta SET value = ? WHERE key = 'incarnation'").run(incarnation);
    database.exec("DELETE FROM members; DELETE FROM memberships; UPDATE claims SET member = NULL");
    database.exec("COMMIT");
    database.exec("PRAGMA journal_mode = DELETE"); // one file, whole
  } finally {
    database.close();
  }
}
