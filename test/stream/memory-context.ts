/**
 * A context over one key's rows in memory, for rules alone: no log, no store, no tasks. It counts
 * what is read, so that a test can say what a rule costs without a clock. Rows go through their
 * codecs when told to, as they do in a store after a restart.
 */

import type {
  Context,
  RangeOptions,
  RecordInfo,
  Row,
  RowKind,
  RowReader,
  Stream,
} from "../../src/stream/group.ts";

export interface Emitted {
  readonly topic: string;
  readonly key: string;
  readonly message: unknown;
}

export interface Reads {
  gets: number;
  ranges: number;
  /** Rows that ranges returned. */
  rangeRows: number;
  sets: number;
  /** Rows read by get or range, by their kind's name. */
  byKind: Record<string, number>;
}

export interface MemoryContext extends Context {
  record: RecordInfo;
  readonly emitted: Emitted[];
  /** The partition's own rows: none unless a test gives some. */
  own: RowReader;
  reads: Reads;
  /** Encodes every row and decodes it again, as a restart does. */
  reload(): void;
  /** All rows as `tag:sub-key` and bytes in hex, sorted; for comparing whole tables. */
  dump(): string[];
}

export function newReads(): Reads {
  return { gets: 0, ranges: 0, rangeRows: 0, sets: 0, byKind: {} };
}

interface Stored {
  readonly kind: RowKind<unknown>;
  readonly subKey: Uint8Array;
  value: unknown;
}

export function memoryContext(key: string): MemoryContext {
  /** By tag, then by sub-key in hex, which sorts as the bytes do while no key prefixes another. */
  const tables = new Map<number, Map<string, Stored>>();
  const emitted: Emitted[] = [];
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
  const table = (kind: RowKind<unknown>): Map<string, Stored> => {
    let rows = tables.get(kind.tag);
    if (rows === undefined) tables.set(kind.tag, (rows = new Map()));
    return rows;
  };
  const context: MemoryContext = {
    record: { key, topic: "test", partition: 0, offset: 0n, timestampMs: 0, id: null },
    emitted,
    own: { get: () => null, range: () => [] },
    reads: newReads(),
    get<R>(kind: RowKind<R>, subKey: Uint8Array = new Uint8Array()): R | null {
      context.reads.gets++;
      const stored = table(kind).get(hex(subKey));
      if (stored !== undefined) noteRead(context.reads, kind);
      return (stored?.value ?? null) as R | null;
    },
    range<R>(kind: RowKind<R>, options: RangeOptions = {}): Row<R>[] {
      context.reads.ranges++;
      const from = options.from === undefined ? "" : hex(options.from);
      const to = options.to === undefined ? "g" : hex(options.to);
      const keys = [...table(kind).keys()].filter((one) => one >= from && one < to).sort();
      if (options.isReverse === true) keys.reverse();
      const found = keys.slice(0, options.limit ?? keys.length);
      context.reads.rangeRows += found.length;
      return found.map((one) => {
        noteRead(context.reads, kind);
        const { subKey, value } = table(kind).get(one) as Stored;
        return { subKey, value: value as R };
      });
    },
    set<R>(kind: RowKind<R>, value: R, subKey: Uint8Array = new Uint8Array()): void {
      context.reads.sets++;
      table(kind).set(hex(subKey), { kind, subKey, value });
    },
    delete<R>(kind: RowKind<R>, subKey: Uint8Array = new Uint8Array()): void {
      table(kind).delete(hex(subKey));
    },
    count(): void {},
    ofPartition: (derive) => derive(context.own),
    emit<M>(stream: Stream<M>, emittedKey: string, message: M): void {
      emitted.push({ topic: stream.topic, key: emittedKey, message });
    },
    reload(): void {
      for (const rows of tables.values()) {
        for (const stored of rows.values()) {
          const bytes = stored.kind.codec.encode(stored.value);
          stored.value = stored.kind.codec.decode(bytes.slice());
        }
      }
    },
    dump(): string[] {
      const lines: string[] = [];
      for (const [tag, rows] of tables) {
        for (const [subKey, { kind, value }] of rows) {
          lines.push(`${tag}:${subKey} ${hex(kind.codec.encode(value))}`);
        }
      }
      return lines.sort();
    },
  };
  return context;
}

function noteRead(reads: Reads, kind: RowKind<unknown>): void {
  reads.byKind[kind.name] = (reads.byKind[kind.name] ?? 0) + 1;
}
