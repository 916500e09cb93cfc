/**
 * The seal of a log that was moved elsewhere, or is being moved: nothing is appended to it.
 *
 *   migration ──seal──> meta ──read in every transaction──> appends refused: "moved to ..."
 *
 * It stands in the log's file, so that it holds for every process that has the log open, also for
 * one that opened it before. Groups may go on with what is there already, so that what the old
 * place says can still be compared with the new one.
 */

import type { Database, Statement } from "bun:sqlite";
import { LogError } from "../event-log.ts";
import { damagedLog, reading } from "./log-fault.ts";

const KEY = "seal";

export interface Seal {
  /** In words, for whoever comes to the old place. */
  readonly movedTo: string;
  /** The new log's. */
  readonly incarnation: string;
  /** False while it is being moved: then it may still be moved to another place instead. */
  readonly isDone: boolean;
  /** Of the new place's names, where it has one. */
  readonly prefix?: string;
}

export class Seals {
  private readonly select: Statement;

  constructor(private readonly database: Database) {
    this.select = database.prepare("SELECT value FROM meta WHERE key = ?");
  }

  /** Null: the log was not moved. About a microsecond. Throws `corrupt`, `unavailable`. */
  read(): Seal | null {
    const select = () => this.select.get(KEY);
    const row = reading(this.database, select) as { readonly value: string } | null;
    if (row === null) return null;
    try {
      return JSON.parse(row.value) as Seal;
    } catch (error) {
      throw damagedLog(this.database.filename, "its seal is not what was written", error);
    }
  }

  /** In a transaction. */
  write(seal: Seal): void {
    const insert = this.database.query("INSERT OR REPLACE INTO meta VALUES (?, ?)");
    insert.run(KEY, JSON.stringify(seal));
  }

  /** In a transaction. The log takes appends again. */
  remove(): void {
    this.database.query("DELETE FROM meta WHERE key = ?").run(KEY);
  }

  close(): void {
    this.select.finalize();
  }
}

export function sealedError({ movedTo, isDone }: Seal, place: string): LogError {
  const where = place === ":memory:" ? "this log" : `the log in ${place}`;
  const message = isDone
    ? `${where} was moved to ${movedTo}: write there instead`
    : `${where} is being moved to ${movedTo}: write there once all is there`;
  return new LogError("moved", message);
}
