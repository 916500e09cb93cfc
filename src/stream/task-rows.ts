/**
 * A task's rows: what callbacks read and set, over the partition's store.
 *
 *   set ──> changed (this batch) ──commit──> unflushed ──flush──> store
 *   get <── one map of decoded rows: changed, unflushed and cached alike; else the store
 *
 * The cache has two generations: a row that is used moves to the young one; when that is full the
 * old one goes. So memory is bounded, a hot row stays, and a hit costs one look-up. Only flushed
 * rows may go, so a generation is turned at a flush alone.
 */

import type { RangeOptions, Row, RowKind } from "./group.ts";
import { endOfPrefix, rowKey, splitRowKey, toBytes, toLatin1 } from "./row-key.ts";
import type { Store } from "./store.ts";
import { decodeRow } from "./store-fault.ts";

/**
 * Of one generation, of two. A process has some 20 tasks, and decoded rows take twice what they
 * weigh here: 40 MB in all.
 */
const GENERATION_BYTES = 512 * 1024;
/** What a decoded row weighs beside its value's bytes; a new one's count from its flush on. */
const ROW_OVERHEAD_BYTES = 500;

interface Entry {
  readonly kind: RowKind<unknown>;
  /** Null: there is no such row. */
  value: unknown;
  /** Set since the last commit. */
  isChanged: boolean;
  /** Set since the last flush. */
  isUnflushed: boolean;
  /** Of the value as last read or flushed; 0 while there is none. */
  bytes: number;
}

export type EncodedRow = readonly [key: string, value: Uint8Array | null];

export class TaskRows {
  private young = new Map<string, Entry>();
  private old = new Map<string, Entry>();
  private youngBytes = 0;
  private changed: [string, Entry][] = [];
  private unflushed: [string, Entry][] = [];
  /** The engine's own rows: since the last commit, and since the last flush. */
  private changedOnce: EncodedRow[] = [];
  private unflushedOnce = new Map<string, Uint8Array>();
  /** Unflushed rows with sub-keys by their key and kind: what a range must look at. */
  private readonly unflushedRanges = new Map<string, Map<string, Entry>>();

  private readonly generationBytes: number;

  /** `generationBytes`: for tests of a small cache. */
  constructor(
    private readonly store: Store,
    options: { readonly generationBytes?: number } = {},
  ) {
    this.generationBytes = options.generationBytes ?? GENERATION_BYTES;
  }

  get<R>(prefix: string, kind: RowKind<R>, subKey?: Uint8Array): R | null {
    return this.entry(rowKey(prefix, kind.tag, subKey), kind).value as R | null;
  }

  /** Null deletes the row. */
  set<R>(prefix: string, kind: RowKind<R>, value: R | null, subKey?: Uint8Array): void {
    const key = rowKey(prefix, kind.tag, subKey);
    let entry = this.young.get(key);
    if (entry === undefined) {
      entry = this.old.get(key) ?? newEntry(kind, null, 0);
      this.keep(key, entry);
    }
    entry.value = value;
    if (!entry.isChanged) {
      entry.isChanged = true;
      this.changed.push([key, entry]);
    }
    if (!entry.isUnflushed) {
      entry.isUnflushed = true;
      this.unflushed.push([key, entry]);
    }
    if (subKey !== undefined && subKey.length > 0) this.indexForRange(prefix, key, entry);
  }

  /** A row of the engine's own, which is written once and never changed; null when not there. */
  getOnce(key: string): Uint8Array | null {
    return this.unflushedOnce.get(key) ?? this.store.get(key);
  }

  /**
   * Adds a row of the engine's own. It passes the cache by: there are as many as records, and
   * each is looked for about once.
   */
  setOnce(key: string, value: Uint8Array): void {
    this.unflushedOnce.set(key, value);
    this.changedOnce.push([key, value]);
  }

  range<R>(prefix: string, kind: RowKind<R>, options: RangeOptions = {}): Row<R>[] {
    const { isReverse = false, limit = -1 } = options;
    const kindPrefix = rowKey(prefix, kind.tag, undefined);
    const from = rowKey(prefix, kind.tag, options.from);
    const to =
      options.to === undefined ? endOfPrefix(kindPrefix) : rowKey(prefix, kind.tag, options.to);
    const hidden = this.unflushedIn(kindPrefix, from, to);
    // Rows of the store may be deleted here, so ask for as many more.
    const deleted = hidden.filter(([, entry]) => entry.value === null).length;
    const asked = limit < 0 ? -1 : limit + deleted;
    const found = new Map<string, R>();
    for (const stored of this.store.range({ from, to, isReverse, limit: asked })) {
      const text = toLatin1(stored.key);
      const entry = this.young.get(text) ?? this.old.get(text);
      const value = () => decodeRow(this.store.path, kind.codec, stored.value);
      found.set(text, entry === undefined ? value() : (entry.value as R));
    }
    if (hidden.length > 0) mergeUnflushed(found, hidden, isReverse);
    const rows: Row<R>[] = [];
    for (const [key, value] of found) {
      if (rows.length === limit) break;
      rows.push({ subKey: splitRowKey(toBytes(key)).subKey, value });
    }
    return rows;
  }

  /**
   * What was set since the last commit, encoded; for a log that keeps changelogs. The engine's own
   * rows first, in the order in which they were set.
   */
  encodeChanged(): EncodedRow[] {
    return [...this.changedOnce, ...this.changed.map(([key, entry]) => encode(key, entry))];
  }

  /** The batch is committed: its rows stay. */
  committed(): void {
    for (const [, entry] of this.changed) entry.isChanged = false;
    this.changed = [];
    this.changedOnce = [];
  }

  /** Decoded rows that wait for a flush, which is what they cost in memory. */
  get unflushedRows(): number {
    return this.unflushed.length;
  }

  /** Hands what is to be stored to `apply`, and forgets old cached rows when it has succeeded. */
  flush(apply: (rows: EncodedRow[]) => void): void {
    const rows = this.unflushed.map(([key, entry]) => encode(key, entry));
    apply([...rows, ...inKeyOrder(this.unflushedOnce)]);
    this.unflushed.forEach(([, entry], index) => {
      const bytes = rows[index]?.[1]?.length ?? 0;
      this.youngBytes += bytes - entry.bytes;
      entry.bytes = bytes;
      entry.isUnflushed = false;
    });
    this.unflushed = [];
    this.unflushedOnce = new Map();
    this.unflushedRanges.clear();
    this.turn();
  }

  /** Drops everything: the next read finds what the store has. */
  reset(): void {
    this.young = new Map();
    this.old = new Map();
    this.youngBytes = 0;
    this.changed = [];
    this.changedOnce = [];
    this.unflushed = [];
    this.unflushedOnce = new Map();
    this.unflushedRanges.clear();
  }

  private entry(key: string, kind: RowKind<unknown>): Entry {
    const hit = this.young.get(key);
    if (hit !== undefined) return hit;
    const old = this.old.get(key);
    if (old !== undefined) {
      this.keep(key, old);
      return old;
    }
    const bytes = this.store.get(key);
    const value = bytes === null ? null : decodeRow(this.store.path, kind.codec, bytes);
    const entry = newEntry(kind, value, bytes?.length ?? 0);
    this.keep(key, entry);
    return entry;
  }

  private keep(key: string, entry: Entry): void {
    this.young.set(key, entry);
    this.youngBytes += ROW_OVERHEAD_BYTES + entry.bytes;
  }

  private turn(): void {
    if (this.youngBytes < this.generationBytes) return;
    this.old = this.young;
    this.young = new Map();
    this.youngBytes = 0;
  }

  /** Unflushed rows with keys in [from, to), all of one key and kind. */
  private unflushedIn(kindPrefix: string, from: string, to: string): [string, Entry][] {
    const rows = [...(this.unflushedRanges.get(kindPrefix) ?? [])];
    // The row without a sub-key is most kinds' only one: it is looked for here, not indexed.
    const single = this.young.get(kindPrefix);
    if (single?.isUnflushed === true) rows.push([kindPrefix, single]);
    return rows.filter(([key]) => key >= from && key < to);
  }

  private indexForRange(prefix: string, key: string, entry: Entry): void {
    const kindPrefix = rowKey(prefix, entry.kind.tag, undefined);
    let rows = this.unflushedRanges.get(kindPrefix);
    if (rows === undefined) {
      rows = new Map();
      this.unflushedRanges.set(kindPrefix, rows);
    }
    rows.set(key, entry);
  }
}

function newEntry(kind: RowKind<unknown>, value: unknown, bytes: number): Entry {
  return { kind, value, isChanged: false, isUnflushed: false, bytes };
}

function encode(key: string, { kind, value }: Entry): EncodedRow {
  try {
    return [key, value === null ? null : kind.codec.encode(value)];
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`a row "${kind.name}" cannot be encoded: ${reason}`, { cause });
  }
}

/** Neighbours share a page of the store: it is met once then, however small the store's cache. */
function inKeyOrder(rows: ReadonlyMap<string, Uint8Array>): EncodedRow[] {
  return [...rows.keys()].sort().map((key) => [key, rows.get(key) as Uint8Array]);
}

function mergeUnflushed<R>(
  found: Map<string, R>,
  hidden: readonly (readonly [string, Entry])[],
  isReverse: boolean,
): void {
  for (const [key, { value }] of hidden) {
    if (value === null) found.delete(key);
    else found.set(key, value as R);
  }
  const sorted = [...found].sort(([a], [b]) => (a < b ? -1 : 1));
  found.clear();
  for (const [key, value] of isReverse ? sorted.reverse() : sorted) found.set(key, value);
}
