/**
 * The embedded log: an EventLog in one SQLite file, shared by any number of processes on one host.
 *
 *   append, commit ──> writer (group commit, fsync) ──> records, progress ──changes──> readers
 *
 * A log of ":memory:" belongs to the instance alone and is otherwise the same. Progress and
 * outputs become visible with one transaction; the engine's stores are files of their own.
 */

import {
  type Bounds,
  type Claim,
  type EventLog,
  type JoinOptions,
  LogError,
  type LogRecord,
  type NewRecord,
  type Owner,
  type Progress,
  type ReadOptions,
  type TopicSpec,
} from "../event-log.ts";
import { Catalog, type PartitionRef } from "./catalog.ts";
import { Changes } from "./changes.ts";
import { Checkpointer } from "./checkpointer.ts";
import { clean } from "./cleaner.ts";
import { joinGroup } from "./group-join.ts";
import { Membership } from "./membership.ts";
import { MetaRows } from "./meta-rows.ts";
import { readPartition } from "./partition-reading.ts";
import { ProgressRows } from "./progress-rows.ts";
import { Reader } from "./reader.ts";
import { recordBytes, RecordRows } from "./record-rows.ts";
import { type OpenDatabaseOptions, openDatabase } from "./schema.ts";
import { type Seal, sealedError, Seals } from "./seal.ts";
import { openWal, type Wal } from "./wal.ts";
import { type Step, Writer } from "./writer.ts";

/** Compaction is never urgent; a run over nothing to do costs microseconds. */
const CLEAN_EVERY_MS = 5 * 60 * 1_000;

export interface EmbeddedLogOptions extends Partial<OpenDatabaseOptions> {
  readonly folder: string;
  /** Unix milliseconds, for records' timestamps. */
  readonly nowMs: () => number;
  /**
   * Keep each group's changed rows as a topic. False unless told: stores are files here. Say the
   * same at every opening: a changelog that begins half-way would bring a lost store back empty.
   */
  readonly keepsChangelogs?: boolean;
  /** Leave checkpoints to another instance of this process. False unless told. */
  readonly leavesCheckpoints?: boolean;
  /** For tests: called between the steps of a transaction; a throw there is a crash. */
  readonly onStep?: Step;
}

/**
 * Throws LogError: `not_found`, `format_mismatch`, `settings_mismatch`, `unusable_place`; `moved`
 * for a sealed log with `create`: who would make one is about to write to it.
 */
export function openEmbeddedLog(options: EmbeddedLogOptions): EmbeddedLog {
  const log = new EmbeddedLog(options);
  const { seal } = log;
  if (seal === null || options.create !== true) return log;
  void log.close();
  throw sealedError(seal, options.folder);
}

export class EmbeddedLog implements EventLog {
  readonly incarnation: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly keepsChangelogs: boolean;
  readonly wasCreated: boolean;
  private readonly database;
  private readonly catalog: Catalog;
  private readonly reader: Reader;
  private readonly seals: Seals;
  /** As of the running transaction. */
  private sealInForce: Seal | null = null;
  private readonly records: RecordRows;
  private readonly wal: Wal;
  private readonly writer: Writer;
  private readonly changes: Changes;
  private readonly checkpointer: Checkpointer;
  private readonly membership: Membership;
  private readonly closing = new AbortController();
  private readonly cleaning: ReturnType<typeof setInterval> | null;
  private readonly progressRows: ProgressRows;
  private readonly metaRows: MetaRows;

  constructor(private readonly options: EmbeddedLogOptions) {
    const opened = openDatabase({ create: false, defaults: {}, settings: {}, ...options });
    this.database = opened.database;
    this.incarnation = opened.incarnation;
    this.settings = opened.settings;
    this.wasCreated = opened.wasCreated;
    this.keepsChangelogs = options.keepsChangelogs ?? false;
    const { database } = opened;
    const monotonicMs = () => performance.now();
    this.catalog = new Catalog(database);
    this.reader = new Reader(database);
    this.seals = new Seals(database);
    this.records = new RecordRows({ database, catalog: this.catalog, nowMs: options.nowMs });
    this.progressRows = new ProgressRows(database);
    this.metaRows = new MetaRows(database);
    this.wal = openWal(options.folder);
    this.writer = new Writer({
      database,
      sync: () => this.wal.sync(),
      afterBegin: () => (this.sealInForce = this.seals.read()),
      beforeCommit: () => this.catalog.flush(),
      afterRollback: () => this.catalog.reset(),
      afterCommit: () => {
        this.changes.announce();
        this.checkpointer.check();
      },
      monotonicMs,
      step: options.onStep ?? (() => {}),
    });
    this.membership = new Membership({ database, writer: this.writer, monotonicMs });
    this.checkpointer = new Checkpointer(database, options);
    this.changes = new Changes({
      folder: options.folder,
      refresh: () => this.catalog.refresh(),
      closing: this.closing.signal,
    });
    this.cleaning = options.leavesCheckpoints === true ? null : this.cleanRegularly();
  }

  async ensureTopics(specs: readonly TopicSpec[]): Promise<void> {
    await this.transact(0, () => this.catalog.ensure(specs));
    this.catalog.refresh();
  }

  async append(records: readonly NewRecord[]): Promise<readonly bigint[]> {
    this.assertOpen();
    let bytes = 0;
    const refs: PartitionRef[] = [];
    for (const record of records) {
      refs.push(this.catalog.find(record.topic, record.partition));
      bytes += recordBytes(record);
    }
    return this.writer.enqueue({
      bytes,
      run: () => {
        if (this.sealInForce !== null) throw sealedError(this.sealInForce, this.options.folder);
        return records.map((record, i) =>
          BigInt(this.records.insert(refs[i] as PartitionRef, record)),
        );
      },
    });
  }

  async *read(options: ReadOptions): AsyncGenerator<readonly LogRecord[]> {
    this.assertOpen();
    const { catalog, reader, changes } = this;
    const assertOpen = () => this.assertOpen();
    yield* readPartition(
      { catalog, reader, changes, closing: this.closing.signal, assertOpen },
      options,
    );
  }

  async bounds(topic: string, partition: number): Promise<Bounds> {
    this.assertOpen();
    const ref = this.catalog.find(topic, partition);
    this.catalog.refresh();
    return { start: BigInt(ref.startOffset), end: BigInt(ref.nextOffset) };
  }

  async progress(group: string, partition: number): Promise<Progress | null> {
    this.assertOpen();
    return this.progressRows.read(group, partition);
  }

  async *join(options: JoinOptions): AsyncGenerator<Claim> {
    this.assertOpen();
    const { reader, records, catalog, changes, membership, progressRows, keepsChangelogs } = this;
    const host = {
      ...{ reader, records, catalog, changes, membership, progressRows, keepsChangelogs },
      transact: <T>(bytes: number, run: () => T) => this.transact(bytes, run),
      closing: this.closing.signal,
    };
    yield* joinGroup(host, options);
  }

  async owners(group: string): Promise<readonly Owner[]> {
    this.assertOpen();
    return this.membership.owners(group);
  }

  onChange(listener: () => void): () => void {
    return this.changes.listen(listener);
  }

  notify(): void {
    if (this.closing.signal.aborted) return;
    this.changes.announce();
  }

  async meta(key: string): Promise<string | null> {
    this.assertOpen();
    return this.metaRows.read(key);
  }

  async setMeta(key: string, value: string): Promise<void> {
    await this.transact(0, () => this.metaRows.write(key, value));
  }

  /** All that `setMeta` has set, by key. */
  async allMeta(): Promise<ReadonlyMap<string, string>> {
    this.assertOpen();
    return this.metaRows.all();
  }

  /** As they were declared, by name. */
  async topics(): Promise<readonly TopicSpec[]> {
    this.assertOpen();
    this.catalog.refresh();
    return this.catalog.specs();
  }

  /** Where the log was moved to; null when it was not. */
  get seal(): Seal | null {
    this.assertOpen();
    return this.seals.read();
  }

  /** From here on every append of any process is refused with `moved`. */
  async setSeal(seal: Seal): Promise<void> {
    await this.transact(0, () => {
      this.seals.write(seal);
      this.sealInForce = seal;
    });
  }

  /**
   * Takes the seal of a move that is not done away, so that appends are taken again. Resolves with
   * what was there: null for no seal; one that is done stays.
   */
  removeUnfinishedSeal(): Promise<Seal | null> {
    return this.transact(0, () => {
      const seal = this.seals.read();
      if (seal === null || seal.isDone) return seal;
      this.seals.remove();
      this.sealInForce = null;
      return seal;
    });
  }

  /** Why nothing can be written now; null when the log is well. */
  get problem(): string | null {
    const seal = this.closing.signal.aborted ? null : this.seal;
    if (seal !== null) return sealedError(seal, this.options.folder).message;
    return this.writer.problem;
  }

  /** Drops what compaction and retention of the topics allow. Returns how many records went. */
  clean(): Promise<number> {
    return this.transact(0, () => clean(this.database, this.catalog, this.options.nowMs()));
  }

  async close(): Promise<void> {
    if (this.closing.signal.aborted) return;
    this.closing.abort();
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

  private assertOpen(): void {
    if (this.closing.signal.aborted) {
      throw new LogError("closed", "the log is closed: open it again");
    }
  }

  private cleanRegularly(): ReturnType<typeof setInterval> {
    const timer = setInterval(() => {
      // A refusal needs no answer: whoever appends hears of it, and the next run tries again.
      this.clean().catch(() => {});
    }, CLEAN_EVERY_MS);
    timer.unref();
    return timer;
  }

  private transact<T>(bytes: number, run: () => T): Promise<T> {
    return this.writer.enqueue({ bytes, isUrgent: true, run });
  }
}
