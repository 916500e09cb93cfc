/**
 * A log of an older format made one of this program's, with a copy kept as it was.
 *
 *   log.db, format 1 ──copied, each record checked──> log.format-1.db ──then──> log.db, format 2
 *
 * Not by a start but by the first record that needs it: until then the older program can be put
 * back on the folder with nothing lost, and no start waits for a copy. After SQLite, whose files
 * say which version must understand them, and not which wrote them last. What the older format has
 * is the same in the newer one, so nothing is rewritten; from here on an older program refuses it.
 */

import { getLogger } from "@logtape/logtape";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { copyLog } from "./backup.ts";
import type { LogFile } from "./log-file.ts";
import { FORMAT_VERSION, formatOf, writeFormat } from "./schema.ts";
import { unusable } from "./whole-file.ts";

const logger = getLogger(["log", "embedded"]);

/**
 * Nothing for a log that is of this format already. Appends of others go on meanwhile; the copy
 * holds what was written before it began.
 *
 * Throws LogError: `unusable_place` where the copy cannot be made, `corrupt`, `unavailable`. The
 * log is of its old format then.
 */
export async function raiseFormat(log: LogFile, folder: string): Promise<void> {
  const { database } = log;
  const before = formatOf(database);
  if (before === FORMAT_VERSION) return;
  const file = join(folder, `log.format-${before}.db`);
  if (existsSync(file)) {
    // Of a raise that was interrupted, perhaps long ago: it is the owner's to know what it is.
    throw unusable(
      `${file} is there already, and the log is still of format ${before}: move it away, then ` +
        "try again",
    );
  }
  const { records } = copyLog(database, { folder, file });
  await log.transact(0, () => writeFormat(database, FORMAT_VERSION));
  logger.warn(
    "the log in {folder} has format {format} now, which older programs refuse; as it was, with " +
      "{records} records, it is kept as {file}",
    { folder, format: FORMAT_VERSION, records, file },
  );
}
