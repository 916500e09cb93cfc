/**
 * SQLite's own look at a whole file: pages, order and counts of its trees. The whole check, not the
 * quick one: it differs by the look into indexes, of which there are none, or one that is small.
 *
 *   connection ──PRAGMA integrity_check──> one sentence for each fault
 */

import type { Database } from "bun:sqlite";

/** In front of the first sentence, on a line of its own: it names no file. */
const HEADING = /^\*\*\* in database \w+ \*\*\*\n/;

/** Empty when nothing is wrong. Throws as SQLite does where it cannot look. */
export function integrityFaults(database: Database): readonly string[] {
  const found = database.query("PRAGMA integrity_check").values();
  const lines = found.map(([line]) => String(line).replace(HEADING, ""));
  return lines.filter((line) => line !== "ok");
}
