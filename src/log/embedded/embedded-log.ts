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
import type { PartitionRef } from "./catalog.ts";
import { joinGroup } from "./group-join.ts";
import { LogFile, type LogFileOptions } from "./log-file.ts";
import { otherUsers } from "./other-users.ts";
import { readPartition } from "./partition-reading.ts";
import { recordBytes } from "./record-rows.ts";
import { logPath } from "./schema.ts";
import { raiseFormat } from "./raised-format.ts";
import { type Seal, sealedError } from "./seal.ts";
import type { TopicSize } from "./topic-size.ts";

export interface EmbeddedLogOptions extends LogFileOptions {
  /**
   * Keep each group's changed rows as a topic. False unless told: stores are files here. Say the
   * same at every opening: a changelog that begins half-way would bring a lost store back empty.
   */
  readonly keepsChangelogs?: boolean;
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
  /** As `LogFile` has it. */
  readonly damaged: Promise<never>;
  private readonly file: LogFile;

  constructor(private readonly options: EmbeddedLogOptions) {
    this.file = new LogFile(options);
    this.damaged = this.file.damaged;
    const { incarnation, settings, wasCreated } = this.file.opened;
    this.incarnation = incarnation;
    this.settings = settings;
    this.wasCreated = wasCreated;
    this.keepsChangelogs = options.keepsChangelogs ?? false;
  }

  async ensureTopics(specs: readonly TopicSpec[]): Promise<void> {
    await this.file.transact(0, () => this.file.catalog.ensure(specs));
    this.file.catalog.refresh();
  }

  async append(records: readonly NewRecord[]): Promise<readonly bigint[]> {
    const { file } = this;
    file.assertOpen();
    let bytes = 0;
    const refs: PartitionRef[] = [];
    for (const record of records) {
      refs.push(file.catalog.find(record.topic, record.partition));
      bytes += recordBytes(record);
    }
    const insert = (record: NewRecord, index: number) =>
      BigInt(file.records.insert(refs[index] as PartitionRef, record));
    return file.writer.enqueue({
      bytes,
      run: () => {
        if (file.sealInForce !== null) throw sealedError(file.sealInForce, this.options.folder);
        return records.map(insert);
      },
    });
  }

  async *read(options: ReadOptions): AsyncGenerator<readonly LogRecord[]> {
    this.file.assertOpen();
    yield* readPartition(this.file, options);
  }

  async bounds(topic: string, partition: number): Promise<Bounds> {
    this.file.assertOpen();
    const ref = this.file.catalog.find(topic, partition);
    this.file.catalog.refresh();
    return { start: BigInt(ref.startOffset), end: BigInt(ref.nextOffset) };
  }

  async progress(group: string, partition: number): Promise<Progress | null> {
    this.file.assertOpen();
    return this.file.progressRows.read(group, partition);
  }

  async *join(options: JoinOptions): AsyncGenerator<Claim> {
    this.file.assertOpen();
    const { file, keepsChangelogs } = this;
    yield* joinGroup({ file, keepsChangelogs }, options);
  }

  async owners(group: string): Promise<readonly Owner[]> {
    this.file.assertOpen();
    return this.file.membership.owners(group);
  }

  onChange(listener: () => void): () => void {
    return this.file.changes.listen(listener);
  }

  notify(): void {
    if (this.file.isClosed) return;
    this.file.changes.announce();
  }

  async meta(key: string): Promise<string | null> {
    this.file.assertOpen();
    return this.file.metaRows.read(key);
  }

  async setMeta(key: string, value: string): Promise<void> {
    await this.file.transact(0, () => this.file.metaRows.write(key, value));
  }

  /** All that `setMeta` has set, by key. */
  async allMeta(): Promise<ReadonlyMap<string, string>> {
    this.file.assertOpen();
    return this.file.metaRows.all();
  }

  /** As they were declared, by name. */
  async topics(): Promise<readonly TopicSpec[]> {
    this.file.assertOpen();
    this.file.catalog.refresh();
    return this.file.catalog.specs();
  }

  /** What a topic holds; reads all of it. */
  async size(topic: string): Promise<TopicSize> {
    this.file.assertOpen();
    return this.file.topicSize(topic);
  }

  /** Where the log was moved to; null when it was not. */
  get seal(): Seal | null {
    this.file.assertOpen();
    return this.file.seals.read();
  }

  /** From here on every append of any process is refused with `moved`. */
  async setSeal(seal: Seal): Promise<void> {
    await this.file.transact(0, () => {
      this.file.seals.write(seal);
      this.file.sealInForce = seal;
    });
  }

  /**
   * Takes the seal of a move that is not done away, so that appends are taken again. Resolves with
   * what was there: null for no seal; one that is done stays.
   */
  removeUnfinishedSeal(): Promise<Seal | null> {
    return this.file.transact(0, () => {
      const seal = this.file.seals.read();
      if (seal === null || seal.isDone) return seal;
      this.file.seals.remove();
      this.file.sealInForce = null;
      return seal;
    });
  }

  /** See raised-format.ts. */
  async raiseFormat(): Promise<void> {
    this.file.assertOpen();
    await raiseFormat(this.file, this.options.folder);
  }

  /** Pids of the other processes that have the log open, as far as they can be known here. */
  otherUsers(): Promise<readonly number[]> {
    this.file.assertOpen();
    return otherUsers({
      path: logPath(this.options.folder),
      members: () => this.file.membership.members(),
      monotonicMs: () => performance.now(),
    });
  }

  /** Why nothing can be written now, or read; null when the log is well. Who looks is not ended. */
  get problem(): string | null {
    try {
      const seal = this.file.isClosed ? null : this.seal;
      if (seal !== null) return sealedError(seal, this.options.folder).message;
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      return error.message;
    }
    return this.file.problem;
  }

  /** Drops what compaction and retention of the topics allow. Returns how many records went. */
  clean(): Promise<number> {
    return this.file.clean();
  }

  close(): Promise<void> {
    return this.file.close();
  }
}
