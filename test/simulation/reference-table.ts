/**
 * What one partition of a group must become: its inputs folded one by one, in the log's order,
 * with nothing of the engine between: no tasks, batches, caches, stores or commits.
 *
 *   durable record ──for it? refused? counted?──> callback ──> rows (history), outputs, letters
 *
 * Refusals and ids are decided here a second time, by their published words. The callbacks are the
 * groups' own; what the detector's must say, an oracle knows (deposit-oracle.ts).
 */

import type { LogRecord } from "../../src/log/event-log.ts";
import {
  type Context,
  deadLetterTopic,
  type Group,
  type Input,
  type RangeOptions,
  type RecordInfo,
  type Row,
  type RowKind,
  type RowReader,
  type Stream,
} from "../../src/stream/group.ts";
import { idCodec, idRowKey } from "../../src/stream/ids.ts";
import { partitionOf } from "../../src/stream/partitioner.ts";
import { endOfPrefix, keyPrefix, rowKey, splitRowKey, toBytes } from "../../src/stream/row-key.ts";
import { RowHistory } from "./row-history.ts";

/** What a commit that takes the record must write, in this order. */
export interface ExpectedOutput {
  /** Of the record that causes it. */
  readonly offset: number;
  readonly topic: string;
  readonly partition: number;
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
  /** Of a dead letter; null for a message. */
  readonly reason: string | null;
}

interface Entry {
  readonly kind: RowKind<unknown>;
  value: unknown;
}

const encoder = new TextEncoder();

export class ReferenceTable {
  readonly history = new RowHistory();
  readonly outputs: ExpectedOutput[] = [];
  /** Behind the last record that was folded. */
  next = 0;
  private readonly rows = new Map<string, Entry>();
  private readonly ids = new Map<string, string>();
  private readonly inputs: Map<string, Input<unknown>>;
  /** Those that controls have set. */
  private readonly ownRows: RowReader = {
    get: (kind, subKey) => this.row("", kind, subKey),
    range: (kind, options) => this.range(keyPrefix(new Uint8Array()), kind, options),
  };

  constructor(
    private readonly options: {
      readonly group: Group;
      readonly partition: number;
      readonly partitions: number;
      /** Told of each message that a callback took. */
      readonly onTaken: (record: RecordInfo, message: unknown, emitted: readonly unknown[]) => void;
    },
  ) {
    this.inputs = new Map(options.group.inputs.map((input) => [input.stream.topic, input]));
  }

  fold(record: LogRecord): void {
    this.next = Number(record.offset) + 1;
    const { group, partition, partitions, onTaken } = this.options;
    const input = this.inputs.get(record.topic);
    if (input === undefined) throw new Error(`${group.name} does not read ${record.topic}`);
    const names = record.headers.filter(([name]) => name === "for-group");
    if (names.length > 0 && !names.some(([, value]) => String(Buffer.from(value)) === group.name)) {
      return;
    }
    if (record.key.length === 0) {
      const name = record.headers.find(([each]) => each === "control")?.[1];
      if (name !== undefined) return this.foldControl(record, input, Buffer.from(name).toString());
    }
    if (partitionOf(record.key, partitions) !== partition) {
      return this.refuse(record, "wrong_partition");
    }
    const message = decoded(input.stream, record);
    if (message === null) return this.refuse(record, "undecodable");
    const id = record.headers.find(([name]) => name === "id")?.[1] ?? null;
    const info: RecordInfo = {
      ...{ topic: record.topic, partition, offset: record.offset },
      key: Buffer.from(record.key).toString(),
      timestampMs: record.timestampMs,
      id: id === null ? null : Buffer.from(id).toString(),
    };
    if (input.stream.validate(message, info) !== null) {
      return this.refuse(record, "invalid_record");
    }
    if (info.id !== null && input.fingerprint !== undefined) {
      const fingerprint = input.fingerprint(message);
      const name = `${info.key}\0${record.topic}\0${info.id}`;
      const known = this.ids.get(name);
      if (known === fingerprint) return;
      if (known !== undefined) return this.refuse(record, "id_conflict");
      this.ids.set(name, fingerprint);
      const key = idRowKey(keyPrefix(record.key), record.topic, info.id);
      const row = idCodec.encode({ offset: record.offset, fingerprint });
      this.history.put(Number(record.offset), key, row);
    }
    const emitted = this.call(record, (context) => input.callback(context, message), info);
    onTaken(info, message, emitted);
  }

  private foldControl(record: LogRecord, { control }: Input<unknown>, name: string): void {
    if (control === undefined) return;
    const message = name === control.name ? decoded(control, record) : null;
    if (message === null) return this.refuse(record, "undecodable");
    const { topic, partition, offset, timestampMs } = record;
    const info: RecordInfo = { topic, partition, offset, key: "", timestampMs, id: null };
    let problem: string | null = null;
    const apply = (context: Context) => void (problem = control.apply(context, message));
    this.call(record, apply, info);
    if (problem !== null) return this.refuse(record, "invalid_record");
    this.options.onTaken(info, message, []);
  }

  /** The outputs of records in [from, to). */
  outputsBetween(from: number, to: number): ExpectedOutput[] {
    let index = this.outputs.length;
    while (index > 0 && (this.outputs[index - 1] as ExpectedOutput).offset >= from) index -= 1;
    return this.outputs.slice(index).filter(({ offset }) => offset < to);
  }

  /** As it is at the end of what was folded. */
  row<R>(key: string, kind: RowKind<R>, subKey?: Uint8Array): R | null {
    const stored = rowKey(keyPrefix(encoder.encode(key)), kind.tag, subKey);
    return (this.rows.get(stored)?.value ?? null) as R | null;
  }

  private call(
    { key, offset }: LogRecord,
    run: (context: Context) => void,
    info: RecordInfo,
  ): unknown[] {
    const prefix = keyPrefix(key);
    const changed = new Map<string, Entry>();
    const emitted: unknown[] = [];
    const set = (kind: RowKind<unknown>, value: unknown, subKey?: Uint8Array) => {
      const entry = { kind, value };
      const stored = rowKey(prefix, kind.tag, subKey);
      changed.set(stored, entry);
      if (value === null) this.rows.delete(stored);
      else this.rows.set(stored, entry);
    };
    const context: Context = {
      record: info,
      get: <R>(kind: RowKind<R>, subKey?: Uint8Array) =>
        (this.rows.get(rowKey(prefix, kind.tag, subKey))?.value ?? null) as R | null,
      range: (kind, options) => this.range(prefix, kind, options),
      set: (kind, value, subKey) => set(kind as RowKind<unknown>, value, subKey),
      delete: (kind, subKey) => set(kind as RowKind<unknown>, null, subKey),
      count: () => {},
      ofPartition: (derive) => derive(this.ownRows),
      emit: (stream, to, what) => {
        emitted.push(what);
        const keyBytes = encoder.encode(to);
        this.outputs.push({
          ...{ offset: Number(offset), topic: stream.topic, key: keyBytes, reason: null },
          partition: partitionOf(keyBytes, this.options.partitions),
          value: stream.codec.encode(what),
        });
      },
    };
    run(context);
    for (const [stored, { kind, value }] of changed) {
      this.history.put(Number(offset), stored, value === null ? null : kind.codec.encode(value));
    }
    return emitted;
  }

  private range<R>(prefix: string, kind: RowKind<R>, options: RangeOptions = {}): Row<R>[] {
    const { isReverse = false, limit = Number.POSITIVE_INFINITY } = options;
    const all = rowKey(prefix, kind.tag, undefined);
    const from = rowKey(prefix, kind.tag, options.from);
    const to = options.to === undefined ? endOfPrefix(all) : rowKey(prefix, kind.tag, options.to);
    const keys = [...this.rows.keys()].filter((key) => key >= from && key < to).sort();
    if (isReverse) keys.reverse();
    return keys.slice(0, limit).map((key) => ({
      subKey: splitRowKey(toBytes(key)).subKey,
      value: this.rows.get(key)?.value as R,
    }));
  }

  private refuse(record: LogRecord, reason: string): void {
    this.outputs.push({
      ...{ offset: Number(record.offset), key: record.key, value: record.value, reason },
      topic: deadLetterTopic(this.options.group),
      partition: record.partition,
    });
  }
}

/** Null for what cannot be decoded. */
function decoded({ codec }: Pick<Stream<unknown>, "codec">, record: LogRecord): unknown {
  if (record.value === null) return null;
  try {
    return codec.decode(record.value);
  } catch {
    return null;
  }
}
