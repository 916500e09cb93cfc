/**
 * A group: a named processor definition. It says which streams come in, which go out, what a row
 * of its table looks like, and what to do with each message; it holds no state itself.
 *
 *   input record ──codec──> callback(context, message) ──> get / set rows, emit messages
 *
 * The model is goka's group graph; deliberate differences: rows have kinds and sub-keys with
 * range reads, and ids are counted once by the engine (`unique`).
 */

import type { Codec } from "./codec.ts";

/** A topic of messages of one type. */
export interface Stream<M> {
  readonly topic: string;
  readonly codec: Codec<M>;
  /**
   * Null when the message is good; otherwise why not, for the dead letter. Called for every
   * record by every group that reads the stream: whatever wrote it, a callback sees only what
   * passed. Must depend on its arguments alone.
   */
  validate(message: M, record: RecordInfo): string | null;
}

/** What the engine tells of the record in hand. */
export interface RecordInfo {
  /** The record's key as UTF-8 text; a key that is no UTF-8 never gets this far. */
  readonly key: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  /** When the log took the record, Unix milliseconds. */
  readonly timestampMs: number;
  /** The record's id, unique for its key; null when the client gave none. */
  readonly id: string | null;
}

/**
 * One kind of row of a group's table. A row is found by the record's key, its kind, and a sub-key
 * (empty for the one row of its kind that a key has).
 */
export interface RowKind<R> {
  /** For messages and inspection. */
  readonly name: string;
  /** 1 to 254, unique in the group, never given to another kind: it stands in stored keys. */
  readonly tag: number;
  readonly codec: Codec<R>;
}

export interface Row<R> {
  readonly subKey: Uint8Array;
  readonly value: R;
}

/** Bounds are sub-keys, compared as unsigned bytes. */
export interface RangeOptions {
  /** Inclusive; the first when left out. */
  readonly from?: Uint8Array;
  /** Exclusive; past the last when left out. */
  readonly to?: Uint8Array;
  /** From the end downwards. */
  readonly isReverse?: boolean;
  /** At most so many rows; all when left out. */
  readonly limit?: number;
}

/** Reads one key's rows. */
export interface RowReader {
  /** Null when there is no such row. The value is shared: do not change it. */
  get<R>(kind: RowKind<R>, subKey?: Uint8Array): R | null;
  /** Rows of the kind with sub-keys in the bounds, in order. Values are shared. */
  range<R>(kind: RowKind<R>, options?: RangeOptions): Row<R>[];
}

/**
 * What a callback works with: the rows of the record's key, and the way out. Everything it does
 * becomes visible together, when the batch is committed, or not at all. It must depend on the
 * record and on its rows alone (no clock, no chance, no input or output), for a store is rebuilt
 * by running it again. A throw stops the partition at this record.
 */
export interface Context extends RowReader {
  readonly record: RecordInfo;
  /** The value belongs to the table from here on: do not change it afterwards. */
  set<R>(kind: RowKind<R>, value: R, subKey?: Uint8Array): void;
  delete<R>(kind: RowKind<R>, subKey?: Uint8Array): void;
  /** One more of what the group declares among its counts: a sum of the partition, for good. */
  count(name: string): void;
  /** To a stream that the group declares as output. Throws on what is too large for a record. */
  emit<M>(stream: Stream<M>, key: string, message: M): void;
  /**
   * What follows from the partition's own rows, those that controls set. It is derived again only
   * when they may have changed: give the same function each time.
   */
  ofPartition<T>(derive: (rows: RowReader) => T): T;
}

/** What a group does with the control records of an input (control.ts). */
export interface Control<C> {
  /** As the record's header has it. */
  readonly name: string;
  readonly codec: Codec<C>;
  /**
   * The context's rows are the partition's own, under the empty key: give them kinds that no key's
   * rows have. Null when it is taken, or changes nothing; otherwise why not, for the dead letter:
   * then nothing may have been set or emitted.
   */
  apply(context: Context, message: C): string | null;
}

export interface Input<M> {
  readonly stream: Stream<M>;
  callback(context: Context, message: M): void;
  /**
   * Given: a record with an id is counted once for its key, for good. The text tells two records
   * with one id apart: the same text is a repeat and is skipped, another one goes to the dead
   * letters as `id_conflict`. Keep it short: it is stored with every id.
   */
  fingerprint?(message: M): string;
  /** Left out: the stream's control records are passed by. */
  readonly control?: Control<unknown>;
}

export interface Group {
  /** 1 to 100 characters of [a-z0-9_-]. Names table, changelog and dead letters. */
  readonly name: string;
  readonly inputs: readonly Input<unknown>[];
  readonly outputs: readonly Stream<unknown>[];
  readonly rows: readonly RowKind<unknown>[];
  /**
   * Names of what callbacks count, for whoever watches: the sums stand in each partition's
   * progress, and no callback reads them. The engine counts `dead_letters` and `repeats` itself.
   */
  readonly counts: readonly string[];
}

/** What the engine counts of every group. */
export const ENGINE_COUNTS = ["dead_letters", "repeats"] as const;

/** Checks a definition. Throws an Error that names what is wrong with it. */
export function defineGroup(group: {
  readonly name: string;
  readonly inputs: readonly Input<unknown>[];
  readonly outputs?: readonly Stream<unknown>[];
  readonly rows: readonly RowKind<unknown>[];
  readonly counts?: readonly string[];
}): Group {
  if (!/^[a-z0-9_-]{1,100}$/.test(group.name)) {
    throw new Error(`group name "${group.name}" must be 1 to 100 of a-z, 0-9, _ and -`);
  }
  if (group.inputs.length === 0) throw new Error(`group ${group.name} has no input`);
  const topics = new Set<string>();
  for (const { stream } of group.inputs) {
    if (topics.has(stream.topic)) {
      throw new Error(`group ${group.name} takes ${stream.topic} twice: use one callback for both`);
    }
    topics.add(stream.topic);
  }
  const tags = new Set<number>();
  for (const { name, tag } of group.rows) {
    if (!Number.isInteger(tag) || tag < 1 || tag > 254 || tags.has(tag)) {
      throw new Error(`group ${group.name}: row kind ${name} needs a tag of its own, 1 to 254`);
    }
    tags.add(tag);
  }
  const { outputs = [], counts = [] } = group;
  const taken = counts.find((name) => ENGINE_COUNTS.some((each) => each === name));
  if (taken !== undefined) {
    throw new Error(`group ${group.name}: the engine counts ${taken} itself`);
  }
  return { ...group, outputs, counts };
}

/** Pairs a stream with the callback for its messages, so that their types agree. */
export function input<M>(
  stream: Stream<M>,
  callback: (context: Context, message: M) => void,
  options: {
    readonly fingerprint?: (message: M) => string;
    readonly control?: Control<unknown>;
  } = {},
): Input<M> {
  return { stream, callback, ...options };
}

/** Pairs a control's codec with what is done, so that their types agree. */
export function control<C>(definition: Control<C>): Control<unknown> {
  return definition as Control<unknown>;
}

export function tableName(group: { readonly name: string }): string {
  return `${group.name}-table`;
}

export function deadLetterTopic(group: { readonly name: string }): string {
  return `${group.name}-dead-letters`;
}
