/**
 * A store: one partition of a group's table, a SQLite file of its own, as one connection to it.
 *
 *   owner ──apply(rows, place)──> rows, place        views of any process read it as it is
 *
 * Rows and place are written together or not at all, and only by the owner that the place names.
 */

import type { Database, Statement } from "bun:sqlite";
import { statSync } from "node:fs";
import type { Progress } from "../log/event-log.ts";
import { placeText } from "../log/progress-text.ts";
import { toBytes } from "./row-key.ts";
import { storeFault } from "./store-fault.ts";
import { checkIdentity, PlaceRow } from "./store-place.ts";

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

export class Store {
  private readonly inode: number | null;
  private readonly place: PlaceRow;
  private readonly statements: Record<
    "get" | "put" | "remove" | "forward" | "backward" | "begin" | "commit" | "version",
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
      begin: prepare("BEGIN IMMEDIATE"),
      commit: prepare("COMMIT"),
      version: prepare("PRAGMA data_version"),
    };
    this.place = new PlaceRow(database, path);
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
    return this.place.progress();
  }

  /** Takes the store for an owner. Throws `store_fenced` when a later owner has it. */
  take(epoch: number): void {
    const { progress } = this.place.read();
    this.transact(() => {
      this.place.moveOrThrow({ epoch, before: progress, after: progress, inStepMs: null });
    });
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
    const { in_step_ms: inStepMs } = this.place.read();
    return inStepMs !== null && Math.abs(this.nowMs() - inStepMs) > lifeMs;
  }

  /** As it stands at `at` it was in step with its log then. Nothing where it has moved on since. */
  stamp({ epoch, at, inStepMs }: { epoch: number; at: Progress; inStepMs: number }): void {
    const progress = placeText(at);
    this.transact(() => this.place.move({ epoch, before: progress, after: progress, inStepMs }));
  }

  /**
   * Throws away all rows, to be built anew. Throws `store_fenced`, unless it is `ofAnyEpoch`: those
   * of another log's or changelog's owners say nothing here.
   */
  reset(epoch: number, { ofAnyEpoch = false } = {}): void {
    const { progress } = this.place.read();
    this.transact(() => {
      if (ofAnyEpoch) this.place.disown();
      this.place.moveOrThrow({ epoch, before: progress, after: null, inStepMs: null });
      this.place.unstamp();
      this.database.exec("DELETE FROM rows");
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
      this.place.moveOrThrow({ epoch, before, after, inStepMs });
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
    this.place.finalize();
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
}

function inodeAt(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? null;
}
