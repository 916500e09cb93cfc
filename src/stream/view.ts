/**
 * A view: read-only access to a group's table from any process.
 *
 *   stores of the group ──read as they are──> rows by key, all rows of a kind, ids, progress
 *
 * On a log whose stores lie on this host a view opens their files: no copy, nothing to load, and
 * what an owner has flushed is seen at once. It never blocks an owner. A store that is not there
 * yet reads as empty; one that was deleted is left for the one that is built in its place. Once it
 * is closed every read throws StreamError `closed`: nobody would close what it opened.
 */

import type { EventLog, Progress } from "../log/event-log.ts";
import {
  type Group,
  type RangeOptions,
  type Row,
  type RowKind,
  type RowReader,
  tableName,
} from "./group.ts";
import { type IdRow, idCodec, idRowKey } from "./ids.ts";
import { partitionOf } from "./partitioner.ts";
import { endOfKey, endOfPrefix, keyPrefix, rowKey, splitRowKey, toLatin1 } from "./row-key.ts";
import type { Store } from "./store.ts";
import type { Stores } from "./stores.ts";
import { decodeRow, isUselessStore } from "./store-fault.ts";
import { StreamError } from "./stream-error.ts";

/** More than the versions that one file can have had. */
const VERSIONS_OF_A_FILE = 2 ** 32;

/** Rows read in one step of a scan, so that a snapshot is short. */
const SCAN_ROWS = 1_024;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NO_KEY = new Uint8Array();

export interface KeyedRow<R> extends Row<R> {
  readonly key: string;
}

export class View {
  private readonly stores: (Store | null)[];
  /** As of the log's last change; undefined: look again. */
  private readonly progresses: (Progress | null | undefined)[];
  /** Whether a store's file stands in its place still, as of the log's last change. */
  private readonly inPlace: boolean[];
  /** How often a store was opened. */
  private readonly openings: number[];
  private readonly stopListening: () => void;
  private isClosed = false;

  constructor(
    private readonly options: {
      readonly log: Pick<EventLog, "onChange">;
      readonly group: Group;
      readonly stores: Stores;
      readonly partitions: number;
      /** Where this process keeps the stores up: as `progress`, or undefined: look there. */
      readonly standing?: (partition: number) => Progress | null | undefined;
      /** Rows read in one step of a scan; for tests of few rows. */
      readonly scanRows?: number;
    },
  ) {
    this.stores = Array.from({ length: options.partitions }, () => null);
    this.progresses = this.stores.map(() => undefined);
    this.inPlace = this.stores.map(() => false);
    this.openings = this.stores.map(() => 0);
    this.stopListening = options.log.onChange(() => {
      this.progresses.fill(undefined);
      this.inPlace.fill(false);
    });
  }

  partitionOf(key: string): number {
    return partitionOf(encoder.encode(key), this.options.partitions);
  }

  /** One row; null when there is none. */
  get<R>(key: string, kind: RowKind<R>, subKey?: Uint8Array): R | null {
    const bytes = encoder.encode(key);
    const store = this.store(partitionOf(bytes, this.options.partitions));
    return decoded(store, rowKey(keyPrefix(bytes), kind.tag, subKey), kind.codec);
  }

  /** Several reads of one key's rows in one snapshot. */
  read<T>(key: string, read: (rows: RowReader) => T): T {
    const bytes = encoder.encode(key);
    const store = this.store(partitionOf(bytes, this.options.partitions));
    const reader = new KeyReader(store, keyPrefix(bytes));
    return store === null ? read(reader) : store.snapshot(() => read(reader));
  }

  /** As `read`, of the rows that belong to a partition itself: those that controls set. */
  readPartition<T>(partition: number, read: (rows: RowReader) => T): T {
    const store = this.store(partition);
    const reader = new KeyReader(store, keyPrefix(NO_KEY));
    return store === null ? read(reader) : store.snapshot(() => read(reader));
  }

  /** What is known of an id of a record of the topic; null when it was never counted. */
  id(key: string, source: { readonly topic: string; readonly id: string }): IdRow | null {
    const bytes = encoder.encode(key);
    const store = this.store(partitionOf(bytes, this.options.partitions));
    return decoded(store, idRowKey(keyPrefix(bytes), source.topic, source.id), idCodec);
  }

  /**
   * All rows of a kind in one partition, by stored key: those of shorter keys first. `after` leaves
   * out that key and all before it, whether it is there or not. Not one snapshot.
   */
  *scan<R>(partition: number, kind: RowKind<R>, after?: string): Generator<KeyedRow<R>> {
    const { scanRows: limit = SCAN_ROWS } = this.options;
    for (let from = after === undefined ? "" : endOfKey(encoder.encode(after)); ; ) {
      const store = this.store(partition);
      if (store === null) return;
      const rows = store.range({ from, to: "\xff\xff\xff", isReverse: false, limit });
      for (const row of rows) {
        const { key, tag, subKey } = splitRowKey(row.key);
        if (tag !== kind.tag) continue;
        const value = decodeRow(store.path, kind.codec, row.value);
        yield { key: decoder.decode(key), subKey, value };
      }
      const last = rows.at(-1);
      if (last === undefined || rows.length < limit) return;
      from = `${toLatin1(last.key)}\0`;
    }
  }

  /**
   * Up to where the rows of a partition are folded, as of the log's last change that was heard of;
   * null when nothing is, also where the store is of no use and its owner builds it anew. Rows read
   * afterwards are at least as new.
   */
  progress(partition: number): Progress | null {
    this.assertOpen();
    const standing = this.options.standing?.(partition);
    if (standing !== undefined) return standing;
    let progress = this.progresses[partition];
    if (progress === undefined) {
      progress = this.foldedUpTo(partition);
      this.progresses[partition] = progress;
    }
    return progress;
  }

  /**
   * Changes whenever another connection has changed the partition's rows; -1 when that can't be
   * told, and nothing may be kept.
   */
  version(partition: number): number {
    const version = this.store(partition)?.version() ?? 0;
    if (version === -1) return version;
    return (this.openings[partition] as number) * VERSIONS_OF_A_FILE + version;
  }

  /** Idempotent. */
  close(): void {
    this.isClosed = true;
    this.stopListening();
    for (const store of this.stores) store?.close();
    this.stores.fill(null);
  }

  /** Whether a partition's store is there, readable or not. */
  hasStore(partition: number): boolean {
    const { group, stores } = this.options;
    return stores.isThere(tableName(group), partition);
  }

  private foldedUpTo(partition: number): Progress | null {
    try {
      return this.store(partition)?.progress() ?? null;
    } catch (error) {
      if (isUselessStore(error)) return null;
      throw error;
    }
  }

  private assertOpen(): void {
    if (!this.isClosed) return;
    const { name } = this.options.group;
    throw new StreamError("closed", `the view of ${name} is closed: open it again`);
  }

  private store(partition: number): Store | null {
    this.assertOpen();
    const open = this.stores[partition] ?? null;
    if (open !== null && (this.inPlace[partition] || !open.isReplaced())) {
      this.inPlace[partition] = true;
      return open;
    }
    open?.close();
    this.stores[partition] = null;
    const { group, stores } = this.options;
    const store = stores.openForReading(tableName(group), partition);
    this.stores[partition] = store;
    if (store !== null) this.openings[partition] = (this.openings[partition] ?? 0) + 1;
    return store;
  }
}

/** Null where there is no such row. */
function decoded<R>(store: Store | null, key: string, codec: RowKind<R>["codec"]): R | null {
  const found = store?.get(key) ?? null;
  return store === null || found === null ? null : decodeRow(store.path, codec, found);
}

class KeyReader implements RowReader {
  constructor(
    private readonly store: Store | null,
    private readonly prefix: string,
  ) {}

  get<R>(kind: RowKind<R>, subKey?: Uint8Array): R | null {
    return decoded(this.store, rowKey(this.prefix, kind.tag, subKey), kind.codec);
  }

  range<R>(kind: RowKind<R>, options: RangeOptions = {}): Row<R>[] {
    const { from, to, isReverse = false, limit = -1 } = options;
    const kindPrefix = rowKey(this.prefix, kind.tag, undefined);
    const { store } = this;
    if (store === null) return [];
    const rows = store.range({
      from: rowKey(this.prefix, kind.tag, from),
      to: to === undefined ? endOfPrefix(kindPrefix) : rowKey(this.prefix, kind.tag, to),
      isReverse,
      limit,
    });
    return rows.map(({ key, value }) => ({
      subKey: splitRowKey(key).subKey,
      value: decodeRow(store.path, kind.codec, value),
    }));
  }
}
