/**
 * The stores of one place: a folder with a file per partition of each table, or memory.
 *
 *   owner ──open──> file made whole, connection of its own ──> store        discard ──> no file
 *
 * Stores are never the truth: the log is. So commits need no fsync (synchronous=NORMAL): after a
 * power cut a store is older, not broken, and is caught up.
 */

import { Database } from "bun:sqlite";
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { Store } from "./store.ts";
import { storeFault } from "./store-fault.ts";
import { createPlace, hasPlace } from "./store-place.ts";

/** For another owner's transaction. The event loop stands still, so longer waits are not here. */
const LOCK_WAIT_MS = 40;
/**
 * Pages kept per connection: few where rows are only looked up, more where they are written. A
 * process owns some 24 stores; four times as much is no faster, for a flush goes by key.
 */
const READER_CACHE_KIB = 512;
const OWNER_CACHE_KIB = 2_048;

export class Stores {
  private readonly shared = new Map<string, Database>();

  constructor(
    /** Or ":memory:", which belongs to the instance alone. */
    readonly folder: string,
    /** Of the log that the stores fold. */
    readonly incarnation: string,
    /** Unix milliseconds. Left out where no store is ever caught up from a changelog. */
    private readonly nowMs: () => number = () => 0,
  ) {}

  /** For the partition's owner: made when missing. Throws `store_mismatch`, `store_unavailable`. */
  open(table: string, partition: number): Store {
    return this.connect(table, partition, true) as Store;
  }

  /** For reading; null while no owner has made it. Throws as `open` does. */
  openForReading(table: string, partition: number): Store | null {
    return this.connect(table, partition, false);
  }

  /**
   * Takes away what is of no use, for its owner to build it anew. Whoever has it open reads the
   * old file until it looks for the new one.
   */
  discard(table: string, partition: number): void {
    const path = this.path(table, partition);
    this.shared.delete(path);
    if (this.folder === ":memory:") return;
    for (const ending of ["-wal", "-shm", ""]) rmSync(path + ending, { force: true });
  }

  /** Whether an owner has made it. */
  isThere(table: string, partition: number): boolean {
    const path = this.path(table, partition);
    return this.folder === ":memory:" ? this.shared.has(path) : existsSync(path);
  }

  /** Of all files, what is not checkpointed yet among them; 0 in memory. */
  bytes(): number {
    if (this.folder === ":memory:" || !existsSync(this.folder)) return 0;
    let bytes = 0;
    for (const name of readdirSync(this.folder, { recursive: true, encoding: "utf8" })) {
      // One that is discarded meanwhile is not there.
      const file = statSync(join(this.folder, name), { throwIfNoEntry: false });
      if (file?.isFile() === true) bytes += file.size;
    }
    return bytes;
  }

  /** Where the store lies; within a folder the path of its file. */
  path(table: string, partition: number): string {
    return this.folder === ":memory:"
      ? `${table}/${partition}`
      : join(this.folder, table, `${partition}.db`);
  }

  private connect(table: string, partition: number, create: boolean): Store | null {
    const path = this.path(table, partition);
    const { incarnation, nowMs } = this;
    if (this.folder === ":memory:") {
      let database = this.shared.get(path);
      if (database === undefined && create) {
        database = initialise(new Database(":memory:"), incarnation);
        this.shared.set(path, database);
      }
      if (database === undefined) return null;
      return new Store(database, path, { incarnation, nowMs, isShared: true });
    }
    if (!create && !existsSync(path)) return null;
    let database: Database | null = null;
    try {
      // A WAL without its file is SQLite's to clear away, where it makes the file itself.
      const isNew = !existsSync(path) && !existsSync(`${path}-wal`);
      if (isNew) makeFile(path, incarnation);
      database = new Database(path, { create: true, readwrite: true });
      database.exec(`PRAGMA busy_timeout = ${LOCK_WAIT_MS}`);
      database.exec(`PRAGMA cache_size = -${create ? OWNER_CACHE_KIB : READER_CACHE_KIB}`);
      database.exec("PRAGMA synchronous = NORMAL");
      initialise(database, incarnation);
      return new Store(database, path, { incarnation, nowMs, isShared: false });
    } catch (error) {
      database?.close();
      throw storeFault(path, error);
    }
  }
}

/**
 * Made under another name and then put in its place whole: a reader that opened it half-made would
 * be refused at once, for SQLite waits for no lock while a file becomes a WAL one.
 */
function makeFile(path: string, incarnation: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const folder = mkdtempSync(`${path}.new-`);
  const unfinished = join(folder, basename(path));
  try {
    const database = new Database(unfinished, { create: true, readwrite: true });
    try {
      database.exec("PRAGMA synchronous = OFF"); // one fsync of the whole is enough, and below
      initialise(database, incarnation);
    } finally {
      database.close();
    }
    sync(unfinished);
    linkSync(unfinished, path);
  } catch (error) {
    if ((error as { code?: string }).code !== "EEXIST") throw error; // another was first
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function sync(path: string): void {
  const file = openSync(path, "r+");
  fsyncSync(file);
  closeSync(file);
}

function initialise(database: Database, incarnation: string): Database {
  database.exec("PRAGMA journal_mode = WAL");
  if (hasPlace(database)) return database;
  database.exec("BEGIN IMMEDIATE");
  if (!hasPlace(database)) {
    database.exec("CREATE TABLE rows (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID");
    createPlace(database, incarnation);
  }
  database.exec("COMMIT");
  return database;
}
