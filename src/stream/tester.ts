/**
 * The test driver: runs a real topology on a log in memory, and waits for nothing.
 *
 *   send ──> streams ──the groups' own tasks──> rows, messages, dead letters ──> what a test reads
 *
 * After goka's tester and Kafka Streams' TopologyTestDriver; different from both, it has several
 * partitions, runs the very tasks, commits and stores that a program runs, and can lose a store or
 * restart, so that a test sees what recovery gives. Time is the test's: it stands still until the
 * test moves it.
 */

import type { EventLog, LogRecord, NewRecord } from "../log/event-log.ts";
import { type DeadLetter, isDeadLetter, readDeadLetter } from "./dead-letter.ts";
import { createEmitter, type Emission } from "./emitter.ts";
import { deadLetterTopic, type Group, type RowKind, type Stream, tableName } from "./group.ts";
import { ID_HEADER } from "./ids.ts";
import type { Position } from "./position.ts";
import { type Processor, startProcessor } from "./processor.ts";
import { Settling, type StreamPosition, whenSettled } from "./settling.ts";
import type { Store } from "./store.ts";
import { Stores } from "./stores.ts";
import { defineTopology, topicSpecs } from "./topology.ts";
import { type KeyedRow, View } from "./view.ts";

const DEFAULT_PARTITIONS = 4;

const decoder = new TextDecoder();

export interface TesterOptions {
  readonly groups: readonly Group[];
  /** Opens an empty log whose clock is `nowMs`: in memory, for speed. */
  readonly openLog: (nowMs: () => number) => EventLog;
  /** 4 unless told. */
  readonly partitions?: number;
  /** Unix milliseconds at the start; 0 unless told. */
  readonly startMs?: number;
}

export interface Sent<M> extends Position {
  readonly key: string;
  readonly message: M;
  readonly id: string | null;
  readonly timestampMs: number;
}

export class Tester {
  /** Set it at will. Records get it as their timestamp. */
  nowMs: number;
  readonly log: EventLog;
  private readonly topology;
  private readonly partitions: number;
  private stores: Stores;
  private views = new Map<string, View>();
  private processors: Processor[] = [];

  /** Use `createTester`. */
  constructor(options: TesterOptions) {
    this.nowMs = options.startMs ?? 0;
    this.partitions = options.partitions ?? DEFAULT_PARTITIONS;
    this.topology = defineTopology(options.groups);
    this.log = options.openLog(() => this.nowMs);
    this.stores = new Stores(":memory:", this.log.incarnation);
  }

  /** Creates the topics and starts every group. */
  async start(): Promise<void> {
    const { log, partitions, topology } = this;
    const { keepsChangelogs } = log;
    await log.ensureTopics(topicSpecs(topology, { partitions, keepsChangelogs }));
    this.run();
  }

  /** Writes messages in order; resolves with their positions once durable, not yet processed. */
  send<M>(stream: Stream<M>, ...emissions: Emission<M>[]): Promise<readonly Position[]> {
    return createEmitter({ log: this.log, stream, partitions: this.partitions }).emitAll(emissions);
  }

  /** Writes a record as another client of the log might. */
  async sendRaw(record: NewRecord): Promise<Position> {
    const [offset] = await this.log.append([record]);
    return { partition: record.partition, offset: offset as bigint };
  }

  /**
   * Resolves when everything sent so far has gone through every group. Rejects with the error of
   * a partition that stands still; when the signal fires, with what is waited for.
   */
  async settle(signal?: AbortSignal): Promise<void> {
    const positions = await this.ends();
    // Before anything waits: who hears of a change first must find the views as they are then.
    for (const group of this.topology.groups) this.view(group);
    const failed = new AbortController();
    const look = () => {
      if (this.failure() !== null) failed.abort();
    };
    const stopListening = this.log.onChange(look);
    look();
    const pending = await whenSettled({
      log: this.log,
      settling: new Settling(this.topology, positions),
      progressOf: (name, partition) => {
        const group = this.topology.groups.find((each) => each.name === name) as Group;
        return this.view(group).progress(partition);
      },
      signal: AbortSignal.any([failed.signal, ...(signal === undefined ? [] : [signal])]),
    });
    stopListening();
    if (pending === null) return;
    throw (
      this.failure() ??
      new Error(
        `${pending.group} has not passed ${pending.topic} ${pending.partition}-${pending.offset}`,
      )
    );
  }

  /** Of a group's table, as a program has it; until `restart` with lost stores. */
  view(group: Group): View {
    const { log, stores, partitions } = this;
    const view = this.views.get(group.name) ?? new View({ log, group, stores, partitions });
    this.views.set(group.name, view);
    return view;
  }

  /** One row of a group; null when there is none. */
  row<R>(group: Group, key: string, kind: RowKind<R>, subKey?: Uint8Array): R | null {
    return this.view(group).get(key, kind, subKey);
  }

  /** A partition of a table as it is stored; null while it is not. Close it before the tester. */
  stored(group: Pick<Group, "name">, partition: number): Store | null {
    return this.stores.openForReading(tableName(group), partition);
  }

  /** All rows of a kind, by partition and stored key. */
  rows<R>(group: Group, kind: RowKind<R>): KeyedRow<R>[] {
    const view = this.view(group);
    return this.eachPartition().flatMap((partition) => [...view.scan(partition, kind)]);
  }

  /** All messages of a stream, by partition and offset. Throws on a record that is none. */
  async messages<M>(stream: Stream<M>): Promise<Sent<M>[]> {
    return (await this.records(stream.topic)).map((record) => ({
      partition: record.partition,
      offset: record.offset,
      key: decoder.decode(record.key),
      message: stream.codec.decode(record.value ?? new Uint8Array()),
      id: idOf(record),
      timestampMs: record.timestampMs,
    }));
  }

  async deadLetters(group: Group): Promise<DeadLetter[]> {
    const records = await this.records(deadLetterTopic(group));
    return records.filter(isDeadLetter).map(readDeadLetter);
  }

  /** Ends every task and starts them again; `losesStores`: on a new disk, from the log alone. */
  async restart({ losesStores = false } = {}): Promise<void> {
    await this.stop();
    if (losesStores) {
      for (const view of this.views.values()) view.close();
      this.views = new Map();
      this.stores = new Stores(":memory:", this.log.incarnation);
    }
    this.run();
  }

  async close(): Promise<void> {
    await this.stop();
    for (const view of this.views.values()) view.close();
    await this.log.close();
  }

  private run(): void {
    const { log, stores, partitions } = this;
    this.processors = this.topology.groups.map((group) =>
      startProcessor({ log, group, stores, partitions, delay: () => Promise.resolve() }),
    );
  }

  private async stop(): Promise<void> {
    await Promise.all(this.processors.map((processor) => processor.stop()));
  }

  private failure(): Error | null {
    for (const processor of this.processors) {
      for (const { phase, error } of processor.state()) if (phase === "stopped") return error;
    }
    return null;
  }

  private eachPartition(): number[] {
    return Array.from({ length: this.partitions }, (_, partition) => partition);
  }

  private async ends(): Promise<StreamPosition[]> {
    const ends: StreamPosition[] = [];
    for (const { topic } of this.topology.streams) {
      for (const partition of this.eachPartition()) {
        const { start, end } = await this.log.bounds(topic, partition);
        if (end > start) ends.push({ topic, partition, offset: end - 1n });
      }
    }
    return ends;
  }

  private async records(topic: string): Promise<LogRecord[]> {
    const all: LogRecord[] = [];
    for (const partition of this.eachPartition()) {
      const { start, end } = await this.log.bounds(topic, partition);
      for await (const batch of this.log.read({ topic, partition, from: start, until: end })) {
        all.push(...batch);
      }
    }
    return all;
  }
}

/** A started tester. Close it after the test. */
export async function createTester(options: TesterOptions): Promise<Tester> {
  const tester = new Tester(options);
  await tester.start();
  return tester;
}

function idOf(record: LogRecord): string | null {
  const header = record.headers.find(([name]) => name === ID_HEADER);
  return header === undefined ? null : decoder.decode(header[1]);
}
