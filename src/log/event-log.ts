/**
 * The log port: partitioned, append-only topics of records, and groups whose members claim
 * partitions and commit outputs and progress atomically. Bytes in, bytes out; codecs, keys'
 * partitions and tables live in the engine above (src/stream).
 *
 *   emitter ──append──> topic ──claim.read──> task ──claim.commit──> topics + progress
 *
 * What an adapter promises, test/conformance/ checks. It does NOT promise: an order between
 * partitions, that a refused append leaves no gap in offsets, or that offsets are contiguous
 * (transaction markers and compaction leave gaps): never compute a count from two offsets.
 *
 * Sources: Kafka's producer, consumer and transaction protocol (KIP-98, KIP-447) and goka's
 * processor; the deliberate difference is that progress is a record of its own, written in the
 * same commit, and names the outputs it caused.
 */

/**
 * Header names are ASCII; values are bytes. A name may repeat, and its values keep their order;
 * the order between names is not promised.
 */
export type Headers = readonly (readonly [name: string, value: Uint8Array])[];

export interface TopicSpec {
  /** 1 to 200 characters of [a-zA-Z0-9._-], as Kafka has it. */
  readonly name: string;
  /** 1 to 1,024. Never changes under existing data. */
  readonly partitions: number;
  /** `compact` keeps at least the newest record of each key; `keep` keeps every record. */
  readonly cleanup: "keep" | "compact";
  /** Age after which records may go (`keep`), or tombstones (`compact`). Null: never. */
  readonly retentionMs: number | null;
}

export interface NewRecord {
  readonly topic: string;
  readonly partition: number;
  readonly key: Uint8Array;
  /** Null is a tombstone: on a compacted topic the key is gone with it. */
  readonly value: Uint8Array | null;
  readonly headers?: Headers;
  /**
   * When its writer took it, Unix milliseconds: the record's timestamp is no earlier, although the
   * clock may have stepped back meanwhile. A log whose broker gives the time goes by that alone.
   */
  readonly notBeforeMs?: number;
}

export interface LogRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
  readonly headers: Headers;
  /** When the log took it, Unix milliseconds of the log's clock. Not event time. */
  readonly timestampMs: number;
  /** Unsigned 32-bit; see `recordChecksum`. Verified before a record is handed out. */
  readonly checksum: number;
}

/**
 * The first offset that is there, and the one behind the last that a reader can reach now: an
 * appended record may still stand at or behind `end` for a moment.
 */
export interface Bounds {
  readonly start: bigint;
  readonly end: bigint;
}

/** Where a group stands in one input topic of one partition. */
export interface InputProgress {
  readonly topic: string;
  /** The offset of the last record that was done, plus one: never moved over a gap. */
  readonly nextOffset: bigint;
  /** That record's checksum; null when none was done. Tells a recreated topic. */
  readonly checksum: number | null;
}

/** The newest record that a group's partition wrote to one partition of one output. */
export interface OutputProgress {
  readonly topic: string;
  readonly partition: number;
  readonly lastOffset: bigint;
}

/**
 * What a group has done in one partition. Written with every commit, kept for good, so that lag
 * and "settled" are exact and no committed offset is ever compared with an end offset.
 */
export interface Progress {
  readonly inputs: readonly InputProgress[];
  readonly outputs: readonly OutputProgress[];
  /** The last offset written to the group's changelog; null while there is none. */
  readonly changelogOffset: bigint | null;
  /**
   * What its commits have counted, added up since the first one. Left out: none did, or the first
   * one was made before commits counted, and the sums would not be all.
   */
  readonly counts?: Counts;
}

/** Whole numbers from 0 to 2^53 by name. */
export type Counts = Readonly<Record<string, number>>;

/**
 * What one batch did. A commit always moves the progress: one without `inputs` is a mistake of the
 * caller, even when there is nothing else in it.
 */
export interface Commit {
  /** In the order in which they are to stand in their partitions. */
  readonly outputs: readonly NewRecord[];
  /** Changed rows by key, for a log that keeps changelogs; else left empty by the engine. */
  readonly changelog: readonly { readonly key: Uint8Array; readonly value: Uint8Array | null }[];
  /** The new place in each input that moved. */
  readonly inputs: readonly InputProgress[];
  /** Added to those of the progress. A few names: they are written with every commit. */
  readonly counts?: Counts;
}

/**
 * The exclusive, fenced right of one member to run one partition of a group. Ends by `release`,
 * by `revoked` (the member should finish or drop its batch and release soon), or by fencing. The
 * holder must let the event loop run at least once a second: heartbeats need it.
 */
export interface Claim {
  readonly group: string;
  readonly partition: number;
  /** Grows with every change of owner; stores fence with it. */
  readonly epoch: number;
  /** Progress when claimed, as the last owner left it. Null: the group never ran here. */
  readonly progress: Progress | null;
  /** Fires when the claim is to be given back, or is already lost. */
  readonly revoked: AbortSignal;
  /**
   * The next records after the last read ones, in the order in which the task must take them;
   * waits for the first. Empty only when the claim is revoked or the log is closed.
   * Begins at `progress`. Throws `position_out_of_range`, `topic_changed`, `corrupt`; other
   * partitions are not touched by that. Where changelogs are kept, the order between topics is
   * free.
   */
  read(maxRecords: number): Promise<readonly LogRecord[]>;
  /**
   * Records of the inputs between two progresses (from null: the start), in the order of `read`.
   * Only for a log that keeps no changelogs.
   */
  replay(range: ReplayRange): AsyncIterable<readonly LogRecord[]>;
  /**
   * Outputs, changed rows and progress, atomically and durably; resolves with the new progress.
   * Rejects `fenced` (another owns the partition; no trace is left), `unavailable` (nothing was
   * written; the same commit may be tried again unless `revoked` has fired) or `outcome_unknown`
   * (drop every cached row, claim again, catch the store up), or `topic_changed` (nothing was
   * written: the changelog is not the one that was written to). After `fenced`, `outcome_unknown`
   * and `topic_changed` the claim is over. Others see what was committed soon, not at once; the
   * resolved progress is the truth for the holder. One commit at a time for a claim. A commit
   * without inputs rejects with a TypeError, not with a LogError: nothing was written, and the
   * claim goes on.
   */
  commit(commit: Commit): Promise<Progress>;
  /**
   * Gives the partition back at once; while `join` runs it may come again, to this member too.
   * Idempotent; never throws for a claim that is lost.
   */
  release(): Promise<void>;
}

export interface ReplayRange {
  readonly from: Progress | null;
  readonly to: Progress;
  /** In one batch, at most. */
  readonly maxRecords: number;
}

/** A live or dead member of a group, for status and for commands that stand in for one. */
export interface Owner {
  readonly partition: number;
  /**
   * Human-readable: `pid 123`, or the Kafka member id. Null: nobody owns the partition, or nobody
   * that lives.
   */
  readonly owner: string | null;
}

export interface JoinOptions {
  readonly group: string;
  /** All with the same number of partitions. */
  readonly topics: readonly string[];
  /** Where the group's changed rows go, when the log keeps changelogs. */
  readonly changelog: string;
  readonly signal: AbortSignal;
  /**
   * Claim only what no live member of the group serves, and yield to one that comes. A member
   * killed a moment ago may still count as live.
   */
  readonly standIn?: boolean;
  /**
   * Partitions that this member has no use for may be left alone: asked from time to time, and a
   * hint only. All are wanted when left out.
   */
  readonly wants?: (partition: number) => boolean;
}

export interface EventLog {
  /** New whenever a log is created or restored: a store of another incarnation is not its. */
  readonly incarnation: string;
  /** What was fixed when the log was created, such as the number of partitions. */
  readonly settings: Readonly<Record<string, string>>;
  /** Whether commits keep changed rows, and so how a store is caught up. */
  readonly keepsChangelogs: boolean;

  /** Creates what is missing; throws `topic_mismatch` where a topic is declared otherwise. */
  ensureTopics(specs: readonly TopicSpec[]): Promise<void>;
  /**
   * Resolves with each record's offset, in order, once all are durable; records of one call stand
   * in the order given within a partition. Rejects with nothing written: `busy` (queue full),
   * `unavailable`, `moved`, `record_too_large`, `unknown_topic` (a partition that the topic lacks,
   * too); or
   * `outcome_unknown`, which is also the word where a part of the call was written: a call over
   * several partitions is not promised to be atomic.
   */
  append(records: readonly NewRecord[]): Promise<readonly bigint[]>;
  /**
   * Batches of committed records from `from` on, then waits for more, until the signal fires or
   * the log is closed. An offset that `append` has answered may always be read from. Throws
   * `position_out_of_range`, `topic_changed`, `corrupt`; `closed` when the log is closed before
   * `until`: what was read is then not all.
   */
  read(options: ReadOptions): AsyncIterable<readonly LogRecord[]>;
  bounds(topic: string, partition: number): Promise<Bounds>;
  progress(group: string, partition: number): Promise<Progress | null>;
  /**
   * Yields claims as partitions come to this member, until the signal fires; then revokes them
   * all, waits a while for the holders to release them, and leaves. A claim may be revoked before
   * it is yielded. Waits out a log that cannot be written. Throws `unknown_topic`,
   * `topic_mismatch`; `unavailable` when it cannot be read who runs what.
   */
  join(options: JoinOptions): AsyncIterable<Claim>;
  /**
   * Who owns each partition of a group that ever ran; empty for one that never did. An owner that
   * hangs is told apart only by who has asked before: ask regularly.
   */
  owners(group: string): Promise<readonly Owner[]>;
  /**
   * Calls back soon (within 10 ms on the embedded log) after a commit of any process that may have
   * moved what `progress` or a view shows, or after `notify`; spurious calls are allowed. Returns
   * the way to stop.
   */
  onChange(listener: () => void): () => void;
  /** Tells whoever shares this log's stores that one of them has moved. */
  notify(): void;
  /** A small value that belongs to the log as a whole. */
  meta(key: string): Promise<string | null>;
  setMeta(key: string, value: string): Promise<void>;
  /** Idempotent. What was queued is written or refused first. */
  close(): Promise<void>;
}

export interface ReadOptions {
  readonly topic: string;
  readonly partition: number;
  readonly from: bigint;
  readonly signal?: AbortSignal;
  /** Stop at this offset (exclusive) instead of waiting. */
  readonly until?: bigint;
  /** Records in one batch, at most; 2,048 unless told. */
  readonly maxRecords?: number;
}

export type LogErrorCode =
  /** The bounded queue is full: try again later. Nothing was written. */
  | "busy"
  /** The log cannot be written now. Nothing was written. */
  | "unavailable"
  /** It may or may not have been written. */
  | "outcome_unknown"
  /** Another member owns the partition. Nothing was written. */
  | "fenced"
  | "unknown_topic"
  /** A topic exists with another number of partitions, cleanup or retention. */
  | "topic_mismatch"
  /** The topic is not the one that the progress was made on. */
  | "topic_changed"
  | "position_out_of_range"
  | "record_too_large"
  /** Bytes are not what was written. */
  | "corrupt"
  /** No log is there, or not one of this program, format or of these settings. */
  | "not_found"
  | "format_mismatch"
  | "settings_mismatch"
  /** The place cannot hold a log: read-only, a network file system, no permission. */
  | "unusable_place"
  /** The log was moved elsewhere, or is being moved here: the message says where, or what to do. */
  | "moved"
  | "closed";

/** The one error of this layer. The message gives fact, value and what to do. */
export class LogError extends Error {
  override readonly name = "LogError";
  constructor(
    readonly code: LogErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** Bytes of key, value and headers together, at most: Kafka's default limit less its framing. */
export const MAX_RECORD_BYTES = 1_000_000;
