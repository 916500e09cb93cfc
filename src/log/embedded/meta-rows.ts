/**
 * Small values that belong to the log as a whole, beside the log's own in the same table.
 *
 *   setMeta ──write──> meta ──read──> meta, migration
 */

import type { Database } from "bun:sqlite";

/** Before the keys of values that the log does not know. */
const PREFIX = "user.";

export class MetaRows {
  constructor(private readonly database: Database) {}

  read(key: string): string | null {
    const row = this.database.query("SELECT value FROM meta WHERE key = ?").get(PREFIX + key);
    return (row as { readonly value: string } | null)?.value ?? null;
  }

  /** By key, without the log's own. */
  all(): ReadonlyMap<string, string> {
    const rows = this.database
      .query("SELECT key, value FROM meta WHERE key GLOB ? ORDER BY key")
      .all(`${PREFIX}*`) as { readonly key: string; readonly value: string }[];
    return new Map(rows.map(({ key, value }) => [key.slice(PREFIX.length), value]));
  }

  /** In a transaction. */
  write(key: string, value: string): void {
    this.database.query("INSERT OR REPLACE INTO meta VALUES (?, ?)").run(PREFIX + key, value);
  }
}
