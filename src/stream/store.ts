/**
 * A store: one partition of a group's table, a SQLite file of its own.
 *
 *   owner ──apply(rows, place)──> rows, place        views of any process read it as it is
 *
 * It is never the truth: the log is. So commits need no fsync (synchronous=NORMAL): after a power
 * cut a store is older, not broken, and is caught up. `place` holds the owner's epoch and the
 * progress up to which the rows are folded; `apply` checks both in its transaction, so that a
 * stale owner that wakes up late changes nothing.
 */

import { Database, type Statement } from "bun:sqlite";
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
import type { Progress } from "../log/event-log.ts";
import { decodeProgress, placeText } from "../log/progress-text.ts";
import { toBytes } from "./row-key.ts";
import { storeFault, storeMismatch } from "./store-fault.ts";
import { StreamError } from "./stream-error.ts";

/** Grows with every change of the file, of row keys, or of the engine's own rows. */
const FORMAT = "2";
/** For another owner's transaction. The event loop stands still, so longer waits are not here. */
const LOCK_WAIT_MS = 40;
/**
 * Pages kept per connection: few where rows are only looked up, more where they are written. A
 * process owns some 24 stores; four times as much is no faster, for a flush goes by key.
 */
const READER_CACHE_KIB = 512;
const OWNER_CACHE_KIB = 2_048;

const SCHEMA = `
CREATE TABLE rows (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE place (
  id INTEGER PRIMARY KEY CHECK (id = 0), format TEXT NOT NULL, incarnation TEXT NOT NULL,
  epoch INTEGER NOT NULL, progress TEXT, in_step_ms INTEGER);
`;

export interface StoredRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export interface RawRange {
  readonly from: string;
  readonly to: string;
  readonly isReverse: boolean;
  readonly limit: number;
}

/** All stores of one place: a folder, or ":memory:", which belongs to the instance alone. */
export class Stores {
  private readonly shared = new Map<string, Database>();

  constructor(
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
  const isThere = () =>
    database.query("SELECT 1 FROM sqlite_schema WHERE name = 'place'").get() !== null;
  if (isThere()) return database;
  database.exec("BEGIN IMMEDIATE");
  if (!isThere()) {
    database.exec(SCHEMA);
    database.query("INSERT INTO place VALUES (0, ?, ?, 0, NULL, NULL)").run(FORMAT, incarnation);
  }
  database.exec("COMMIT");
  return database;
}

export class Store {
  private readonly inode: number | null;
  private readonly statements: Record<
    | ("get" | "put" | "remove" | "forward" | "backward")
    | ("place" | "move" | "begin" | "commit" | "version"),
    Statement
  >;

  constructor(
    private readonly database: Database,
    readonly path: string,
    private readonly options: {
      readonly incarnation: string;
      readonly nowMs: () => number;
      readonly isShared: boolean;
    },
  ) {
    checkIdentity(database, path, options.incarnation);
    this.inode = options.isShared ? null : inodeAt(path);
    const prepare = (sql: string) => database.prepare(sql);
    const range = "SELECT key, value FROM rows WHERE key >= ? AND key < ? ORDER BY key";
    this.statements = {
      get: prepare("SELECT value FROM rows WHERE key = ?"),
      put: prepare("INSERT OR REPLACE INTO rows VALUES (?, ?)"),
      remove: prepare("DELETE FROM rows WHERE key = ?"),
      forward: prepare(`${range} LIMIT ?`),
      backward: prepare(`${range} DESC LIMIT ?`),
      place: prepare("SELECT epoch, progress, in_step_ms FROM place"),
      move: prepare(
        "UPDATE place SET epoch = ?, progress = ?, in_step_ms = coalesce(?, in_step_ms) " +
          "WHERE epoch <= ? AND progress IS ?",
      ),
      begin: prepare("BEGIN IMMEDIATE"),
      commit: prepare("COMMIT"),
      version: prepare("PRAGMA data_version"),
    };
  }

  get(key: string): Uint8Array | null {
    try {
      const row = this.statements.get.get(toBytes(key)) as { value: Uint8Array } | null;
      return row === null ? null : row.value;
    } catch (error) {
      throw storeFault(this.path, error);
    }
  }

  range({ from, to, isReverse, limit }: RawRange): StoredRow[] {
    const statement = isReverse ? this.statements.backward : this.statements.forward;
    try {
      return statement.all(toBytes(from), toBytes(to), limit) as StoredRow[];
    } catch (error) {
      throw storeFault(this.path, error);
    }
  }

  /** Up to where the rows are folded; null for an empty store. */
  progress(): Progress | null {
    return placeProgress(this.path, this.place().progress);
  }

  /** Takes the store for an owner. Throws `store_fenced` when a later owner has it. */
  take(epoch: number): void {
    const { progress } = this.place();
    this.transact(() => this.move({ epoch, before: progress, after: progress, inStepMs: null }));
  }

  /** Unix milliseconds of the clock that stamps are by. */
  nowMs(): number {
    return this.options.nowMs();
  }

  /**
   * Was it out of step with its log for so long? For one that never was, since it was begun. A
   * stamp that is to come by as much is of a clock that was wrong: it says as little.
   */
  mayMissTombstones(lifeMs: number): boolean {
    const { in_step_ms: inStepMs } = this.place();
    return inStepMs !== null && Math.abs(this.nowMs() - inStepMs) > lifeMs;
  }

  /** As it stands at `at` it was in step with its log then. Nothing where it has moved on since. */
  stamp({ epoch, at, inStepMs }: { epoch: number; at: Progress; inStepMs: number }): void {
    const progress = placeText(at);
    this.transact(() => this.statements.move.run(epoch, progress, inStepMs, epoch, progress));
  }

  /**
   * Throws away all rows, to be built anew. Throws `store_fenced`, unless it is `ofAnyEpoch`: those
   * of another log's or changelog's owners say nothing here.
   */
  reset(epoch: number, { ofAnyEpoch = false } = {}): void {
    const { progress } = this.place();
    this.transact(() => {
      if (ofAnyEpoch) this.database.exec("UPDATE place SET epoch = 0");
      this.move({ epoch, before: progress, after: null, inStepMs: null });
      this.database.exec("DELETE FROM rows; UPDATE place SET in_step_ms = NULL");
    });
  }

  /**
   * Writes rows (null: the row goes) and the new place together. Throws `store_fenced`, with
   * nothing written, unless the store stands at `before` and belongs to no later epoch.
   */
  apply(change: {
    readonly epoch: number;
    readonly before: Progress | null;
    readonly after: Progress;
    readonly rows: Iterable<readonly [key: string, value: Uint8Array | null]>;
    /** When it was surely in step with its log as it stands now; null half-way there. */
    readonly inStepMs: number | null;
  }): void {
    const { epoch, inStepMs } = change;
    const before = change.before === null ? null : placeText(change.before);
    const after = placeText(change.after);
    this.transact(() => {
      this.move({ epoch, before, after, inStepMs });
      for (const [key, value] of change.rows) {
        if (value === null) this.statements.remove.run(toBytes(key));
        else this.statements.put.run(toBytes(key), value);
      }
    });
  }

  /**
   * Runs reads in one snapshot. Outside of one, SQLite locks and unlocks the file for each read,
   * which costs as much as the read itself.
   */
  snapshot<T>(read: () => T): T {
    const { database } = this;
    if (database.inTransaction) return read();
    try {
      database.exec("BEGIN");
      try {
        return read();
      } finally {
        // A disk that fails ends it by itself.
        if (database.inTransaction) database.exec("COMMIT");
      }
    } catch (error) {
      throw storeFault(this.path, error);
    }
  }

  /** Whether another file stands in its place: this one was deleted, and is built anew. */
  isReplaced(): boolean {
    if (this.inode === null) return false;
    const inode = inodeAt(this.path);
    return inode !== null && inode !== this.inode;
  }

  /** Changes when another connection has changed the file; -1 in memory, where all share one. */
  version(): number {
    if (this.options.isShared) return -1;
    try {
      return (this.statements.version.get() as { data_version: number }).data_version;
    } catch (error) {
      throw storeFault(this.path, error);
    }
  }

  close(): void {
    for (const statement of Object.values(this.statements)) statement.finalize();
    if (!this.options.isShared) this.database.close();
  }

  private transact(write: () => void): void {
    try {
      this.statements.begin.run();
      write();
      this.statements.commit.run();
    } catch (error) {
      if (this.database.inTransaction) this.database.exec("ROLLBACK");
      throw storeFault(this.path, error);
    }
  }

  private move({ epoch, before, after, inStepMs }: Move): void {
    const { changes } = this.statements.move.run(epoch, after, inStepMs, epoch, before);
    if (changes === 1) return;
    throw new StreamError(
      "store_fenced",
      `the store ${this.path} has moved on without epoch ${epoch}: another member owns it`,
    );
  }

  private place(): Place {
    try {
      return this.statements.place.get() as Place;
    } catch (error) {
      throw storeFault(this.path, error);
    }
  }
}

/** Throws `store_mismatch` for what no owner has written. */
export function placeProgress(path: string, progress: string | null): Progress | null {
  try {
    return progress === null ? null : decodeProgress(progress);
  } catch (error) {
    throw storeMismatch(path, "has a place that cannot be read", error);
  }
}

function inodeAt(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? null;
}

interface Place {
  readonly epoch: number;
  readonly progress: string | null;
  readonly in_step_ms: number | null;
}

interface Move {
  readonly epoch: number;
  readonly before: string | null;
  readonly after: string | null;
  /** Null leaves it as it is. */
  readonly inStepMs: number | null;
}

/**
 * First of all: another format's tables may be named otherwise. Throws `store_mismatch`, and what
 * SQLite throws.
 */
export function checkIdentity(database: Database, path: string, incarnation: string): void {
  const place = database.query("SELECT * FROM place").get() as Record<string, unknown> | null;
  if (place === null) throw storeMismatch(path, "has lost its place");
  const { format } = place;
  if (format !== FORMAT) throw storeMismatch(path, `has format ${String(format)}`);
  if (place["incarnation"] !== incarnation) throw storeMismatch(path, "belongs to another log");
}
