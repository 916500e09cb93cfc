/**
 * The writer: one queue, one transaction for all that waits in it (group commit).
 *
 *   append, commit, heartbeat ──enqueue──> queue ──BEGIN IMMEDIATE, jobs, COMMIT, sync──> resolve
 *
 * A job checks before it writes: when it throws a LogError it has written nothing, and the others
 * of its transaction go on. Any other throw undoes the transaction and refuses all of them. The
 * write lock is never waited for inside SQLite, for that would stop this thread's event loop.
 */

import type { Database, Statement } from "bun:sqlite";
import { LogError } from "../event-log.ts";
import { writeFault } from "./log-fault.ts";
import { LOCK_WAIT_MS, lockHeldMessage } from "./write-lock.ts";

/** Bytes of records that may wait; above it appends are refused `busy`. About 2 s of work. */
const MAX_QUEUED_BYTES = 32 * 1024 * 1024;
/** Keeps a transaction under about 10 ms, the time that others wait for the write lock. */
const MAX_TRANSACTION_BYTES = 1024 * 1024;
/** For so long the lock is tried at every turn of the event loop, then every RETRY_MS. */
const EAGER_RETRY_MS = 5;
const RETRY_MS = 2;

/** Names the steps between which a test lets the program die. */
export type Step = (name: string) => void;

export interface Job<T> {
  /** Of its records, to bound queue and transaction. */
  readonly bytes: number;
  /** Gets in however full the queue is: commits and heartbeats, of which there are few. */
  readonly isUrgent?: boolean;
  /** Runs inside the transaction. A LogError thrown before any write refuses this job alone. */
  run(): T;
}

interface Waiting {
  readonly job: Job<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: LogError) => void;
}

export class Writer {
  private queue: Waiting[] = [];
  private queuedBytes = 0;
  private isScheduled = false;
  private lockedSinceMs: number | null = null;
  private failure: LogError | null = null;
  /** The last transaction found no room; nothing has been written since. */
  private fullDisk: LogError | null = null;
  private isClosed = false;
  private whenIdle: (() => void)[] = [];
  private readonly begin: Statement;
  private readonly commit: Statement;

  constructor(
    private readonly options: {
      readonly database: Database;
      /** Called inside the transaction before the jobs, to read what they share. */
      readonly afterBegin: () => void;
      /** Called inside the transaction after the jobs, to write what they share. */
      readonly beforeCommit: () => void;
      /** Called when the jobs' transaction was undone, to forget what they shared. */
      readonly afterRollback: () => void;
      /** Makes durable what was committed. Throws when the disk fails. */
      readonly sync: () => void;
      readonly afterCommit: () => void;
      readonly monotonicMs: () => number;
      readonly step: Step;
    },
  ) {
    this.begin = options.database.prepare("BEGIN IMMEDIATE");
    this.commit = options.database.prepare("COMMIT");
  }

  /** Rejects with the job's own LogError, `busy`, `unavailable`, `outcome_unknown` or `closed`. */
  enqueue<T>(job: Job<T>): Promise<T> {
    const refusal = this.refusal(job);
    if (refusal !== null) return Promise.reject(refusal);
    return new Promise<T>((resolve, reject) => {
      this.queue.push({ job, resolve: resolve as (value: unknown) => void, reject });
      this.queuedBytes += job.bytes;
      this.schedule();
    });
  }

  /** Why nothing can be written, for readiness; null when it can. */
  get problem(): string | null {
    if (this.failure !== null) return this.failure.message;
    if (this.fullDisk !== null) {
      // Whoever asks may send nothing until he hears that there is room: so it is tried for him.
      this.enqueue({ bytes: 0, isUrgent: true, run: () => this.writeSomething() }).catch(() => {});
      return this.fullDisk.message;
    }
    if (this.lockedSinceMs === null) return null;
    const waitedMs = this.options.monotonicMs() - this.lockedSinceMs;
    return waitedMs < LOCK_WAIT_MS ? null : this.lockMessage();
  }

  /** Writes or refuses what waits, then takes no more. */
  async close(): Promise<void> {
    this.isClosed = true;
    if (this.queue.length > 0) await new Promise<void>((resolve) => this.whenIdle.push(resolve));
    this.begin.finalize();
    this.commit.finalize();
  }

  private refusal(job: Job<unknown>): LogError | null {
    if (this.failure !== null) {
      return new LogError("unavailable", this.failure.message, { cause: this.failure });
    }
    if (this.isClosed) return new LogError("closed", "the log is closed: open it again");
    if (job.isUrgent !== true && this.queuedBytes + job.bytes > MAX_QUEUED_BYTES) {
      return new LogError("busy", "too much waits to be written: try again in a second");
    }
    return null;
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    setImmediate(() => this.flush());
  }

  private flush(): void {
    this.isScheduled = false;
    if (this.queue.length === 0 && this.lockedSinceMs === null) return this.settleIdle();
    if (!this.lock()) return;
    if (this.queue.length === 0) return this.unlock(); // all was refused while it was held
    const batch = this.takeBatch();
    const results: { value?: unknown; error?: LogError }[] = [];
    try {
      this.options.step("transaction begun");
      this.options.afterBegin();
      for (const { job } of batch) results.push(this.attempt(job));
      this.options.step("records written");
      this.options.beforeCommit();
      this.options.step("before commit");
    } catch (error) {
      this.undo(batch, error);
      return this.goOn();
    }
    try {
      this.commit.run();
      this.fullDisk = null;
      this.options.step("committed");
      this.options.sync();
    } catch (error) {
      this.commitFailed(batch, error);
      return this.goOn();
    }
    this.options.step("synced");
    this.options.afterCommit();
    batch.forEach(({ resolve, reject }, index) => {
      const result = results[index] as { value?: unknown; error?: LogError };
      if (result.error === undefined) resolve(result.value);
      else reject(result.error);
    });
    this.goOn();
  }

  private goOn(): void {
    if (this.queue.length > 0) this.schedule();
    else this.settleIdle();
  }

  private settleIdle(): void {
    for (const resolve of this.whenIdle.splice(0)) resolve();
  }

  private takeBatch(): Waiting[] {
    let bytes = 0;
    let count = 0;
    while (count < this.queue.length && (count === 0 || bytes < MAX_TRANSACTION_BYTES)) {
      bytes += (this.queue[count] as Waiting).job.bytes;
      count += 1;
    }
    const batch = this.queue.splice(0, count);
    for (const { job } of batch) this.queuedBytes -= job.bytes;
    return batch;
  }

  /** True with the write lock taken; otherwise a later turn tries again or refuses. */
  private lock(): boolean {
    const nowMs = this.options.monotonicMs();
    try {
      this.begin.run();
      this.lockedSinceMs = null;
      return true;
    } catch (error) {
      if ((error as { code?: string }).code?.startsWith("SQLITE_BUSY") !== true) {
        this.refuseAll(this.fault(error));
        return false;
      }
    }
    this.lockedSinceMs ??= nowMs;
    const waitedMs = nowMs - this.lockedSinceMs;
    if (waitedMs >= LOCK_WAIT_MS) this.refuseAll(new LogError("unavailable", this.lockMessage()));
    if (this.isClosed && this.queue.length === 0) return false;
    this.isScheduled = true;
    if (waitedMs < EAGER_RETRY_MS) setImmediate(() => this.flush());
    else setTimeout(() => this.flush(), RETRY_MS);
    return false;
  }

  private unlock(): void {
    this.options.database.exec("ROLLBACK");
    this.settleIdle();
  }

  private lockMessage(): string {
    return lockHeldMessage(this.options.database.filename);
  }

  private fault(error: unknown): LogError {
    return writeFault(this.options.database.filename, error);
  }

  /** Never throws: who waits must hear of the first error, and nobody hears what is thrown here. */
  private rollBack(): void {
    const { database, afterRollback } = this.options;
    try {
      if (database.inTransaction) database.exec("ROLLBACK");
      afterRollback();
    } catch {
      // The file cannot be read either: whoever reads it next is told.
    }
  }

  private undo(batch: readonly Waiting[], error: unknown): void {
    const refusal = this.fault(error);
    if ((error as { code?: string }).code === "SQLITE_FULL") this.fullDisk = refusal;
    this.refuse(batch, refusal);
  }

  private refuse(batch: readonly Waiting[], refusal: LogError): void {
    this.rollBack();
    for (const { reject } of batch) reject(refusal);
  }

  private commitFailed(batch: readonly Waiting[], error: unknown): void {
    const code = (error as { code?: string }).code ?? "";
    // A full disk fails before the frame that commits is complete: nothing can have been written.
    if (code === "SQLITE_FULL") return this.undo(batch, error);
    // The WAL has all of it, and the WAL's index found no room: nobody sees it, and what is written
    // next takes its place; only a crash before that brings it back.
    if (code === "SQLITE_IOERR_SHMSIZE") {
      this.fullDisk = new LogError(
        "outcome_unknown",
        `the log ${this.options.database.filename} finds no room for its index ` +
          "(database or disk is full, or it fails): try again later",
        { cause: error },
      );
      return this.refuse(batch, this.fullDisk);
    }
    // After a failed fsync nobody knows what the disk holds, and asking again proves nothing:
    // this instance writes no more (see "Can applications recover from fsync failures?", 2020).
    const reason = (error as Error).message;
    this.failure = new LogError(
      "outcome_unknown",
      `the disk failed while the log was written to ${this.options.database.filename} ` +
        `(${reason}): check it, then restart`,
      { cause: error },
    );
    this.refuse(batch, this.failure);
    this.refuseAll(new LogError("unavailable", this.failure.message, { cause: error }));
  }

  /** Changes nothing, and takes a page of the WAL as any change does. */
  private writeSomething(): void {
    this.options.database.exec("UPDATE sequence SET next = next");
  }

  /** A job may refuse itself alone, unless the disk has ended the transaction that all share. */
  private attempt(job: Job<unknown>): { value?: unknown; error?: LogError } {
    try {
      return { value: job.run() };
    } catch (error) {
      if (error instanceof LogError && this.options.database.inTransaction) return { error };
      throw error;
    }
  }

  private refuseAll(error: LogError): void {
    const waiting = this.queue.splice(0);
    this.queuedBytes = 0;
    for (const { reject } of waiting) reject(error);
    this.settleIdle();
  }
}
