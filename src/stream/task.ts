/**
 * A task: one partition of a group, from its claim to its end.
 *
 *   claim.read ──> callbacks over the rows ──> claim.commit ──> store
 *
 * The commit on the log is the truth; the store follows, at once when the task has caught up with
 * its inputs and in larger steps while it is behind. Before the first batch the store is brought
 * from where it stands to the claim's progress (catch-up.ts).
 *
 * After Kafka Streams' StreamTask; the deliberate difference is that outputs, changed rows and
 * positions are one commit of the log port, and that a store is never ahead of it.
 */

import { getLogger } from "@logtape/logtape";
import type { Claim, EventLog, LogRecord, NewRecord, Progress } from "../log/event-log.ts";
import { LogError } from "../log/event-log.ts";
import { catchUp, nextTurn, sliceAt } from "./catch-up.ts";
import { nameChangelog, resetIfOfAnother } from "./changelog-id.ts";
import { readDeadLetter } from "./dead-letter.ts";
import { deadLetterTopic, type Group, tableName } from "./group.ts";
import { keepStamped } from "./in-step.ts";
import { type CommitTally, missingBetween, type Recovery } from "./processing-numbers.ts";
import { RecordRunner } from "./record-runner.ts";
import type { Store } from "./store.ts";
import type { Stores } from "./stores.ts";
import { ruleFailed } from "./stream-error.ts";
import { TaskRows } from "./task-rows.ts";

/** How much a task takes at once, holds back and keeps; a simulation makes it small. */
export interface TaskLimits {
  /** Records in one commit: large enough to share its cost, small enough to be seen soon. */
  readonly batchRecords: number;
  /** While behind, the store is written once in so many records; a crash repeats that many. */
  readonly flushEveryRecords: number;
  /** Or in so many changed rows, which bounds memory. */
  readonly flushEveryRows: number;
  /** Between two transactions of a store that is being caught up. */
  readonly catchUpFlushRecords: number;
  /** Decoded rows in memory, of one generation of two; TaskRows' own when left out. */
  readonly generationBytes?: number;
}

/** See TaskLimits. */
export const BATCH_RECORDS = 2_048;
export const FLUSH_EVERY_RECORDS = 16_384;

const DEFAULT_LIMITS: TaskLimits = {
  batchRecords: BATCH_RECORDS,
  flushEveryRecords: FLUSH_EVERY_RECORDS,
  flushEveryRows: 8_192,
  catchUpFlushRecords: 8_192,
};
/** What is run by then is committed: a slow rule must not make its partition look stuck. */
const MAX_BATCH_MS = 500;
/** Slices run on for so long without a turn of the event loop, which heartbeats wait for. */
const MAX_TURN_MS = 20;
/**
 * While more waits to be read the store is written in larger steps, for small ones write the same
 * pages again and again. What readers of the store see then is this old, or as many records as
 * above when batches are full; and older while the log refuses the next commit.
 */
const FLUSH_WITHIN_MS = 100;
/** Between tries of a commit that the log refused for the moment. */
const RETRY_MS = 100;

const logger = getLogger(["stream", "task"]);

export interface TaskState {
  readonly partition: number;
  readonly phase: "catching_up" | "running" | "stopped";
  /** What the group has done here, as committed. */
  readonly progress: Progress | null;
  /** Why it is stopped; null otherwise. */
  readonly error: Error | null;
  readonly deadLetters: number;
  /** Records skipped because their id was counted before. */
  readonly repeats: number;
  /** Null while the store is in step. */
  readonly recovery: Recovery | null;
}

export interface TaskOptions {
  readonly log: EventLog;
  readonly group: Group;
  readonly stores: Stores;
  /** Of every input and output. */
  readonly partitions: number;
  /** Resolves after so many milliseconds, or when the signal fires. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Left out: nothing is done because time has passed, and each slice has its turn. */
  readonly monotonicMs?: () => number;
  /** Other limits than a program's, for tests of what few records never reach. */
  readonly limits?: TaskLimits;
  /** Told of each commit. */
  readonly commits?: CommitTally;
}

export class Task {
  readonly partition: number;
  private phase: TaskState["phase"] = "catching_up";
  private error: Error | null = null;
  private progress: Progress | null;
  /** When that was surely the newest, by the store's clock: nobody else has done more by then. */
  private progressMs: number;
  private flushed: Progress | null = null;
  private flushedMs = 0;
  private recordsSinceFlush = 0;
  private recovery: Recovery | null = null;
  private readonly store: Store;
  private readonly rows: TaskRows;
  private readonly runner: RecordRunner;
  private readonly limits: TaskLimits;
  private readonly closing = new AbortController();

  constructor(
    private readonly claim: Claim,
    private readonly options: TaskOptions,
  ) {
    this.partition = claim.partition;
    this.progress = claim.progress;
    this.store = options.stores.open(tableName(options.group), claim.partition);
    this.progressMs = this.store.nowMs();
    this.limits = options.limits ?? DEFAULT_LIMITS;
    this.rows = new TaskRows(this.store, this.limits);
    this.runner = new RecordRunner({
      group: options.group,
      partition: claim.partition,
      partitions: options.partitions,
      rows: this.rows,
    });
  }

  get state(): TaskState {
    const { partition, phase, progress, error, recovery } = this;
    const { deadLetters, repeats } = this.runner;
    return { partition, phase, progress, error, deadLetters, repeats, recovery };
  }

  /**
   * Runs until the claim is revoked. Throws StreamError `rule_failed` with everything before the
   * failing record committed; LogError `fenced` and `outcome_unknown`, StreamError `store_fenced`
   * when the claim is over.
   */
  async run(): Promise<void> {
    const { claim, store, options } = this;
    try {
      await this.refuseForeign();
      store.take(claim.epoch);
      await this.catchUp();
      options.log.notify();
      this.phase = "running";
      void this.keepStamped();
      while (!claim.revoked.aborted) {
        const reading = claim.read(this.limits.batchRecords);
        if (this.recordsSinceFlush > 0) await this.flushUnlessBehind(reading);
        const records = await reading;
        if (records.length > 0) await this.take(records);
      }
    } catch (error) {
      this.phase = "stopped";
      this.error = error as Error;
      throw error;
    } finally {
      this.close();
    }
  }

  /** A store of another changelog is built anew; one of a log without changelogs has no other. */
  private async refuseForeign(): Promise<void> {
    const { claim, store, options } = this;
    const { log } = options;
    const { group, partition, epoch, progress: to } = claim;
    // Where nothing was done yet, a store says that progress and changelog may have been lost:
    // catching up refuses it.
    if (!log.keepsChangelogs || to === null) return;
    if (!(await resetIfOfAnother({ log, group, partition, store, epoch, to }))) return;
    logger.warn(
      "{group} partition {partition}: its store is of another changelog, and is built anew",
      { group, partition },
    );
  }

  private async take(records: readonly LogRecord[]): Promise<void> {
    for (let from = 0; from < records.length; ) {
      const { to, error } = await this.runSome(records, from);
      const run = records.slice(from, to);
      if (error !== null) return this.stopAt(records[to] as LogRecord, { run, error });
      await this.commit(run);
      if (this.claim.revoked.aborted) return;
      from = to;
    }
  }

  /** Runs records up to `to`, in slices; where there is an error, that record has failed. */
  private async runSome(records: readonly LogRecord[], from: number): Promise<Run> {
    const { claim, store, runner } = this;
    const { monotonicMs } = this.options;
    const startMs = this.nowMs();
    let turnMs = startMs;
    for (let to = from; ; ) {
      const slice = sliceAt(records, to);
      const failure = store.snapshot(() => runner.run(slice));
      if (failure !== null) return { to: to + failure.index, error: failure.error };
      to += slice.length;
      const endMs = this.nowMs();
      if (to === records.length || endMs - startMs >= MAX_BATCH_MS) return { to, error: null };
      if (monotonicMs !== undefined && endMs - turnMs < MAX_TURN_MS) continue;
      await nextTurn();
      if (claim.revoked.aborted) return { to, error: null };
      turnMs = this.nowMs();
    }
  }

  /** Commits what went well, and throws `rule_failed`. */
  private async stopAt(
    failed: LogRecord,
    { run, error }: { readonly run: readonly LogRecord[]; readonly error: Error },
  ): Promise<void> {
    // The record that failed may have changed rows: take the ones before it again, without it.
    this.rows.reset();
    this.runner.discard();
    await this.catchUp();
    if (this.claim.revoked.aborted) return; // the rows may lag: the next owner meets the record
    if (run.length > 0) await this.take(run);
    if (this.claim.revoked.aborted) return;
    this.flush();
    throw ruleFailed(this.options.group.name, failed, error);
  }

  /** Brings store and rows to the committed progress: what was not flushed is done again. */
  private async catchUp(): Promise<void> {
    const { claim, progress: to, progressMs: toMs, store, rows, runner, options } = this;
    const { log } = options;
    const flushRecords = this.limits.catchUpFlushRecords;
    const onMoved = (recovery: Recovery) => {
      this.recovery = recovery;
    };
    onMoved({ done: 0, left: missingBetween(store.progress(), to, log.keepsChangelogs) });
    await catchUp({ claim, to, toMs, store, rows, runner, log, flushRecords, onMoved });
    this.recovery = null;
    this.flushed = this.progress;
    this.recordsSinceFlush = 0;
    if (to === null && log.keepsChangelogs) nameChangelog(rows, store.nowMs());
  }

  private async commit(records: readonly LogRecord[]): Promise<void> {
    const { claim, rows, runner, options } = this;
    const changed = options.log.keepsChangelogs ? rows.encodeChanged() : [];
    const commit = {
      ...runner.takeEffects(),
      changelog: changed.map(([key, value]) => ({ key: Buffer.from(key, "latin1"), value })),
      inputs: lastOfEach(records),
    };
    for (;;) {
      try {
        const askedMs = this.store.nowMs();
        this.progress = await claim.commit(commit);
        this.progressMs = askedMs;
        break;
      } catch (error) {
        options.commits?.failed(error);
        const canRetry = error instanceof LogError && error.code === "unavailable";
        if (!canRetry || claim.revoked.aborted) throw error;
        await options.delay(RETRY_MS, claim.revoked);
      }
    }
    options.commits?.committed(records.length);
    rows.committed();
    this.tellOfDeadLetters(commit.outputs);
    this.recordsSinceFlush += records.length;
    const { batchRecords, flushEveryRecords, flushEveryRows } = this.limits;
    const isFarBehind = records.length === batchRecords;
    if (
      (!isFarBehind && this.nowMs() - this.flushedMs >= FLUSH_WITHIN_MS) ||
      this.recordsSinceFlush >= flushEveryRecords ||
      rows.unflushedRows >= flushEveryRows
    ) {
      this.flush();
    }
  }

  /** One line a batch, however many there are. */
  private tellOfDeadLetters(outputs: readonly NewRecord[]): void {
    const topic = deadLetterTopic(this.options.group);
    const letters = outputs.filter((output) => output.topic === topic);
    const first = letters[0];
    if (first === undefined) return;
    // Without its detail, which tells of the message: the dead letter has that.
    const { topic: from, partition, offset, reason } = readDeadLetter(first);
    logger.warn(
      "{topic}: {count} more; the first: {reason}, {from} partition {partition} offset {offset}",
      { topic, count: letters.length, from, partition, offset, reason },
    );
  }

  /** What waits for more is not behind. */
  private async flushUnlessBehind(reading: Promise<unknown>): Promise<void> {
    const isRead = () => true;
    const isReady = await Promise.race([reading.then(isRead, isRead), nextTurn()]);
    if (isReady !== true) this.flush();
  }

  private flush(): void {
    const after = this.progress;
    if (after === null || this.recordsSinceFlush === 0) return;
    const { store, flushed: before, progressMs: inStepMs } = this;
    const { epoch } = this.claim;
    this.rows.flush((rows) => store.apply({ epoch, before, after, rows, inStepMs }));
    this.flushed = after;
    this.flushedMs = this.nowMs();
    this.recordsSinceFlush = 0;
    this.options.log.notify();
  }

  /** An idle partition is in step for as long as it is idle. */
  private async keepStamped(): Promise<void> {
    const { claim, store, progressMs: stampedMs, options } = this;
    const { log, delay } = options;
    if (!log.keepsChangelogs) return; // nothing is ever dropped there
    const { group, partition, epoch } = claim;
    const { signal } = this.closing;
    await keepStamped({ log, group, partition, store, epoch, stampedMs, delay, signal });
  }

  private nowMs(): number {
    return this.options.monotonicMs?.() ?? 0;
  }

  private close(): void {
    this.closing.abort();
    try {
      if (this.phase === "running") this.flush();
    } finally {
      this.store.close();
    }
  }
}

/** How far a batch was run, and what the record there has thrown. */
interface Run {
  readonly to: number;
  readonly error: Error | null;
}

function lastOfEach(records: readonly LogRecord[]) {
  const last = new Map<string, LogRecord>();
  for (const record of records) last.set(record.topic, record);
  return [...last.values()].map(({ topic, offset, checksum }) => ({
    topic,
    nextOffset: offset + 1n,
    checksum,
  }));
}
