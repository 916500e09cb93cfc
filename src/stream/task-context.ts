/**
 * What a task's callbacks work with: the rows of the record in hand and of the partition itself,
 * and the way out.
 *
 *   callback ──get, set──> TaskRows        ──emit──> outputs, in the partition of their key
 */

import { MAX_RECORD_BYTES, type NewRecord } from "../log/event-log.ts";
import type {
  Context,
  Group,
  RangeOptions,
  RecordInfo,
  RowKind,
  RowReader,
  Stream,
} from "./group.ts";
import { partitionOf } from "./partitioner.ts";
import { keyPrefix } from "./row-key.ts";
import { StreamError } from "./stream-error.ts";
import type { TaskRows } from "./task-rows.ts";

/** Of the partition's own rows, and of records without a key. */
export const NO_KEY_PREFIX = keyPrefix(new Uint8Array());

const encoder = new TextEncoder();

export class TaskContext implements Context {
  private current: RecordInfo | null = null;
  private prefix = "";
  private key: Uint8Array = new Uint8Array();
  /** What was derived from the partition's own rows last, and by which function. */
  private derivedBy: unknown = null;
  private derived: unknown = null;
  private readonly ownRows: RowReader;
  private readonly outputs: ReadonlySet<Stream<unknown>>;
  private readonly kinds: ReadonlySet<RowKind<unknown>>;

  constructor(
    private readonly options: {
      readonly group: Group;
      readonly rows: TaskRows;
      readonly partitions: number;
      readonly emit: (record: NewRecord) => void;
      readonly count: (name: string) => void;
    },
  ) {
    this.outputs = new Set(options.group.outputs);
    this.kinds = new Set(options.group.rows);
    this.ownRows = {
      get: (kind, subKey) => {
        this.check(kind);
        return options.rows.get(NO_KEY_PREFIX, kind, subKey);
      },
      range: (kind, range) => {
        this.check(kind);
        return options.rows.range(NO_KEY_PREFIX, kind, range);
      },
    };
  }

  ofPartition<T>(derive: (rows: RowReader) => T): T {
    if (this.derivedBy !== derive) {
      this.derived = derive(this.ownRows);
      this.derivedBy = derive;
    }
    return this.derived as T;
  }

  /** The partition's own rows may have changed. */
  forget(): void {
    this.derivedBy = null;
  }

  enter(record: RecordInfo, prefix: string, key: Uint8Array): void {
    this.current = record;
    this.prefix = prefix;
    this.key = key;
  }

  get record(): RecordInfo {
    return this.current as RecordInfo;
  }

  get<R>(kind: RowKind<R>, subKey?: Uint8Array): R | null {
    this.check(kind);
    return this.options.rows.get(this.prefix, kind, subKey);
  }

  range<R>(kind: RowKind<R>, options?: RangeOptions) {
    this.check(kind);
    return this.options.rows.range(this.prefix, kind, options);
  }

  set<R>(kind: RowKind<R>, value: R, subKey?: Uint8Array): void {
    this.check(kind);
    this.options.rows.set(this.prefix, kind, value, subKey);
  }

  delete<R>(kind: RowKind<R>, subKey?: Uint8Array): void {
    this.check(kind);
    this.options.rows.set(this.prefix, kind, null, subKey);
  }

  count(name: string): void {
    this.options.count(name);
  }

  emit<M>(stream: Stream<M>, key: string, message: M): void {
    if (!this.outputs.has(stream)) {
      throw new StreamError(
        "undeclared",
        `${this.options.group.name} emits to ${stream.topic}: declare it among its outputs`,
      );
    }
    // Most messages go on under the key they came with.
    const bytes = key === this.record.key ? this.key : encoder.encode(key);
    const value = stream.codec.encode(message);
    const size = bytes.length + value.length;
    if (size > MAX_RECORD_BYTES) {
      throw new RangeError(
        `a message of ${size} bytes for ${stream.topic} is over the limit of ${MAX_RECORD_BYTES}`,
      );
    }
    const partition = partitionOf(bytes, this.options.partitions);
    this.options.emit({ topic: stream.topic, partition, key: bytes, value });
  }

  private check(kind: RowKind<unknown>): void {
    if (this.kinds.has(kind)) return;
    throw new StreamError(
      "undeclared",
      `${this.options.group.name} touches rows "${kind.name}": declare them among its rows`,
    );
  }
}
