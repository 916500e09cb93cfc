/**
 * Runs a group's callbacks over records, one after the other.
 *
 *   record ──for this group? partition? decodable? valid? id counted?──> callback ──> rows, outputs
 *     │           └── no: passed by, dead letter, or skipped as a repeat
 *     └── control: the input's `apply` ──> the partition's own rows
 */

import type { Counts, LogRecord, NewRecord } from "../log/event-log.ts";
import { controlOf } from "./control.ts";
import { type DeadLetterReason, toDeadLetter } from "./dead-letter.ts";
import { isFor } from "./for-group.ts";
import type { Group, Input, RecordInfo } from "./group.ts";
import { ID_HEADER, idCodec, idRowKey } from "./ids.ts";
import { partitionOf } from "./partitioner.ts";
import { formatPosition } from "./position.ts";
import { keyPrefix, MAX_KEY_BYTES, toLatin1 } from "./row-key.ts";
import { isStoreFault } from "./store-fault.ts";
import { StreamError } from "./stream-error.ts";
import { NO_KEY_PREFIX, TaskContext } from "./task-context.ts";
import type { TaskRows } from "./task-rows.ts";

const strictText = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export interface RunFailure {
  /** Of the record that failed; those before it are run, those behind it not. */
  readonly index: number;
  readonly error: Error;
}

export interface Refusal {
  readonly reason: DeadLetterReason;
  readonly detail: string;
}

export class RecordRunner {
  deadLetters = 0;
  repeats = 0;
  private taken = { deadLetters: 0, repeats: 0 };
  private outputs: NewRecord[] = [];
  /** By the callbacks, since `takeCounts`. */
  private counts: Record<string, number>;
  private readonly inputs: ReadonlyMap<string, Input<unknown>>;
  private readonly context: TaskContext;

  constructor(
    private readonly options: {
      readonly group: Group;
      readonly partition: number;
      readonly partitions: number;
      readonly rows: TaskRows;
    },
  ) {
    const { group, rows, partitions } = options;
    this.inputs = new Map(group.inputs.map((each) => [each.stream.topic, each]));
    const emit = (record: NewRecord) => this.outputs.push(record);
    this.counts = noCounts(group);
    const count = (name: string) => this.count(name);
    this.context = new TaskContext({ group, rows, partitions, emit, count });
  }

  /** Null when all went well. Throws what the store throws: it is no fault of a record. */
  run(records: readonly LogRecord[]): RunFailure | null {
    for (let index = 0; index < records.length; index += 1) {
      try {
        this.runOne(records[index] as LogRecord);
      } catch (error) {
        if (isStoreFault(error)) throw error;
        return { index, error: error instanceof Error ? error : new Error(String(error)) };
      }
    }
    return null;
  }

  /** What the records since the last call wrote, dead letters included, and counted. */
  takeEffects(): { readonly outputs: readonly NewRecord[]; readonly counts: Counts } {
    const { outputs, deadLetters, repeats, taken } = this;
    const counts = {
      ...this.counts,
      dead_letters: deadLetters - taken.deadLetters,
      repeats: repeats - taken.repeats,
    };
    this.outputs = [];
    this.counts = noCounts(this.options.group);
    this.taken = { deadLetters, repeats };
    return { outputs, counts };
  }

  /** Forgets what the records since `takeEffects` wrote and counted. */
  discard(): void {
    this.outputs = [];
    this.counts = noCounts(this.options.group);
    Object.assign(this, this.taken);
    this.context.forget(); // rows may have been dropped with them
  }

  private count(name: string): void {
    const counted = this.counts[name];
    if (counted !== undefined) this.counts[name] = counted + 1;
    else {
      const what = `${this.options.group.name} counts ${name}: declare it among its counts`;
      throw new StreamError("undeclared", what);
    }
  }

  private runOne(record: LogRecord): void {
    const input = this.inputs.get(record.topic);
    if (input === undefined) throw new Error(`no input for topic ${record.topic}`);
    if (record.headers.length > 0 && !isFor(this.options.group, record.headers)) return;
    if (record.key.length === 0) {
      const name = controlOf(record);
      if (name !== null) return this.takeControl(record, input, name);
    }
    if (partitionOf(record.key, this.options.partitions) !== this.options.partition) {
      const home = partitionOf(record.key, this.options.partitions);
      return this.refuse(record, {
        reason: "wrong_partition",
        detail: `its key belongs to partition ${home}`,
      });
    }
    const decoded = decodeRecord(record, input);
    if ("reason" in decoded) return this.refuse(record, decoded);
    const { info, message } = decoded;
    const problem = input.stream.validate(message, info);
    if (problem !== null) return this.refuse(record, { reason: "invalid_record", detail: problem });
    const prefix = keyPrefix(record.key);
    if (info.id !== null && input.fingerprint !== undefined) {
      const isNew = this.countId(record, prefix, info.id, input.fingerprint(message));
      if (!isNew) return;
    }
    this.context.enter(info, prefix, record.key);
    const result: unknown = input.callback(this.context, message);
    if (result instanceof Promise) {
      // After its first await it would work on another record's rows.
      result.catch(() => {}); // this throw is what stops the partition
      throw new StreamError("undeclared", "a callback must not be async: it has nothing to await");
    }
  }

  /** It stands in every partition: its key, which it has not, belongs to none. */
  private takeControl(record: LogRecord, { control }: Input<unknown>, name: string): void {
    if (control === undefined) return;
    const refusal = this.controlRefusal(record, control, name);
    if (refusal !== null) this.refuse(record, refusal);
  }

  private controlRefusal(
    record: LogRecord,
    control: NonNullable<Input<unknown>["control"]>,
    name: string,
  ): Refusal | null {
    let message: unknown;
    try {
      if (name !== control.name) throw new Error(`a control "${name}" is not known`);
      if (record.value === null) throw new Error("a tombstone");
      message = control.codec.decode(record.value);
    } catch (error) {
      return { reason: "undecodable", detail: (error as Error).message };
    }
    const { topic, partition, offset, timestampMs } = record;
    const info = { key: "", topic, partition, offset, timestampMs, id: null };
    this.context.enter(info, NO_KEY_PREFIX, record.key);
    const problem = control.apply(this.context, message);
    this.context.forget();
    return problem === null ? null : { reason: "invalid_record", detail: problem };
  }

  /** True for the first record with the id. */
  private countId(record: LogRecord, prefix: string, id: string, fingerprint: string): boolean {
    const { rows } = this.options;
    const key = idRowKey(prefix, record.topic, id);
    const known = rows.getOnce(key);
    if (known === null) {
      rows.setOnce(key, idCodec.encode({ offset: record.offset, fingerprint }));
      return true;
    }
    const first = idCodec.decode(known);
    if (first.fingerprint === fingerprint) {
      this.repeats += 1;
      return false;
    }
    const { partition, offset } = record;
    const place = formatPosition({ partition, offset: first.offset });
    this.refuse(record, {
      reason: "id_conflict",
      detail:
        `id "${id}" was counted at ${place} with ${first.fingerprint}; ` +
        `${formatPosition({ partition, offset })} has ${fingerprint}`,
    });
    return false;
  }

  private refuse(record: LogRecord, refusal: Refusal): void {
    this.deadLetters += 1;
    this.outputs.push(toDeadLetter(this.options.group, record, refusal));
  }
}

function noCounts({ counts }: Group): Record<string, number> {
  return Object.fromEntries(counts.map((name) => [name, 0]));
}

/** The record's message and what is told of it; not validated yet. */
export function decodeRecord(
  record: LogRecord,
  input: Input<unknown>,
): Refusal | { info: RecordInfo; message: unknown } {
  try {
    if (record.value === null) throw new Error("a tombstone");
    if (record.key.length > MAX_KEY_BYTES) throw new Error(`a key of ${record.key.length} bytes`);
    const message = input.stream.codec.decode(record.value);
    const { topic, partition, offset, timestampMs } = record;
    const id = record.headers.length === 0 ? null : idOf(record);
    const info = { key: text(record.key), topic, partition, offset, timestampMs, id };
    return { info, message };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return { reason: "undecodable", detail };
  }
}

function idOf(record: LogRecord): string | null {
  const header = record.headers.find(([name]) => name === ID_HEADER);
  return header === undefined ? null : text(header[1]);
}

/** Throws on bytes that are no UTF-8. */
function text(bytes: Uint8Array): string {
  const latin1 = toLatin1(bytes);
  return ASCII.test(latin1) ? latin1 : strictText.decode(bytes);
}

/** What nearly every key and id is: its text without a decoder's cost. */
const ASCII = /^[\0-\x7f]*$/;
