/**
 * Several sorted sources side by side, one wallet at a time: its records of both streams and its
 * rows of all tables.
 *
 *   sources, each by stored key ──merge──> wallet, and what each source has of it
 */

import { keyPrefix } from "../../stream/row-key.ts";

/** What one source has of one key. */
export interface Keyed<T> {
  /** The key as table rows begin with it. */
  readonly prefix: string;
  readonly items: T;
}

/** Goes along with the others. */
export class Side<T> {
  private next: Keyed<T> | null;
  private readonly iterator: Iterator<Keyed<T>>;

  constructor(
    source: Iterable<Keyed<T>>,
    private readonly nothing: () => T,
  ) {
    this.iterator = source[Symbol.iterator]();
    this.next = this.read();
  }

  get prefix(): string | null {
    return this.next?.prefix ?? null;
  }

  /** What it has of the key, which is not beyond its own next one. */
  take(prefix: string): T {
    if (this.next === null || this.next.prefix !== prefix) return this.nothing();
    const { items } = this.next;
    this.next = this.read();
    return items;
  }

  /** Its source is asked no more. */
  close(): void {
    this.iterator.return?.();
    this.next = null;
  }

  private read(): Keyed<T> | null {
    const { done, value } = this.iterator.next();
    return done === true ? null : value;
  }
}

/** The lowest key that any side has next; null at the end of all. */
export function nextPrefix(sides: readonly Side<unknown>[]): string | null {
  let lowest: string | null = null;
  for (const { prefix } of sides) {
    if (prefix !== null && (lowest === null || prefix < lowest)) lowest = prefix;
  }
  return lowest;
}

/** Sorted records, key by key. */
export function* recordsByKey<T extends { readonly key: Uint8Array }>(
  records: Iterable<T>,
): Generator<Keyed<T[]>> {
  let prefix: string | null = null;
  let items: T[] = [];
  for (const record of records) {
    const own = keyPrefix(record.key);
    if (own !== prefix) {
      if (prefix !== null) yield { prefix, items };
      prefix = own;
      items = [];
    }
    items.push(record);
  }
  if (prefix !== null) yield { prefix, items };
}
