/** Three brokers, replication 3: the loss of one is a pause of seconds. */

import { afterAll, expect, test } from "bun:test";
import { newWallets } from "../../../bench/torture/client.ts";
import { Connections } from "../../../src/log/kafka/connections.ts";
import { until } from "../../end-to-end/program.ts";
import { activeController } from "../active-controller.ts";
import { foreignClient } from "../foreign-client.ts";
import { missingForBroker } from "../java.ts";
import { KafkaCluster } from "../kafka-cluster.ts";
import { Deployment } from "./deployment.ts";

/** These start brokers of their own, which a cluster that is pointed to does not help with. */
const missing = await missingForBroker();
const TEST_MS = 180_000;
/** From when others lead: brokers take 3 s to notice a loss, and twice that of a controller. */
const RECOVERS_WITHIN_MS = 10_000;
/** The brokers' part, on a machine that does other things, too, and the program's. */
const GIVE_UP_MS = 40_000;
const REPLICAS = 3;
const WALLETS = 24;
/** Less than after which the brokers take those that hang for lost, and go on without. */
const ALONE_MS = 2_000;

let started: Promise<KafkaCluster> | null = null;
afterAll(async () => (await started)?.close());

// Skipped: without Java 17 and Maven no broker can be started.
const testBrokers = test.skipIf(missing !== null);

testBrokers("a leader killed under load: nothing lost, on within 10 s", async () => {
  await survives(async (_, leaders) => mostOf(leaders));
}, TEST_MS);

testBrokers("the cluster's controller killed under load: the same", async () => {
  await survives((addresses) => activeController(addresses));
}, TEST_MS);

testBrokers("nothing is acknowledged that one broker alone has", async () => {
  started ??= KafkaCluster.start({ brokers: REPLICAS });
  const cluster = await started;
  await using deployment = new Deployment(cluster.addresses());
  const { url } = await deployment.serve();
  await deployment.process();
  await deployment.settlesEverywhere(url);
  const alone = mostOf(await replicated(cluster.addresses(), deployment.prefix));
  const others = [1, 2, 3].filter((broker) => broker !== alone);
  let isAlone = true;
  const early: string[] = [];
  const send = async ({ name }: { readonly name: string }) => {
    const sending = deployment.witness.askUnkeyed(name, 1n);
    const body = `{"wallet_id": "${name}", "amount": 0.01}`;
    const answer = await fetch(`${url}/deposit`, { method: "POST", body });
    const text = await answer.text();
    if (answer.status === 200) {
      if (isAlone) early.push(name);
      deployment.witness.toldUnkeyed(sending, text);
    } else expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
  };
  for (const broker of others) cluster.pause(broker);
  const sent = Promise.all(newWallets(deployment.prefix, WALLETS).map(send));
  await Promise.race([sent, Bun.sleep(ALONE_MS)]);
  isAlone = false;
  for (const broker of others) cluster.resume(broker);
  await sent;
  expect(early).toEqual([]);
  await deployment.settlesEverywhere(url, GIVE_UP_MS);
  expect(await deployment.faults()).toEqual([]);
}, TEST_MS);

/** Under load one broker is killed; deposits that are sent from then on are settled in time. */
async function survives(
  choose: (addresses: string, leaders: readonly number[]) => Promise<number>,
): Promise<void> {
  started ??= KafkaCluster.start({ brokers: REPLICAS });
  const cluster = await started;
  await using deployment = new Deployment(cluster.addresses());
  const { url } = await deployment.serve();
  await Promise.all([deployment.process("a"), deployment.process("b")]);
  await deployment.settlesEverywhere(url);
  const leaders = await replicated(cluster.addresses(), deployment.prefix);
  const load = deployment.load();
  const victim = await choose(cluster.addresses(), leaders);
  await cluster.kill(victim);
  const [electedMs, settledMs] = await Promise.all([
    leadsNothing(cluster.addresses(), victim).then(() => performance.now()),
    deployment.settlesEverywhere(url, GIVE_UP_MS).then(() => performance.now()),
  ]);
  expect(settledMs - electedMs).toBeLessThan(RECOVERS_WITHIN_MS);
  await load.stop();
  await cluster.restart(victim);
  expect(await deployment.faults()).toEqual([]);
}

/** Resolves once every partition has another leader. */
async function leadsNothing(addresses: string, broker: number): Promise<void> {
  const connections = new Connections({
    ...{ brokers: addresses.split(","), clientId: "look", tls: null, sasl: null },
  });
  const look = async () => {
    const { topics } = await connections.metadata(null).catch(() => ({ topics: [] }));
    const leaders = topics.flatMap((topic) => topic.leaders);
    return leaders.length > 0 && leaders.every((leader) => leader >= 0 && leader !== broker);
  };
  try {
    await until(look, () => `broker ${broker} leads still`, GIVE_UP_MS);
  } finally {
    await connections.close();
  }
}

/** The leaders of all partitions, once every one has all its replicas, in step. */
async function replicated(addresses: string, prefix: string): Promise<readonly number[]> {
  const admin = foreignClient(addresses).admin();
  await admin.connect();
  let seen = "";
  let leaders: number[] = [];
  const look = async () => {
    const { topics } = await admin.fetchTopicMetadata();
    const ours = topics.filter(({ name }) => name.startsWith(prefix) || name.startsWith("__"));
    seen = JSON.stringify(ours);
    const all = ours.flatMap(({ partitions }) => partitions);
    leaders = all.map(({ leader }) => leader);
    return all.every((each) => each.replicas.length === REPLICAS && each.isr.length === REPLICAS);
  };
  try {
    await until(look, () => seen);
  } finally {
    await admin.disconnect();
  }
  return leaders;
}

function mostOf(leaders: readonly number[]): number {
  const counts = [...Map.groupBy(leaders, (leader) => leader)];
  const [most] = counts.toSorted(([, a], [, b]) => b.length - a.length);
  return most?.[0] ?? 0;
}
