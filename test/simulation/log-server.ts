/**
 * The simulated log itself, as a broker or a file would be: topics, progress and small values, in
 * memory. What is written is first unsynced; a sync makes it durable, and only then is it
 * answered and shown.
 *
 *   write ──> unsynced ──sync──> durable ──> answers      power cut: a part of the unsynced is lost
 *                                   └──> visible, at once (one file) or partition by partition
 */

import {
  LogError,
  type LogRecord,
  type NewRecord,
  type Progress,
  type TopicSpec,
} from "../../src/log/event-log.ts";
import { recordChecksum } from "../../src/log/record-checksum.ts";
import type { Chance } from "./chance.ts";
import { type Conditions, latencyUs } from "./conditions.ts";
import type { LogSide } from "./log-side.ts";
import { PartitionLog } from "./partition-log.ts";
import type { Scheduler } from "./scheduler.ts";

/** The log's clock when a run begins, Unix milliseconds. */
export const START_MS = 1_790_000_000_000;

export interface StoredRecord extends LogRecord {
  /** Its place in the whole log. */
  readonly sequence: number;
}

/** What is written and synced together. */
export interface Transaction {
  readonly records: readonly StoredRecord[];
  readonly progress: { readonly place: string; readonly value: Progress } | null;
  /** Of a group's commit; null for an append. */
  readonly committed: { readonly group: string; readonly partition: number } | null;
  readonly onDurable: () => void;
  readonly onLost: () => void;
}

/** Who looks on from outside. */
export interface LogObserver {
  durable(transaction: Transaction): void;
}

export class LogServer implements LogSide {
  readonly incarnation = "simulated";
  readonly meta = new Map<string, string>();
  /** As written, which decides; and as readers are shown it. */
  private readonly progress = new Map<string, Progress>();
  private readonly durableProgress = new Map<string, Progress>();
  private readonly visibleProgress = new Map<string, Progress>();
  private readonly topics = new Map<string, PartitionLog[]>();
  private unsynced: Transaction[] = [];
  private isSyncing = false;
  private powerCuts = 0;
  private sequence = 0;
  /** Something that readers may see has changed. */
  onChange: () => void = () => {};

  constructor(
    readonly options: {
      readonly scheduler: Scheduler;
      readonly chance: Chance;
      readonly conditions: Conditions;
      readonly keepsChangelogs: boolean;
      readonly observer: LogObserver;
    },
  ) {}

  get keepsChangelogs(): boolean {
    return this.options.keepsChangelogs;
  }

  get nowMs(): number {
    return START_MS + Math.floor(this.options.scheduler.nowUs / 1_000);
  }

  ensure(specs: readonly TopicSpec[]): void {
    for (const { name, partitions } of specs) {
      if (this.topics.has(name)) continue;
      const each = Array.from({ length: partitions }, (_, index) => new PartitionLog(name, index));
      this.topics.set(name, each);
    }
  }

  partition(topic: string, partition: number): PartitionLog {
    const found = this.topics.get(topic)?.[partition];
    if (found !== undefined) return found;
    throw new LogError("unknown_topic", `there is no ${topic} partition ${partition}`);
  }

  /** Every partition, in order. */
  *partitions(): Generator<PartitionLog> {
    for (const each of this.topics.values()) yield* each;
  }

  partitionsOf(topic: string): number {
    this.partition(topic, 0);
    return this.topics.get(topic)?.length ?? 0;
  }

  /** As the next commit must build on it. */
  writtenProgress(group: string, partition: number): Progress | null {
    return this.progress.get(`${group}/${partition}`) ?? null;
  }

  progressShown(group: string, partition: number): Progress | null {
    return this.visibleProgress.get(`${group}/${partition}`) ?? null;
  }

  /** As durable: what a new owner begins with. */
  progressDurable(group: string, partition: number): Progress | null {
    return this.durableProgress.get(`${group}/${partition}`) ?? null;
  }

  /** Gives records their offsets. */
  write(records: readonly NewRecord[]): StoredRecord[] {
    return records.map((record) => {
      const { topic, partition, key, value, headers = [], notBeforeMs = 0 } = record;
      const log = this.partition(topic, partition);
      const stored: StoredRecord = {
        ...{ topic, partition, key, value, headers },
        offset: BigInt(log.nextOffset),
        timestampMs: Math.max(this.nowMs, notBeforeMs),
        checksum: recordChecksum({ key, value, headers }),
        sequence: this.sequence++,
      };
      log.nextOffset += 1;
      log.records.push(stored);
      return stored;
    });
  }

  /** Takes what was written, or nothing, into the next sync. */
  enqueue(transaction: Transaction): void {
    const { progress } = transaction;
    if (progress !== null) this.progress.set(progress.place, progress.value);
    // A transaction's end may take an offset of its own, as Kafka's markers do: nobody may count
    // on it, nor on its absence.
    const { keepsChangelogs, chance } = this.options;
    if (keepsChangelogs && transaction.committed !== null && chance.is(0.5)) {
      for (const log of this.touched(transaction)) log.nextOffset += 1;
    }
    this.unsynced.push(transaction);
    this.sync();
  }

  /** Part of what is not synced is lost, from some point on. */
  powerCut(): void {
    this.powerCuts += 1;
    this.isSyncing = false;
    const kept = this.options.chance.below(this.unsynced.length + 1);
    const lost = this.unsynced.splice(kept);
    const ends = new Map<PartitionLog, number>();
    for (const { records } of lost) {
      for (const { topic, partition, offset } of records) {
        const log = this.partition(topic, partition);
        if (!ends.has(log)) ends.set(log, Number(offset));
      }
    }
    for (const [log, end] of ends) log.truncate(end);
    for (const { progress } of lost) {
      if (progress !== null) this.progress.delete(progress.place);
    }
    for (const [place, value] of this.durableProgress) {
      if (!this.progress.has(place)) this.progress.set(place, value);
    }
    for (const { progress } of this.unsynced) {
      if (progress !== null) this.progress.set(progress.place, progress.value);
    }
    for (const { onLost } of lost) onLost();
    this.sync();
  }

  get isIdle(): boolean {
    return this.unsynced.length === 0;
  }

  /** One at a time; what is written meanwhile waits for the next. */
  private sync(): void {
    if (this.isSyncing || this.unsynced.length === 0) return;
    this.isSyncing = true;
    const { scheduler, chance, conditions } = this.options;
    const count = this.unsynced.length;
    const powerCuts = this.powerCuts;
    scheduler.after(50 + chance.below(conditions.fsyncUs), {
      ...{ life: null, kind: "sync", about: count },
      run: () => {
        if (this.powerCuts !== powerCuts) return;
        this.isSyncing = false;
        for (const transaction of this.unsynced.splice(0, count)) this.makeDurable(transaction);
        this.sync();
      },
    });
  }

  private makeDurable(transaction: Transaction): void {
    const { progress, records } = transaction;
    for (const log of this.touched(transaction)) {
      const last = records.findLast(
        ({ topic, partition }) => topic === log.topic && partition === log.partition,
      );
      log.durableEnd = Number(last?.offset) + 1;
      this.show(() => log.show(log.durableEnd));
    }
    if (progress !== null) {
      const { place, value } = progress;
      this.durableProgress.set(place, value);
      this.show(() => this.visibleProgress.set(place, this.durableProgress.get(place) ?? value));
    }
    this.options.observer.durable(transaction);
    transaction.onDurable();
    if (!this.options.keepsChangelogs) this.onChange();
  }

  /** One file shows all at once; brokers show each partition when they come to it. */
  private show(show: () => void): void {
    if (!this.options.keepsChangelogs) return show();
    const { scheduler, chance, conditions } = this.options;
    const run = () => {
      show();
      this.onChange();
    };
    const event = { life: null, kind: "show", about: null, run };
    scheduler.after(latencyUs(conditions, chance), event);
  }

  private touched({ records }: Transaction): Set<PartitionLog> {
    return new Set(records.map(({ topic, partition }) => this.partition(topic, partition)));
  }
}
