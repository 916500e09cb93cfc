/**
 * What the log is made of while its file is open: who reads and writes which rows, how a write
 * goes through, and in which order all of it is closed.
 *
 *   folder ──open──> LogFile ──> EmbeddedLog (the port), claims
 */

import { getLogger } from "@logtape/logtape";
import type { Database } from "bun:sqlite";
import { LogError } from "../event-log.ts";
import { Catalog } from "./catalog.ts";
import { Changes } from "./changes.ts";
import { Checkpointer } from "./checkpointer.ts";
import { clean } from "./cleaner.ts";
import { reading } from "./log-fault.ts";
import { Membership } from "./membership.ts";
import { MetaRows } from "./meta-rows.ts";
import { ProgressRows } from "./progress-rows.ts";
import { Reader } from "./reader.ts";
import { checkAtStart, checkRegularly, type RecordCheck } from "./record-check.ts";
import { RecordRows } from "./record-rows.ts";
import { type OpenDatabaseOptions, type OpenedDatabase, openDatabase } from "./schema.ts";
import { type Seal, Seals } from "./seal.ts";
import { openWal, type Wal } from "./wal.ts";
import { checkWitness, encodeWitness } from "./witness.ts";
import { type Step, Writer } from "./writer.ts";
import { topicSize, type TopicSize } from "./topic-size.ts";

/** Compaction is never urgent; a run over nothing to do costs microseconds. */
const CLEAN_EVERY_MS = 5 * 60 * 1_000;

const logger = getLogger(["log", "embedded"]);

export interface LogFileOptions extends Partial<OpenDatabaseOptions> {
  readonly folder: string;
  /** Unix milliseconds, for records' timestamps. */
  readonly nowMs: () => number;
  /** Leave checkpoints to another instance of this process. False unless told. */
  readonly leavesCheckpoints?: boolean;
  /** When all records are checked; never unless told, but each that is read always is. */
  readonly recordChecks?: readonly RecordCheck[];
  /** For tests: called between the steps of a transaction; a throw there is a crash. */
  readonly onStep?: Step;
}

export class LogFile {
  readonly opened: Omit<OpenedDatabase, "database">;
  readonly catalog: Catalog;
  readonly reader: Reader;
  readonly records: RecordRows;
  readonly progressRows: ProgressRows;
  readonly metaRows: MetaRows;
  readonly seals: Seals;
  /** Rejects with `corrupt` when a regular check finds a damaged record; else never ends. */
  readonly damaged: Promise<never>;
  /** As of the running transaction. */
  sealInForce: Seal | null = null;
  readonly changes: Changes;
  readonly membership: Membership;
  readonly writer: Writer;
  readonly database: Database;
  private readonly wal: Wal;
  private readonly checkpointer: Checkpointer;
  private readonly cleaning: ReturnType<typeof setInterval> | null;
  private readonly controller = new AbortController();
  /** Why the log could not be read at its last change; null when it could. */
  private unreadable: LogError | null = null;

  /** Throws LogError as `openDatabase` does, and `unavailable`. */
  constructor(private readonly options: LogFileOptions) {
    const { folder, recordChecks = [] } = options;
    checkWitness(folder);
    if (recordChecks.includes("start")) checkAtStart(folder);
    const { database, ...opened } = openDatabase({
      ...{ create: false, defaults: {}, settings: {} },
      ...options,
    });
    this.database = database;
    this.opened = opened;
    try {
      const rows = rowsOf(database, options);
      this.catalog = rows.catalog;
      this.reader = rows.reader;
      this.records = rows.records;
      this.progressRows = rows.progressRows;
      this.metaRows = rows.metaRows;
      this.seals = rows.seals;
      this.wal = openWal(options.folder);
      this.writer = this.newWriter();
      const monotonicMs = () => performance.now();
      this.membership = new Membership({ database, writer: this.writer, monotonicMs });
      this.checkpointer = new Checkpointer(database, options);
      this.changes = new Changes({
        folder: options.folder,
        refresh: () => this.refresh(),
        witness: () => this.takeWitness(),
        closing: this.closing,
      });
    } catch (error) {
      database.close();
      throw error;
    }
    const isRegular = recordChecks.includes("regular");
    this.damaged = isRegular ? checkRegularly(folder, this.closing) : new Promise(() => {});
    this.damaged.catch(() => {}); // heard by who waits for it
    this.cleaning = options.leavesCheckpoints === true ? null : this.cleanRegularly();
  }

  get closing(): AbortSignal {
    return this.controller.signal;
  }

  get isClosed(): boolean {
    return this.closing.aborted;
  }

  /** Why nothing can be written, or what is written cannot be found; null when the log is well. */
  get problem(): string | null {
    return this.writer.problem ?? this.unreadable?.message ?? null;
  }

  assertOpen(): void {
    if (this.isClosed) throw new LogError("closed", "the log is closed: open it again");
  }

  /** Runs in a transaction of its own or with others; throws inside refuse this one alone. */
  transact<T>(bytes: number, run: () => T): Promise<T> {
    return this.writer.enqueue({ bytes, isUrgent: true, run });
  }

  /** Drops what compaction and retention of the topics allow. Returns how many records went. */
  clean(): Promise<number> {
    return this.transact(0, () => clean(this.database, this.catalog, this.options.nowMs()));
  }

  /** Reads all of it. */
  topicSize(topic: string): TopicSize {
    return topicSize(this.database, topic);
  }

  /** Idempotent. What was queued is written or refused first. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.controller.abort();
    if (this.cleaning !== null) clearInterval(this.cleaning);
    await this.membership.close();
    await this.writer.close();
    this.wal.close();
    this.changes.close();
    this.reader.close();
    this.seals.close();
    this.records.close();
    this.catalog.close();
    this.progressRows.close();
    // With one statement left open SQLite would keep the connection, and the WAL beside it.
    this.database.close();
  }

  /** Nobody hears of what a bell throws: so it is logged, and told as the log's problem. */
  private refresh(): void {
    try {
      this.catalog.refresh();
      this.unreadable = null;
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      const { message } = error;
      if (this.unreadable?.message !== message) logger.error("{message}", { message });
      this.unreadable = error;
    }
  }

  /** Once after each commit of records; another process may have written more since. */
  private takeWitness(): Uint8Array | null {
    const { writtenSequence: sequence } = this.catalog;
    if (sequence === null) return null;
    this.catalog.writtenSequence = null;
    return encodeWitness({ sequence, incarnation: this.opened.incarnation });
  }

  private newWriter(): Writer {
    return new Writer({
      database: this.database,
      sync: () => this.wal.sync(),
      afterBegin: () => (this.sealInForce = this.seals.read()),
      beforeCommit: () => this.catalog.flush(),
      afterRollback: () => this.catalog.reset(),
      afterCommit: () => {
        this.changes.announce();
        this.checkpointer.check();
      },
      monotonicMs: () => performance.now(),
      step: this.options.onStep ?? (() => {}),
    });
  }

  private cleanRegularly(): ReturnType<typeof setInterval> {
    const timer = setInterval(() => {
      // A refusal needs no answer: whoever appends hears of it, and the next run tries again.
      this.clean().catch(() => {});
    }, CLEAN_EVERY_MS);
    timer.unref();
    return timer;
  }
}

/** Each prepares its statements, for which SQLite reads the file's schema. */
function rowsOf(database: Database, { nowMs }: LogFileOptions) {
  return reading(database, () => {
    const catalog = new Catalog(database);
    return {
      catalog,
      reader: new Reader(database),
      records: new RecordRows({ database, catalog, nowMs }),
      progressRows: new ProgressRows(database),
      metaRows: new MetaRows(database),
      seals: new Seals(database),
    };
  });
}
