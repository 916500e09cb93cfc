/** Where requests go while a cluster changes, with brokers that the test makes up. */

import { expect, test } from "bun:test";
import type Broker from "kafkajs/src/broker/index.js";
import type { Brokers } from "../../../src/log/kafka/brokers.ts";
import { Connections } from "../../../src/log/kafka/connections.ts";
import { NO_UUID } from "../../../src/log/kafka/flexible-bytes.ts";
import {
  CONNECT_MS,
  OUTDATED_WITHIN_MS,
  REPLICATE_WITHIN_MS,
  SILENT_MS,
} from "../../../src/log/kafka/limits.ts";
import { retrying } from "../../../src/log/kafka/retry.ts";
import { FETCH, METADATA, metadata, produce } from "../../../src/log/kafka/wire.ts";
import { until } from "../../end-to-end/program.ts";
import { inTime } from "../../in-time.ts";
import { FakeBroker, type FakeCluster } from "./fake-broker.ts";

const TOPIC = "events";
const TOPIC_ID = "AQIDBAUGBwgJCgsMDQ4PEA";
/** Less than the time-out of a connection, which is what it took. */
const SOON_MS = CONNECT_MS / 2;
/** Of this program, between two steps. */
const BUSY_MS = 50;
/** Asked for every 300 ms, and by all at once. */
const MOST_QUESTIONS = 12;

test("a request for a leader that is gone without a word goes to the next one", async () => {
  await using scene = await Scene.open();
  const { connections, cluster, gone, living } = scene;
  const asked = Array.from({ length: 50 }, () => connections.leader(TOPIC, 0));
  await until(() => gone.asked.length > 0, () => "nobody asks the leader that is gone");
  cluster.leader = LIVING;
  const startMs = performance.now();
  const found = await Promise.all(asked);
  expect(performance.now() - startMs).toBeLessThan(SOON_MS);
  expect(new Set(found.map(({ nodeId }) => nodeId))).toEqual(new Set([LIVING]));
  expect(living.asked.length).toBeLessThan(MOST_QUESTIONS);
});

test("a request for a coordinator that is gone without a word goes to the next one", async () => {
  await using scene = await Scene.open();
  const { connections, cluster, gone, living } = scene;
  const asked = Array.from({ length: 50 }, () => connections.coordinator("group", "counters"));
  await until(() => gone.asked.length > 0, () => "nobody asks the coordinator that is gone");
  cluster.coordinator = LIVING;
  const startMs = performance.now();
  const found = await Promise.all(asked);
  expect(performance.now() - startMs).toBeLessThan(SOON_MS);
  expect(new Set(found.map(({ nodeId }) => nodeId))).toEqual(new Set([LIVING]));
  expect(living.asked.length).toBeLessThan(MOST_QUESTIONS);
});

test("questions wait behind no write, once the broker that answered them is gone", async () => {
  await using scene = await Scene.open(GONE);
  const { connections, cluster, gone, living } = scene;
  Object.assign(cluster, { leader: LIVING });
  gone.cluster = cluster;
  const leader = await connections.leader(TOPIC, 0);
  const written = produce(leader, WRITE).catch((error: unknown) => error);
  await until(() => living.isBusy, () => "nothing is written");
  await gone[Symbol.asyncDispose]();
  connections.forget(TOPIC);
  const startMs = performance.now();
  const ask = () => connections.partitions(TOPIC);
  expect(await retrying(ask, { withinMs: REPLICATE_WITHIN_MS, what: "ask" })).toEqual([LIVING]);
  expect(performance.now() - startMs).toBeLessThan(SOON_MS);
  await connections.close();
  expect(await written).toBeInstanceOf(Error);
});

test("what waits for a broker that has left the cluster without a word is told", async () => {
  await inTime(2 * SILENT_MS, async () => {
    await using scene = await Scene.open();
    const { connections, cluster, gone, living } = scene;
    gone.cluster = cluster;
    const written = produce(await connections.leader(TOPIC, 0), WRITE).catch(String);
    await until(() => gone.isBusy, () => "nothing is written");
    Object.assign(cluster, { ports: { [LIVING]: living.port }, leader: LIVING });
    const startMs = performance.now();
    const error = await written;
    const tookMs = performance.now() - startMs;
    expect(error).toContain("has left the cluster");
    connections.forget(TOPIC);
    expect((await connections.leader(TOPIC, 0)).nodeId).toBe(LIVING);
    return tookMs;
  });
});

test("what waits for a broker that takes its time goes on waiting", async () => {
  await using scene = await Scene.open();
  const { connections, cluster, gone, living } = scene;
  gone.cluster = cluster;
  const leader = await connections.leader(TOPIC, 0);
  let ended: unknown = null;
  const written = produce(leader, WRITE).catch((error: unknown) => {
    ended = error;
  });
  const { length } = living.asked;
  await until(() => living.asked.length > length + 1, () => "nobody asks twice where it is");
  expect(ended).toBeNull();
  await connections.close();
  await written;
});

test("a question to a broker that is gone without a word is put to another", async () => {
  await inTime(2 * SILENT_MS, async () => {
    await using scene = await Scene.open(GONE);
    const { connections, cluster, gone } = scene;
    gone.cluster = cluster;
    await connections.metadata([]);
    gone.cluster = null;
    const { brokers } = connections as unknown as { readonly brokers: Brokers };
    const ask = async (broker: Broker) => {
      await Bun.sleep(BUSY_MS); // it leaves later than it is put
      return metadata(broker, []);
    };
    const startMs = performance.now();
    expect((await brokers.ask(ask)).brokers.length).toBe(2);
    return performance.now() - startMs;
  });
});

test("who leads is asked of another, while what one says is refuted again and again", async () => {
  await using scene = await Scene.open(GONE);
  const { connections, cluster, gone } = scene;
  gone.cluster = { ...cluster }; // cut off from the others: what it knows stays as it was
  Object.assign(cluster, { leader: LIVING, coordinator: LIVING });
  expect((await connections.leader(TOPIC, 0)).nodeId).toBe(GONE);
  const startMs = performance.now();
  const isFound = async () => {
    connections.forget(TOPIC);
    return (await connections.leader(TOPIC, 0)).nodeId === LIVING;
  };
  await until(isFound, () => "only the broker that is cut off is asked");
  expect(performance.now() - startMs).toBeLessThan(OUTDATED_WITHIN_MS / 2);
  expect((await connections.coordinator("group", "counters")).nodeId).toBe(LIVING);
});

test("a coordinator that is refuted again and again is asked of another", async () => {
  await using scene = await Scene.open(GONE);
  const { connections, cluster, gone } = scene;
  gone.cluster = { ...cluster };
  cluster.coordinator = LIVING;
  await connections.metadata([]); // there is another
  const isFound = async () => {
    connections.forgetCoordinator("group", "counters");
    return (await connections.coordinator("group", "counters")).nodeId === LIVING;
  };
  await until(isFound, () => "only the broker that is cut off is asked");
});

test("after a write that waited for long in vain another is asked at once", async () => {
  await using scene = await Scene.open(GONE);
  const { connections, cluster, gone, living } = scene;
  gone.cluster = { ...cluster };
  cluster.leader = LIVING;
  const ask = () => connections.leader(TOPIC, 0);
  expect((await ask()).nodeId).toBe(GONE);
  connections.forget(TOPIC, performance.now() - REPLICATE_WITHIN_MS);
  expect((await ask()).nodeId).toBe(LIVING);
  // It is no better, and then there is nobody: the first will do.
  await living[Symbol.asyncDispose]();
  connections.forget(TOPIC);
  const again = () => connections.partitions(TOPIC);
  expect(await retrying(again, { withinMs: SOON_MS, what: "ask" })).toEqual([GONE]);
});

test("a broker that does not know topics by their ids is refused at once", async () => {
  for (const [apiKey, version] of [[FETCH.apiKey, 12], [METADATA.apiKey, 11]] as const) {
    await using scene = await Scene.open();
    const { connections, living } = scene;
    living.versions = { ...living.versions, [apiKey]: version };
    const error = await connections.metadata([]).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "unusable_place",
      message:
        `the broker at 127.0.0.1:${living.port} does not know topics by their ids: Kafka 3.1 or ` +
        "newer is needed",
    });
    expect(living.asked).not.toContain(METADATA.apiKey);
  }
});

test("a cluster that has given its topics no ids is refused", async () => {
  await using scene = await Scene.open();
  const { connections, cluster } = scene;
  cluster.topicId = NO_UUID;
  const error = await connections.partitions(TOPIC).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({
    code: "unusable_place",
    message:
      "the cluster has not given topic events an id: raise inter.broker.protocol.version to 2.8 " +
      "or newer",
  });
});

const GONE = 1;
const LIVING = 2;

const WRITE = {
  transactionalId: null,
  replicateWithinMs: REPLICATE_WITHIN_MS,
  batches: [{ topic: TOPIC, partition: 0, bytes: Buffer.alloc(1) }],
};

/** Two brokers; the one that leads and coordinates takes connections and says nothing. */
class Scene implements AsyncDisposable {
  private constructor(
    readonly connections: Connections,
    readonly cluster: FakeCluster,
    readonly gone: FakeBroker,
    readonly living: FakeBroker,
  ) {}

  /** `named` is the broker that the client is told of. */
  static async open(named = LIVING): Promise<Scene> {
    const [gone, living] = await Promise.all([FakeBroker.open(), FakeBroker.open()]);
    const ports: Record<number, number> = { [GONE]: gone.port, [LIVING]: living.port };
    const cluster = { ports, topic: TOPIC, topicId: TOPIC_ID, leader: GONE, coordinator: GONE };
    living.cluster = cluster;
    const connections = new Connections({
      ...{ brokers: [`127.0.0.1:${ports[named]}`], clientId: "test", tls: null, sasl: null },
    });
    return new Scene(connections, cluster, gone, living);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connections.close();
    await Promise.all([this.gone, this.living].map((each) => each[Symbol.asyncDispose]()));
  }
}
