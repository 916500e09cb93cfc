import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import type { KafkaConfig } from "kafkajs";
import { until } from "../end-to-end/program.ts";
import { freshPrefix } from "./broker.ts";
import { createLed, foreignClient, makeTopic, readValues } from "./foreign-client.ts";
import { missingForBroker } from "./java.ts";
import { KafkaCluster } from "./kafka-cluster.ts";

/** These start brokers of their own, which a cluster that is pointed to does not help with. */
const missing = await missingForBroker();
const CLUSTER_MS = 120_000;

// Skipped: without Java 17 and Maven no broker can be started.
test.skipIf(missing !== null)("what was acknowledged outlives kill -9", async () => {
  await using cluster = await KafkaCluster.start();
  const kafka = foreignClient(cluster.addresses());
  const topic = `${freshPrefix()}kept`;
  await makeTopic(kafka, topic);
  const producer = kafka.producer();
  await producer.connect();
  await producer.send({ topic, acks: -1, messages: [{ value: "kept" }] });
  await producer.disconnect();
  await cluster.kill();
  expect(cluster.pid()).toBeNull();
  await cluster.restart();
  expect((await readValues(kafka, topic, 1)).map(String)).toEqual(["kept"]);
}, CLUSTER_MS);

// Skipped: without Java 17 and Maven no broker can be started.
test.skipIf(missing !== null)("each door lets in who has its key, and nobody else", async () => {
  await using cluster = await KafkaCluster.start({
    listeners: ["SASL_PLAINTEXT", "SSL", "SASL_SSL"],
    users: { alice: "wonder" },
  });
  const { client, untrusted } = cluster.certificates ?? { client: null, untrusted: null };
  const ask = (door: "SASL_PLAINTEXT" | "SSL" | "SASL_SSL", config: Partial<KafkaConfig>) =>
    brokersSeen(cluster.addresses(door), config);
  const alice = (mechanism: string, password = "wonder") =>
    ({ sasl: { mechanism, username: "alice", password } }) as Partial<KafkaConfig>;
  for (const mechanism of ["plain", "scram-sha-256", "scram-sha-512"]) {
    expect(await ask("SASL_PLAINTEXT", alice(mechanism))).toBe(1);
    const withTls = { ...alice(mechanism), ssl: { ca: client?.ca ?? "" } };
    expect(await ask("SASL_SSL", withTls)).toBe(1);
    expect(await ask("SASL_PLAINTEXT", alice(mechanism, "other"))).toContain("uthentication");
  }
  expect(await ask("SSL", { ssl: client ?? false })).toBe(1);
  expect(await ask("SSL", { ssl: { ...untrusted, ca: client?.ca ?? "" } })).toBeString();
  expect(await ask("SSL", { ssl: { ...client, ca: untrusted?.ca ?? "" } })).toBeString();
}, CLUSTER_MS);

// Skipped: without Java 17 and Maven no broker can be started.
test.skipIf(missing !== null)("three brokers keep a topic when one is killed", async () => {
  await using cluster = await KafkaCluster.start({ brokers: 3 });
  const kafka = foreignClient(cluster.addresses());
  const admin = kafka.admin();
  await admin.connect();
  const topic = `${freshPrefix()}three`;
  await createLed(admin, { topic, replicationFactor: 3 });
  const leader = async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0];
  const first = (await leader())?.partitions[0]?.leader ?? 0;
  await cluster.kill(first);
  const hasMoved = async () => {
    const now = (await leader())?.partitions[0]?.leader ?? -1;
    return now > 0 && now !== first;
  };
  await until(hasMoved, () => cluster.logs());
  await admin.disconnect();
}, CLUSTER_MS);

// Skipped: without Java 17 and Maven no broker can be started.
test.skipIf(missing !== null)("a broker ends with a starter that was killed", async () => {
  const script = `
    import { KafkaCluster } from "./test/kafka/kafka-cluster.ts";
    const cluster = await KafkaCluster.start();
    cluster.pause(); // a stopped one, too
    console.log(JSON.stringify({ pid: cluster.pid(), folder: cluster.folder }));
    setInterval(() => {}, 1_000);
  `;
  const starter = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
  const reader = starter.stdout.getReader();
  const line = new TextDecoder().decode((await reader.read()).value);
  const { pid, folder } = JSON.parse(line) as { pid: number; folder: string };
  expect(isRunning(pid)).toBe(true);
  starter.kill("SIGKILL");
  await until(() => !isRunning(pid) && !existsSync(folder), () => `${pid} or ${folder} is left`);
}, CLUSTER_MS);

/** How many brokers it sees; the message of the failure when it gets none. */
async function brokersSeen(
  addresses: string,
  config: Partial<KafkaConfig>,
): Promise<number | string> {
  const admin = foreignClient(addresses, { ...config, retry: { retries: 0 } }).admin();
  try {
    await admin.connect();
    return (await admin.describeCluster()).brokers.length;
  } catch (error) {
    return (error as Error).message;
  } finally {
    await admin.disconnect();
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
