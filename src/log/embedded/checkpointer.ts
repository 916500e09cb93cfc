/**
 * Moves the WAL into the database before it grows large. SQLite's own automatic checkpoint would
 * run inside whichever commit comes last, so that an acknowledgement pays for it; this one runs
 * where processing happens, and only where nobody else in the process does it.
 */

import { getLogger } from "@logtape/logtape";
import type { Database } from "bun:sqlite";
import { statSync } from "node:fs";
import { logPath } from "./schema.ts";

/** Move it from here on. Fewer and larger checkpoints write a hot page once, not many times. */
const CHECKPOINT_BYTES = 16 * 1024 * 1024;
/** A reader or a missed turn has let it grow: cut the file, too. */
const TRUNCATE_BYTES = 64 * 1024 * 1024;
/** The file's size is asked for once in so many commits. */
const CHECK_EVERY_COMMITS = 32;

const logger = getLogger(["log", "checkpointer"]);

export class Checkpointer {
  private commits = 0;
  private readonly path: string | null;

  constructor(
    private readonly database: Database,
    options: { readonly folder: string; readonly leavesCheckpoints?: boolean },
  ) {
    const isOff = options.folder === ":memory:" || options.leavesCheckpoints === true;
    this.path = isOff ? null : `${logPath(options.folder)}-wal`;
  }

  /** After a commit, which stands whatever becomes of this. Never throws. */
  check(): void {
    this.commits += 1;
    if (this.path === null || this.commits % CHECK_EVERY_COMMITS !== 0) return;
    try {
      const bytes = statSync(this.path, { throwIfNoEntry: false })?.size ?? 0;
      if (bytes >= TRUNCATE_BYTES) this.database.query("PRAGMA wal_checkpoint(TRUNCATE)").get();
      else if (bytes >= CHECKPOINT_BYTES) {
        this.database.query("PRAGMA wal_checkpoint(PASSIVE)").get();
      }
    } catch (error) {
      // A disk that is full, most likely: nothing is lost with it, and the next check tries again.
      logger.warn("the WAL of {path} cannot be moved into it: {error}", { path: this.path, error });
    }
  }
}
