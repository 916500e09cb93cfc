/**
 * Small values that belong to the log as a whole, beside the log's own in the same table.
 *
 *   setMeta ──write──> meta ──read──> meta, migration
 */

import type { Database } from "bun:sqlite";
import { reading } from "./log-fault.ts";

/** Before the keys of values that the log does not know. */
const PREFIX = "user.";

export class MetaRows {
  constructor(private readonly database: Database) {}

  /** Throws `corrupt`, `unavailable`. */
  read(key: string): string | null {
    const { database } = this;
    const select = () => database.query("SELECT value FROM meta WHERE key = ?").get(PREFIX + key);
    const row = reading(database, select);
    return (row as { readonly value: string } | null)?.value ?? null;
  }

  /** By key, without the log's own. Throws `corrupt`, `unavailable`. */
  all(): ReadonlyMap<string, string> {
    const { database } = this;
    const sql = "SELECT key, value FROM meta WHERE key GLOB ? ORDER BY key";
    const select = () => database.query(sql).all(`${PREFIX}*`);
    const rows = reading(database, select) as { readonly key: string; readonly value: string }[];
    return new Map(rows.map(({ key, value }) => [key.slice(PREFIX.length), value]));
  }

  /** In a transaction. */
  write(key: string, value: string): void {
    this.database.query("INSERT OR REPLACE INTO meta VALUES (?, ?)").run(PREFIX + key, value);
  }
}
