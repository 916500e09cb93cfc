/**
 * One partition of a table as it stands at one moment, read without taking part: whatever owns or
 * reads the store goes on, and nothing in the file is changed.
 *
 *   store's file ──one read transaction──> the place it stands at, all rows by stored key
 *
 * For as long as it is open its store's WAL can't be cut: close it soon.
 */

import { Database, type Statement } from "bun:sqlite";
import { existsSync } from "node:fs";
import type { Progress } from "../log/event-log.ts";
import { integrityFaults } from "../log/integrity-check.ts";
import type { StoredRow } from "./store.ts";
import { storeFault, storeMismatch } from "./store-fault.ts";
import { checkIdentity, placeProgress } from "./store-place.ts";
import type { Stores } from "./stores.ts";
import { StreamError } from "./stream-error.ts";

/** For an owner that is just making the file or clearing its WAL away. */
const LOCK_WAIT_MS = 1_000;

export class TableSnapshot {
  /** Up to where the rows are folded; null for an empty store. */
  readonly progress: Progress | null;

  /** Use `openSnapshot`. */
  constructor(
    private readonly database: Database,
    private readonly path: string,
  ) {
    const { progress } = database.query("SELECT progress FROM place").get() as {
      readonly progress: string | null;
    };
    this.progress = placeProgress(path, progress);
  }

  /** Throws StreamError `store_mismatch` where a page is damaged. */
  *rows(): Generator<StoredRow> {
    let statement: Statement | null = null;
    try {
      statement = this.database.prepare("SELECT key, value FROM rows ORDER BY key");
      yield* statement.iterate() as IterableIterator<StoredRow>;
    } catch (error) {
      throw storeFault(this.path, error);
    } finally {
      statement?.finalize();
    }
  }

  /** Of all kinds, ids of records among them. */
  rowCount(): number {
    try {
      const counted = this.database.query("SELECT count(*) AS count FROM rows").get();
      return Number((counted as { readonly count: number | bigint }).count);
    } catch (error) {
      throw storeFault(this.path, error);
    }
  }

  /** What SQLite itself finds wrong with the file; empty when nothing. */
  problems(): readonly string[] {
    try {
      const faults = integrityFaults(this.database);
      return faults.map((fault) => storeMismatch(this.path, `is damaged (${fault})`).message);
    } catch (error) {
      throw storeFault(this.path, error);
    }
  }

  close(): void {
    this.database.close();
  }
}

/** Null where no owner has made the store. Throws `store_mismatch`, `store_unavailable`. */
export function openSnapshot(
  stores: Stores,
  table: string,
  partition: number,
): TableSnapshot | null {
  const path = stores.path(table, partition);
  if (!existsSync(path)) return null;
  let database: Database | null = null;
  try {
    // Not `readonly`: the reader of a WAL has to make the index of it where there is none.
    database = new Database(path, { create: false, readwrite: true });
    database.exec(`PRAGMA busy_timeout = ${LOCK_WAIT_MS}`);
    database.exec("PRAGMA query_only = ON");
    database.exec("BEGIN");
    checkIdentity(database, path, stores.incarnation);
    return new TableSnapshot(database, path);
  } catch (error) {
    database?.close();
    throw storeFault(path, error);
  }
}

/** Null where no owner has made the store, or where it can't be read. */
export function countRows(stores: Stores, table: string, partition: number): number | null {
  let snapshot: TableSnapshot | null = null;
  try {
    snapshot = openSnapshot(stores, table, partition);
    return snapshot === null ? null : snapshot.rowCount();
  } catch (error) {
    if (error instanceof StreamError) return null; // its owner builds it anew, or tells of it
    throw error;
  } finally {
    snapshot?.close();
  }
}
