/**
 * Progress as rows of the log's file, one for each partition of a group.
 *
 *   commit ──write──> progress ──read──> claims, status
 */

import type { Database, Statement } from "bun:sqlite";
import type { Progress } from "../event-log.ts";
import { decodeProgress, encodeProgress } from "../progress-text.ts";

export class ProgressRows {
  private readonly select: Statement;
  private readonly replace: Statement;

  constructor(database: Database) {
    this.select = database.prepare(
      "SELECT progress FROM progress WHERE group_name = ? AND partition = ?",
    );
    this.replace = database.prepare("INSERT OR REPLACE INTO progress VALUES (?, ?, ?)");
  }

  /** Null: the group never ran there. */
  read(group: string, partition: number): Progress | null {
    const row = this.select.get(group, partition) as { readonly progress: string } | null;
    return row === null ? null : decodeProgress(row.progress);
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
