/**
 * A store's place: its one row that says of which log it is, who owns it, and up to where its other
 * rows are folded.
 *
 *   made ──> format, incarnation        owner ──move──> epoch, progress, stamp
 *
 * A move names where the owner believes the store to stand, and its epoch. It happens in the
 * transaction that writes the rows, so that a stale owner that wakes up late changes nothing.
 */

import type { Database, Statement } from "bun:sqlite";
import type { Progress } from "../log/event-log.ts";
import { decodeProgress, placeText } from "../log/progress-text.ts";
import { storeFault, storeMismatch } from "./store-fault.ts";
import { StreamError } from "./stream-error.ts";

/** Grows with every change of the file, of row keys, or of the engine's own rows. */
const FORMAT = "2";

const TABLE = `
CREATE TABLE place (
  id INTEGER PRIMARY KEY CHECK (id = 0), format TEXT NOT NULL, incarnation TEXT NOT NULL,
  epoch INTEGER NOT NULL, progress TEXT, in_step_ms INTEGER);
`;

export class PlaceRow {
  private readonly select: Statement;
  private readonly update: Statement;

  constructor(
    private readonly database: Database,
    /** Of the store. */
    private readonly path: string,
  ) {
    this.select = database.prepare("SELECT epoch, progress, in_step_ms FROM place");
    this.update = database.prepare(
      "UPDATE place SET epoch = ?, progress = ?, in_step_ms = coalesce(?, in_step_ms) " +
        "WHERE epoch <= ? AND progress IS ?",
    );
  }

  /** Throws `store_mismatch` where the row is gone. */
  read(): Place {
    try {
      const place = this.select.get() as Place | null;
      if (place === null) throw storeMismatch(this.path, "has lost its place");
      return place;
    } catch (error) {
      throw storeFault(this.path, error);
    }
  }

  /** Up to where the rows are folded; null for an empty store. Throws `store_mismatch`. */
  progress(): Progress | null {
    return placeProgress(this.path, this.read().progress);
  }

  /** False, with nothing written, unless it stands at `before` and belongs to no later epoch. */
  move({ epoch, before, after, inStepMs }: Move): boolean {
    const moveFrom = (spelled: string | null) =>
      this.update.run(epoch, after, inStepMs, epoch, spelled).changes === 1;
    if (moveFrom(before)) return true;
    // Earlier programs wrote the same place with counts in it, and so another text.
    const { progress } = this.read();
    const stands = placeProgress(this.path, progress);
    return stands !== null && placeText(stands) === before && moveFrom(progress);
  }

  /** Throws `store_fenced` where `move` gives false. */
  moveOrThrow(move: Move): void {
    if (this.move(move)) return;
    throw new StreamError(
      "store_fenced",
      `the store ${this.path} has moved on without epoch ${move.epoch}: another member owns it`,
    );
  }

  /** As if nobody had owned it. */
  disown(): void {
    this.database.exec("UPDATE place SET epoch = 0");
  }

  /** As if it had never been in step. */
  unstamp(): void {
    this.database.exec("UPDATE place SET in_step_ms = NULL");
  }

  finalize(): void {
    this.select.finalize();
    this.update.finalize();
  }
}

/** For a file that is being made. */
export function createPlace(database: Database, incarnation: string): void {
  database.exec(TABLE);
  database.query("INSERT INTO place VALUES (0, ?, ?, 0, NULL, NULL)").run(FORMAT, incarnation);
}

export function hasPlace(database: Database): boolean {
  return database.query("SELECT 1 FROM sqlite_schema WHERE name = 'place'").get() !== null;
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

/** Throws `store_mismatch` for what no owner has written. */
export function placeProgress(path: string, progress: string | null): Progress | null {
  try {
    return progress === null ? null : decodeProgress(progress);
  } catch (error) {
    throw storeMismatch(path, "has a place that cannot be read", error);
  }
}

interface Place {
  readonly epoch: number;
  readonly progress: string | null;
  /** Unix milliseconds when it was surely in step with its log; null: it never was. */
  readonly in_step_ms: number | null;
}

interface Move {
  readonly epoch: number;
  readonly before: string | null;
  readonly after: string | null;
  /** Null leaves it as it is. */
  readonly inStepMs: number | null;
}
