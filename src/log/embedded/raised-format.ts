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
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { LogError } from "../event-log.ts";
import { copyLog } from "./backup.ts";
import { reading } from "./log-fault.ts";
import type { LogFile } from "./log-file.ts";
import { FORMAT_VERSION, formatOf, writeFormat } from "./schema.ts";
import { sealedError } from "./seal.ts";
import { unusable } from "./whole-file.ts";

const logger = getLogger(["log", "embedded"]);

/**
 * Nothing for a log that is of this format already. Appends of others go on meanwhile; the copy
 * holds what was written before it began. This thread stands still while it is made.
 *
 * Throws LogError: `unusable_place` where the copy cannot be made, `moved`, `corrupt`,
 * `unavailable`. The log is of its old format then, and no copy is left.
 */
export async function raiseFormat(log: LogFile, folder: string): Promise<void> {
  const { database } = log;
  const before = reading(database, () => formatOf(database));
  if (before === FORMAT_VERSION) return;
  const file = join(folder, `log.format-${before}.db`);
  const place = { folder, file, format: FORMAT_VERSION };
  const isWanted = () => check(log, { folder, file, before });
  if (!(await log.transact(0, isWanted))) return;
  logger.warn("the log in {folder} is to have format {format}: copied to {file} first", place);
  using copy = copyLog(database, { folder, file });
  let isPlaced = false;
  try {
    const isRaised = await log.transact(0, () => {
      if (!isWanted()) return false;
      copy.putInPlace();
      isPlaced = true;
      writeFormat(database, FORMAT_VERSION);
      return true;
    });
    if (!isRaised) return;
  } catch (error) {
    const mayBeRaised = (error as LogError).code === "outcome_unknown";
    if (isPlaced && !mayBeRaised) rmSync(file);
    throw error;
  }
  logger.warn(
    "the log in {folder} has format {format} now, which older programs refuse; as it was, with " +
      "{records} records, it is kept as {file}",
    { ...place, records: copy.made.records },
  );
}

/** In a transaction. False where another has raised it by now, and has kept its own copy. */
function check(
  { database, sealInForce }: LogFile,
  { folder, file, before }: { folder: string; file: string; before: number },
): boolean {
  if (sealInForce !== null) throw sealedError(sealInForce, folder);
  if (formatOf(database) !== before) return false;
  if (!existsSync(file)) return true;
  // Of a raise that was interrupted, perhaps long ago: it is the owner's to know what it is.
  throw unusable(
    `${file} is there already, and the log is still of format ${before}: move it away, then ` +
      "try again",
  );
}
