/** Gaps that the broker's own cleaner has made: at the start, in the middle and at the end. */

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import type { Transaction } from "kafkajs";
import { Appender } from "../../../src/log/kafka/appender.ts";
import { HEADER_BYTES, readBatch } from "../../../src/log/kafka/batch-header.ts";
import { Connections } from "../../../src/log/kafka/connections.ts";
import { fetch } from "../../../src/log/kafka/fetch-request.ts";
import { Fetcher } from "../../../src/log/kafka/fetcher.ts";
import { readRange, recordBounds, stableBounds } from "../../../src/log/kafka/offsets.ts";
import { changeTopicSettings } from "../../../src/log/kafka/topic-settings.ts";
import { temporaryFolder } from "../../end-to-end/program.ts";
import { freshPrefix } from "../broker.ts";
import { foreignClient, makeTopic } from "../foreign-client.ts";
import { missingForBroker } from "../java.ts";
import { KafkaCluster } from "../kafka-cluster.ts";
import { GroupsHere } from "./groups-here.ts";

/** A cleaner that looks so often is a setting of the whole broker. */
const missing = await missingForBroker();
const CLUSTER_MS = 60_000;
const TEST_MS = 90_000;
const CLEANED_WITHIN_MS = 60_000;
const CLEANED_SOON = {
  "segment.ms": "100",
  "min.cleanable.dirty.ratio": "0.001",
  "min.compaction.lag.ms": "0",
};
const KEYS = ["a", "b", "c"];
/** The row that says which changelog it is. */
const ROWS_FOR_GOOD = 1;
/** What is looked at to see that the broker has nothing there. */
const LOOK_BYTES = 1_024;

let cluster: KafkaCluster | null = null;
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  if (missing !== null) return;
  cluster = await KafkaCluster.start({ settings: { "log.cleaner.backoff.ms": "50" } });
}, CLUSTER_MS);

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

afterAll(() => cluster?.close());

// Skipped: without Java 17 and Maven no broker can be started.
const cleanedTest = test.skipIf(missing !== null);

cleanedTest("a compacted topic is read from any offset, whatever was cleaned away", async () => {
  const topic = await CleanedTopic.make();
  while ((await topic.firstThereAt(0n)) < 60n) await topic.rewriteEachKey();
  const { start, end } = await topic.stable();
  for (let from = start; from < end; from += 1n) {
    const found = await topic.read(from, end);
    topic.check(found, from);
    topic.check(await topic.read(from, from + 1n), from, from + 1n);
  }
  const last = topic.newest.values().reduce((a, b) => (a > b ? a : b));
  expect(await topic.recordBounds()).toEqual({ start, end: last + 1n });
}, TEST_MS);

cleanedTest("its end is found behind the newest record, however much is gone there", async () => {
  const topic = await CleanedTopic.make();
  for (let round = 0; round < 4; round += 1) await topic.rewriteEachKey();
  const last = await topic.rewriteEachKey();
  while ((await topic.firstThereAt(last + 1n)) < last + 40n) await topic.abort();
  const { start, end } = await topic.stable();
  expect(end).toBeGreaterThan(last + 40n);
  expect(await topic.recordBounds()).toEqual({ start, end: last + 1n });
  for (let from = last + 1n; from < end; from += 1n) {
    expect(await topic.read(from, end)).toEqual([]);
  }
}, TEST_MS);

cleanedTest("it may hold nothing any more, and is read to its end all the same", async () => {
  const topic = await CleanedTopic.make();
  await topic.rewriteEachKey();
  const last = await topic.removeEachKey();
  while ((await topic.firstThereAt(0n)) <= last) await topic.abort();
  const { start, end } = await topic.stable();
  expect(await topic.recordBounds()).toEqual({ start, end: start });
  for (const from of [start, last, last + 1n, end - 1n, end]) {
    expect(await topic.read(from, end)).toEqual([]);
  }
}, TEST_MS);

cleanedTest("tables are caught up and built anew from a changelog that was cleaned", async () => {
  const brokers = running().addresses();
  const prefix = freshPrefix();
  using folder = temporaryFolder();
  const machine = (name: string) =>
    GroupsHere.start({ brokers, prefix, folder: join(folder.path, name), partitions: 1 });
  const wallet = "alice";
  let total = 0n;
  const deposit = async (groups: GroupsHere) => {
    await groups.deposit(wallet, 5n);
    await groups.settled();
    total += 5n;
  };
  {
    await using first = await machine("first");
    for (let count = 0; count < 5; count += 1) await deposit(first);
  }
  const changelog = await CleanedTopic.at(`${prefix}balance-table`);
  await changelog.cleanSoon();
  const leftAt = (await changelog.stable()).end;
  {
    await using second = await machine("second");
    for (let count = 0; count < 10; count += 1) await deposit(second);
    while ((await changelog.recordsBefore(leftAt + 10n)) > ROWS_FOR_GOOD) await deposit(second);
  }
  // One store stands where nothing is any more, the other is built from nothing.
  for (const name of ["first", "third"]) {
    await using groups = await machine(name);
    await deposit(groups);
    expect([name, groups.balance(wallet)]).toEqual([name, total]);
  }
}, TEST_MS);

function running(): KafkaCluster {
  if (cluster === null) throw new Error("no cluster runs");
  return cluster;
}

/** A topic of one partition, and what was written to it. */
class CleanedTopic {
  /** Offset of each key's newest record. */
  readonly newest = new Map<string, bigint>();
  private readonly written = new Map<bigint, string>();
  private readonly endMs = performance.now() + CLEANED_WITHIN_MS;

  private constructor(
    private readonly topic: string,
    private readonly connections: Connections,
    private readonly fetcher: Fetcher,
    private readonly appender: Appender,
  ) {}

  static async make(): Promise<CleanedTopic> {
    const topic = `${freshPrefix()}table`;
    const settings = { "cleanup.policy": "compact", "delete.retention.ms": "0", ...CLEANED_SOON };
    await makeTopic(foreignClient(running().addresses()), topic, { settings });
    return CleanedTopic.at(topic);
  }

  static async at(topic: string): Promise<CleanedTopic> {
    const brokers = [running().addresses()];
    const connect = () => {
      const connections = new Connections({ brokers, clientId: "test", tls: null, sasl: null });
      closing.push(() => connections.close());
      return connections;
    };
    const connections = connect();
    await connections.metadata([topic]);
    const fetcher = new Fetcher({ quick: connect(), waiting: connect() });
    const appender = new Appender({ connections, nowMs: Date.now, step: () => {} });
    closing.push(() => appender.close(), async () => fetcher.close());
    return new CleanedTopic(topic, connections, fetcher, appender);
  }

  async cleanSoon(): Promise<void> {
    const settings = CLEANED_SOON;
    await changeTopicSettings(await this.connections.any(), [{ name: this.topic, settings }]);
  }

  /** Resolves with the last offset. */
  rewriteEachKey(): Promise<bigint> {
    return this.append((key) => Buffer.from(`${key} again`));
  }

  removeEachKey(): Promise<bigint> {
    return this.append(() => null);
  }

  /** A record and a marker that nobody is to see; what stands before them can be cleaned. */
  async abort(): Promise<void> {
    const foreign = foreignClient(running().addresses());
    const once = { idempotent: true, maxInFlightRequests: 1 };
    const producer = foreign.producer({ transactionalId: this.topic, ...once });
    await producer.connect();
    const abortOne = async (transaction: Transaction) => {
      await transaction.send({ topic: this.topic, messages: [{ key: "z", value: "aborted" }] });
      await transaction.abort();
    };
    for (let count = 0; count < 10; count += 1) await abortOne(await producer.transaction());
    await producer.disconnect();
  }

  stable() {
    return stableBounds(this.connections, this.place);
  }

  recordBounds() {
    return recordBounds(this.connections, this.fetcher, this.place);
  }

  async read(from: bigint, to: bigint): Promise<{ offset: bigint; key: string }[]> {
    const records = await readRange(this.fetcher, this.place, { from, until: to });
    return records.map(({ offset, key }) => ({ offset, key: String(key) }));
  }

  /** Records as they were written, in order, the newest of each key among them. */
  check(found: readonly { offset: bigint; key: string }[], from: bigint, to?: bigint): void {
    const isWithin = (offset: bigint) => offset >= from && (to === undefined || offset < to);
    const offsets = found.map(({ offset }) => offset);
    expect(offsets).toEqual([...offsets].sort((a, b) => Number(a - b)));
    expect(offsets.every(isWithin)).toBe(true);
    for (const { offset, key } of found) expect(this.written.get(offset)).toBe(key);
    expect(offsets).toEqual(expect.arrayContaining([...this.newest.values()].filter(isWithin)));
  }

  /** The first offset at or behind one where the broker still has a record or a marker. */
  async firstThereAt(offset: bigint): Promise<bigint> {
    this.checkTime();
    const broker = await this.connections.leader(this.topic, 0);
    const { id: topicId } = await this.connections.topic(this.topic);
    const partitions = [{ topicId, partition: 0, offset }];
    const limits = { waitMs: 0, bytes: LOOK_BYTES, partitionBytes: LOOK_BYTES };
    const [result] = await fetch(broker, { ...limits, partitions });
    let bytes = result?.records ?? Buffer.alloc(0);
    while (bytes.length >= HEADER_BYTES) {
      const { baseOffset, count, size } = readBatch(bytes, 0);
      if (count > 0) return baseOffset > offset ? baseOffset : offset;
      bytes = bytes.subarray(size); // compaction leaves a batch's header to tell its producer
    }
    return result?.lastStableOffset ?? offset;
  }

  /** Records alone: the markers of transactions stay for as long as tombstones do. */
  async recordsBefore(offset: bigint): Promise<number> {
    this.checkTime();
    const { start } = await this.stable();
    return (await this.read(start, offset)).length;
  }

  private checkTime(): void {
    if (performance.now() < this.endMs) return;
    throw new Error(`${this.topic} was not cleaned within ${CLEANED_WITHIN_MS} ms`);
  }

  private get place() {
    return { topic: this.topic, partition: 0 };
  }

  /** One batch a key. */
  private async append(valueOf: (key: string) => Buffer | null): Promise<bigint> {
    for (const key of KEYS) {
      const record = { ...this.place, key: Buffer.from(key), value: valueOf(key) };
      const [offset = -1n] = await this.appender.append([record]);
      this.written.set(offset, key);
      this.newest.set(key, offset);
    }
    return this.newest.get(KEYS.at(-1) as string) as bigint;
  }
}
