/**
 * Progress as rows of the log's file, one for each partition of a group.
 *
 *   commit ──write──> progress ──read──> claims, status
 */

import type { Database, Statement } from "bun:sqlite";
import type { Progress } from "../event-log.ts";
import { decodeProgress, encodeProgress } from "../progress-text.ts";
import { damagedLog, reading } from "./log-fault.ts";

export class ProgressRows {
  private readonly select: Statement;
  private readonly replace: Statement;

  constructor(private readonly database: Database) {
    this.select = database.prepare(
      "SELECT progress FROM progress WHERE group_name = ? AND partition = ?",
    );
    this.replace = database.prepare("INSERT OR REPLACE INTO progress VALUES (?, ?, ?)");
  }

  /** Null: the group never ran there. Throws `corrupt`, `unavailable`. */
  read(group: string, partition: number): Progress | null {
    const select = () => this.select.get(group, partition);
    const row = reading(this.database, select) as { readonly progress: string } | null;
    if (row === null) return null;
    try {
      return decodeProgress(row.progress);
    } catch (error) {
      const what = `the progress of ${group} partition ${partition} is not what was written`;
      throw damagedLog(this.database.filename, what, error);
    }
  }

  /** In a transaction. */
  write(group: string, partition: number, progress: Progress): void {
    this.replace.run(group, partition, encodeProgress(progress));
  }

  close(): void {
    this.select.finalize();
    this.replace.finalize();
  }
}
