/** Appends, commits and reads on a real broker, while the line to it breaks. */

import { expect, test } from "bun:test";
import { type Bounds, LogError, type NewRecord } from "../../../src/log/event-log.ts";
import { Appender } from "../../../src/log/kafka/appender.ts";
import { Connections } from "../../../src/log/kafka/connections.ts";
import { Fetcher } from "../../../src/log/kafka/fetcher.ts";
import type { IdempotentProducers } from "../../../src/log/kafka/idempotent-producer.ts";
import { CLOCK_AHEAD_MS } from "../../../src/log/kafka/limits.ts";
import { readRange, stableBounds } from "../../../src/log/kafka/offsets.ts";
import { declared, Topics } from "../../../src/log/kafka/topics.ts";
import { openTransactions } from "../../../src/log/kafka/transaction.ts";
import { until } from "../../end-to-end/program.ts";
import { freshPrefix, kafkaTest, testBrokers } from "../../kafka/broker.ts";
import { ApiKey, BrokenLine, type Fate } from "./broken-line.ts";
import { rejection } from "../../rejection.ts";

const PARTITIONS = 3;
const APPENDS = 200;
/** Requests and answers that are lost or cut, at least. */
const BREAKS = 10;
/** Of an answer for one partition: append time, the log's start, throttle time. */
const BEHIND_APPEND_TIME_BYTES = 8 + 8 + 4;

kafkaTest("each append is there once and in its order, however the line breaks", async () => {
  await using line = await BrokenLine.open();
  await using direct = await Direct.open();
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = randomFrom(seed);
  const fates: Fate[] = ["lose request", "lose answer", "cut answer"];
  let broken = 0;
  line.fate = (apiKey) => {
    if (apiKey !== ApiKey.produce || random() < 0.85) return "pass";
    broken += 1;
    return fates[Math.floor(random() * fates.length)] as Fate;
  };
  const connections = line.connections();
  const appender = new Appender({ connections, nowMs: Date.now, step: () => {} });
  const answered: Promise<readonly bigint[]>[] = [];
  // How many requests so many appends make depends on the machine: on until enough broke.
  const hasBrokenEnough = () => broken > BREAKS;
  for (let index = 0; index < APPENDS || !hasBrokenEnough(); index += 1) {
    answered.push(appender.append([direct.record(index % PARTITIONS, `${index}`)]));
    if (index >= APPENDS || random() < 0.3) await Promise.race(answered.slice(-2));
  }
  const offsets = (await Promise.all(answered)).flat();
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const found = await direct.read(partition);
    const wanted = offsets.flatMap((offset, index) =>
      index % PARTITIONS === partition ? [{ offset, value: `${index}` }] : [],
    );
    expect({ seed, partition, found }).toEqual({ seed, partition, found: wanted });
  }
  expect(broken).toBeGreaterThan(BREAKS);
  await appender.close();
  await connections.close();
});

kafkaTest("an append that the broker has forgotten the producer of is written once", async () => {
  await using direct = await Direct.open();
  const appender = new Appender({
    connections: direct.connections,
    nowMs: Date.now,
    step: () => {},
  });
  await appender.append([direct.record(0, "a")]);
  // As after a restart that lost its state: the sequence is not the one that comes next.
  const inside = appender as unknown as { readonly producers: IdempotentProducers };
  const { sequences } = await inside.producers.current();
  for (const lane of sequences.keys()) sequences.set(lane, 77);
  const offsets = await Promise.all(
    ["b", "c", "d"].map((value) => appender.append([direct.record(0, value)])),
  );
  expect(offsets.flat()).toEqual([1n, 2n, 3n]);
  expect((await direct.read(0)).map(({ value }) => value)).toEqual(["a", "b", "c", "d"]);
  await appender.close();
});

kafkaTest("a clock far ahead is told though the first append was sent again", async () => {
  await using line = await BrokenLine.open();
  await using direct = await Direct.open();
  await direct.awaitLeader(0); // or the append would be sent for that, too
  for (const fate of ["lose request", "lose answer"] as const) {
    const connections = line.connections();
    const nowMs = () => Date.now() + 2 * CLOCK_AHEAD_MS;
    const appender = new Appender({ connections, nowMs, step: () => {} });
    let sent = 0;
    line.fate = (apiKey) => {
      if (apiKey !== ApiKey.produce) return "pass";
      sent += 1;
      return sent === 1 ? fate : "pass";
    };
    const message = expect.stringContaining("ahead of the brokers'");
    const append = () => appender.append([direct.record(0, fate)]);
    expect(await rejection(append())).toMatchObject({ code: "outcome_unknown", message });
    expect(sent).toBe(2);
    expect(await rejection(append())).toMatchObject({ code: "unavailable", message });
    await appender.close();
    await connections.close();
  }
});

kafkaTest("brokers whose clock was behind and is set right are written to again", async () => {
  await using line = await BrokenLine.open();
  await using direct = await Direct.open();
  const connections = line.connections();
  const timeRecord = direct.record(1, "time");
  const appender = new Appender({ connections, nowMs: Date.now, step: () => {}, timeRecord });
  line.alter = (apiKey, answer) => {
    if (apiKey !== ApiKey.produce) return;
    const at = answer.length - BEHIND_APPEND_TIME_BYTES;
    answer.writeBigInt64BE(answer.readBigInt64BE(at) - BigInt(2 * CLOCK_AHEAD_MS), at);
  };
  const append = (value: string) => appender.append([direct.record(0, value)]);
  expect(await rejection(append("a"))).toMatchObject({ code: "outcome_unknown" });
  expect(await rejection(append("b"))).toMatchObject({ code: "unavailable" });
  line.alter = () => {};
  await until(
    () => appender.problem === null,
    () => "still refused",
  );
  expect(await append("c")).toEqual([1n]);
  await appender.close();
  await connections.close();
});

kafkaTest("a commit whose answer is lost is there or not, and is not asked for again", async () => {
  await using line = await BrokenLine.open();
  await using direct = await Direct.open();
  for (const fate of ["lose answer", "lose request"] as const) {
    const connections = line.connections();
    const transactionalId = `${direct.topic}-${fate}`;
    const options = { connections, transactionalId, nowMs: Date.now };
    const transactions = await openTransactions(options);
    const { end } = await direct.bounds(1);
    await transactions.begin([{ topic: direct.topic, partition: 1 }]);
    await transactions.write([direct.record(1, fate)]);
    let ends = 0;
    line.fate = (apiKey) => {
      if (apiKey !== ApiKey.endTransaction) return "pass";
      ends += 1;
      return fate;
    };
    expect(await rejection(transactions.commit())).toMatchObject({ code: "outcome_unknown" });
    expect(ends).toBe(1);
    // Whoever takes its place finds out: what the broker was told is there, the other is aborted.
    await openTransactions(options);
    const isThere = fate === "lose answer";
    const found = await direct.read(1, { start: end, end: end + 2n }); // the record, the marker
    expect(found).toEqual(isThere ? [{ offset: end, value: fate }] : []);
    await connections.close();
  }
});

kafkaTest("a reader goes on after an answer that broke off in the middle", async () => {
  await using line = await BrokenLine.open();
  await using direct = await Direct.open();
  const appender = new Appender({
    connections: direct.connections,
    nowMs: Date.now,
    step: () => {},
  });
  const values = Array.from({ length: 50 }, (_, index) => `${index}`.padEnd(2_000, "."));
  for (const value of values) await appender.append([direct.record(2, value)]);
  let fetches = 0;
  line.fate = (apiKey) => {
    if (apiKey !== ApiKey.fetch) return "pass";
    fetches += 1;
    return fetches < 4 ? "cut answer" : "pass";
  };
  const [quick, waiting] = [line.connections(), line.connections()];
  const fetcher = new Fetcher({ quick, waiting });
  const place = { topic: direct.topic, partition: 2 };
  const records = await readRange(fetcher, place, { from: 0n, until: BigInt(values.length) });
  expect(records.map(({ value }) => String(value))).toEqual(values);
  fetcher.close();
  await appender.close();
  await Promise.all([quick.close(), waiting.close()]);
});

kafkaTest("closing does not wait for a broker that hangs", async () => {
  await using line = await BrokenLine.open();
  const connections = line.connections();
  await connections.metadata([]);
  line.fate = () => "hang";
  const asked = connections.metadata([]).catch((error: unknown) => error);
  await connections.close();
  expect(await asked).toBeInstanceOf(LogError);
});

test("a broker that is gone is not stormed with connections", async () => {
  await using gone = await countingServer();
  const connections = new Connections({
    brokers: [`127.0.0.1:${gone.port}`],
    clientId: "storm",
    tls: null,
    sasl: null,
  });
  const endMs = performance.now() + 1_000;
  const asks = Array.from({ length: 50 }, async () => {
    while (performance.now() < endMs) {
      await connections.metadata([]).catch(() => {});
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
  await Promise.all(asks);
  expect(gone.count()).toBeGreaterThan(1);
  expect(gone.count()).toBeLessThan(8);
  await connections.close();
});

/** The cluster without the line, and a topic of its own. */
class Direct implements AsyncDisposable {
  private readonly fetcher: Fetcher;

  private constructor(
    readonly connections: Connections,
    private readonly others: readonly [Connections, Connections],
    readonly topic: string,
  ) {
    this.fetcher = new Fetcher({ quick: others[0], waiting: others[1] });
  }

  static async open(): Promise<Direct> {
    const brokers = (await testBrokers()).split(",");
    const connect = () => new Connections({ brokers, clientId: "test", tls: null, sasl: null });
    const direct = new Direct(connect(), [connect(), connect()], `${freshPrefix()}events`);
    const spec = { name: "events", partitions: PARTITIONS, cleanup: "keep", retentionMs: null };
    await new Topics(direct.connections).ensure([
      declared(direct.topic, spec as Parameters<typeof declared>[1]),
    ]);
    return direct;
  }

  record(partition: number, value: string): NewRecord {
    return { topic: this.topic, partition, key: Buffer.from("key"), value: Buffer.from(value) };
  }

  /** The controller names a leader a moment before that one takes records. */
  async awaitLeader(partition: number): Promise<void> {
    const { connections } = this;
    const appender = new Appender({ connections, nowMs: Date.now, step: () => {} });
    await appender.append([this.record(partition, "first")]);
    await appender.close();
  }

  bounds(partition: number): Promise<Bounds> {
    return stableBounds(this.connections, { topic: this.topic, partition });
  }

  /** What is there, or what will be there: waits until it has read to the end. */
  async read(partition: number, bounds?: Bounds): Promise<{ offset: bigint; value: string }[]> {
    const { start, end } = bounds ?? (await this.bounds(partition));
    const place = { topic: this.topic, partition };
    const records = await readRange(this.fetcher, place, { from: start, until: end });
    return records.map(({ offset, value }) => ({ offset, value: String(value) }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.fetcher.close();
    await Promise.all([this.connections, ...this.others].map((each) => each.close()));
  }
}

/** Counts who knocks, and closes the door at once. */
async function countingServer() {
  let count = 0;
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => {
        count += 1;
        socket.end();
      },
      data: () => {},
    },
  });
  return {
    port: server.port,
    count: () => count,
    [Symbol.asyncDispose]: async () => server.stop(true),
  };
}

/** Mulberry32: small, and enough to choose faults. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
