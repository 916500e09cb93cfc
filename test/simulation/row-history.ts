/**
 * Every value that every row of one partition of a table ever had, by position: what a store that
 * is folded up to there must hold.
 *
 *   put(at, key, bytes) ──> valueAt(key, next), the last one put below `next`
 */

import { sameBytes } from "./bytes.ts";

interface Values {
  readonly at: number[];
  /** Null: the row was deleted there. */
  readonly bytes: (Uint8Array | null)[];
}

export class RowHistory {
  private readonly rows = new Map<string, Values>();
  private readonly puts: { readonly at: number; readonly key: string }[] = [];

  /** In order of `at`. */
  put(at: number, key: string, bytes: Uint8Array | null): void {
    let values = this.rows.get(key);
    if (values === undefined) {
      values = { at: [], bytes: [] };
      this.rows.set(key, values);
    }
    values.at.push(at);
    values.bytes.push(bytes);
    this.puts.push({ at, key });
  }

  valueAt(key: string, next: number): Uint8Array | null {
    const values = this.rows.get(key);
    if (values === undefined) return null;
    for (let index = values.at.length - 1; index >= 0; index -= 1) {
      if ((values.at[index] as number) < next) return values.bytes[index] as Uint8Array | null;
    }
    return null;
  }

  /** Whether the row had the value when the table stood at `next` or later. */
  hadSince(key: string, next: number, bytes: Uint8Array | null): boolean {
    if (sameBytes(this.valueAt(key, next), bytes)) return true;
    const values = this.rows.get(key);
    return (
      values?.at.some((at, index) => {
        return at >= next && sameBytes(values.bytes[index] as Uint8Array | null, bytes);
      }) ?? false
    );
  }

  /** Keys of rows put in [from, to). */
  changedBetween(from: number, to: number): Set<string> {
    const keys = new Set<string>();
    for (let index = this.puts.length - 1; index >= 0; index -= 1) {
      const { at, key } = this.puts[index] as { at: number; key: string };
      if (at < from) break;
      if (at < to) keys.add(key);
    }
    return keys;
  }

  keys(): Iterable<string> {
    return this.rows.keys();
  }
}
