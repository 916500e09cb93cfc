/**
 * The real embedded log in the simulated world: its writer, claims, membership and readers, one
 * instance for each process, on one file in memory. Timers, turns and clocks are the scheduler's;
 * what is durable is what the log has synced, and a power cut leaves no more.
 *
 *   transaction ──COMMIT──> WAL ──sync──> durable: read back row by row, and judged
 *                     └── crash between two steps of the writer; power cut: unsynced WAL is cut
 *
 * Other processes hear of a commit by the log's slow poll alone: a watched file needs a real event
 * loop.
 */

import { Database, type Statement } from "bun:sqlite";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import { logPath } from "../../src/log/embedded/schema.ts";
import type { Progress } from "../../src/log/event-log.ts";
import type { Chance } from "./chance.ts";
import type { Conditions } from "./conditions.ts";
import { EmbeddedReadBack } from "./embedded-read-back.ts";
import type { Judge } from "./judge.ts";
import { START_MS } from "./log-server.ts";
import type { LogConnection, LogSide } from "./log-side.ts";
import type { PartitionLog } from "./partition-log.ts";
import { Life, type Scheduler } from "./scheduler.ts";

export interface EmbeddedSiteOptions {
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly conditions: Conditions;
  readonly partitions: number;
  readonly judge: Pick<Judge, "durable" | "committing">;
  /** Runs a check; what it finds ends the run, whoever catches it. */
  readonly guard: (check: () => void) => void;
  /** A disk that failed a sync: the process writes no more until it is started again. */
  readonly onSyncFailed: (life: Life) => void;
}

/** What the log is made of, as far as a crash must reach into it. */
interface Inside
  extends Readonly<Record<"changes" | "reader" | "seals" | "records" | "catalog", Closed>> {
  readonly progressRows: Closed;
  readonly membership: { readonly rows: Closed };
  readonly wal: Closed & { sync: () => void };
  readonly writer: {
    readonly begin: Statement;
    readonly commit: Statement;
    enqueue: (job: { readonly bytes: number }) => Promise<unknown>;
  };
  readonly database: Database;
  readonly isClosed: boolean;
}

interface Closed {
  close(): void;
}

/** A process that is to die at one of the next steps of its writer. */
interface Doom {
  readonly life: Life;
  left: number;
  readonly onDeath: () => void;
}

export class EmbeddedSite implements LogSide {
  readonly keepsChangelogs = false;
  readonly isIdle = true;
  readonly incarnation: string;
  private readonly places: string[] = [];
  private readBack: EmbeddedReadBack;
  private folder: string;
  private syncedBytes = 0;
  private doom: Doom | null = null;
  private stall: { readonly life: Life; readonly onStall: () => void } | null = null;
  private lock: Database | null = null;

  constructor(private readonly options: EmbeddedSiteOptions) {
    this.folder = this.newFolder();
    const maker = new Life("maker");
    const log = this.open(maker);
    this.incarnation = log.incarnation;
    // A log that was begun is there: whoever opens it first writes, and syncs, its topics.
    this.syncedBytes = statSync(`${logPath(this.folder)}-wal`).size;
    this.readBack = new EmbeddedReadBack(options, this.folder);
    options.scheduler.kill(maker);
  }

  /** For a process; gives what it holds back with its life. */
  open(life: Life): LogConnection {
    const { scheduler } = this.options;
    let opened: LogConnection | null = null;
    scheduler.runAs(life, () => {
      const log = openEmbeddedLog({
        ...{ folder: this.folder, create: true },
        nowMs: () => START_MS + Math.floor(scheduler.nowUs / 1_000),
        onStep: (step) => this.step(life, step),
      });
      const { file } = log as unknown as { file: Inside };
      this.watch(file, life);
      life.handles.push(() => {
        if (!file.isClosed) release(file);
      });
      opened = Object.assign(log, { ring: () => {} });
    });
    return opened as unknown as LogConnection;
  }

  /** It dies within so many steps of its writer, most often inside a transaction. */
  doomAt(life: Life, steps: number, onDeath: () => void): void {
    this.doom = { life, left: steps, onDeath };
  }

  /** Once it has asked for its next write of records, and before that is done. */
  stallAt(life: Life, onStall: () => void): void {
    this.stall = { life, onStall };
  }

  get isLocked(): boolean {
    return this.lock !== null;
  }

  /** Another program holds the write lock. */
  holdLock(): void {
    if (this.lock !== null) return;
    this.lock = new Database(logPath(this.folder));
    this.lock.exec("PRAGMA busy_timeout = 0; BEGIN IMMEDIATE");
  }

  releaseLock(): void {
    this.lock?.exec("ROLLBACK");
    this.lock?.close();
    this.lock = null;
  }

  /** Every process is dead. The files as the disk has them: what was not synced is cut off. */
  powerCut(): void {
    this.releaseLock();
    const from = this.folder;
    this.folder = this.newFolder();
    cpSync(from, this.folder, { recursive: true, filter: (path) => !path.endsWith("-shm") });
    const wal = `${logPath(this.folder)}-wal`;
    const bytes = statSync(wal, { throwIfNoEntry: false })?.size ?? 0;
    const unsynced = Math.max(0, bytes - this.syncedBytes);
    const left = unsynced === 0 ? bytes : bytes - this.options.chance.below(unsynced + 1);
    if (left < bytes) truncateSync(wal, left);
    this.readBack.open(this.folder);
    this.options.guard(() => this.readBack.look());
    // Whole commits that the cut has left are durable now, to the next cut, too. What is behind
    // them SQLite has passed over, and would write over: that is not durable before it is synced.
    this.syncedBytes = commitsEnd(wal);
    if (this.syncedBytes < left) truncateSync(wal, this.syncedBytes);
  }

  partition(topic: string, partition: number): PartitionLog {
    return this.readBack.partition(topic, partition);
  }

  partitions(): Iterable<PartitionLog> {
    return this.readBack.partitions();
  }

  progressShown(group: string, partition: number): Progress | null {
    return this.readBack.progress(group, partition);
  }

  progressDurable(group: string, partition: number): Progress | null {
    return this.readBack.progress(group, partition);
  }

  /** How often a partition has changed hands, over all of them. */
  get takeovers(): number {
    return this.readBack.takeovers;
  }

  close(): void {
    this.releaseLock();
    this.readBack.close();
    for (const place of this.places) rmSync(place, { recursive: true, force: true });
  }

  private watch(file: Inside, life: Life): void {
    const { chance, conditions, guard, onSyncFailed } = this.options;
    const sync = file.wal.sync.bind(file.wal);
    file.wal.sync = () => {
      if (chance.is(conditions.unknownChance)) {
        onSyncFailed(life);
        throw Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO" });
      }
      sync();
      this.syncedBytes = statSync(`${logPath(this.folder)}-wal`).size;
      guard(() => this.readBack.look());
    };
    const { writer } = file;
    const enqueue = writer.enqueue.bind(writer);
    writer.enqueue = (job) => {
      const written = enqueue(job);
      const { stall } = this;
      if (stall?.life === life && job.bytes > 0) {
        this.stall = null;
        stall.onStall();
      }
      return written;
    };
  }

  /** Between two steps of the writer. */
  private step(life: Life, name: string): void {
    const { doom } = this;
    const { chance, conditions } = this.options;
    if (name === "before commit" && chance.is(conditions.refusedChance)) {
      throw Object.assign(new Error("database or disk is full"), { code: "SQLITE_FULL" });
    }
    if (doom?.life !== life) return;
    doom.left -= 1;
    if (doom.left > 0) return;
    this.doom = null;
    life.isAlive = false; // nothing more happens to it, beside this throw
    const about = `${life.name} after "${name}"`;
    this.options.scheduler.after(0, { life: null, kind: "dies", about, run: doom.onDeath });
    throw new Error(`the process dies after "${name}"`);
  }

  private newFolder(): string {
    const memory = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
    const place = mkdtempSync(join(memory, "simulation-"));
    this.places.push(place);
    return join(place, "data");
  }
}

/** With one statement left open SQLite would keep the connection's files, run after run. */
function release(file: Inside): void {
  const { changes, wal, reader, seals, records, catalog, progressRows, membership } = file;
  const parts = [changes, wal, reader, seals, records, catalog, progressRows, membership.rows];
  for (const part of parts) part.close();
  file.writer.begin.finalize();
  file.writer.commit.finalize();
  file.database.close();
}

/** By "The Write-Ahead Log" of SQLite's file format. */
const WAL_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;

/** Where the last whole commit of a WAL ends. Frames of an earlier round have other salts. */
function commitsEnd(wal: string): number {
  const bytes = existsSync(wal) ? readFileSync(wal) : Buffer.alloc(0);
  if (bytes.length < WAL_HEADER_BYTES) return 0;
  const frameBytes = FRAME_HEADER_BYTES + bytes.readUInt32BE(8);
  const salts = bytes.subarray(16, 24);
  let end = WAL_HEADER_BYTES;
  for (let at = end; at + frameBytes <= bytes.length; at += frameBytes) {
    if (!bytes.subarray(at + 8, at + 16).equals(salts)) break;
    const isCommit = bytes.readUInt32BE(at + 4) !== 0;
    if (isCommit) end = at + frameBytes;
  }
  return end;
}
