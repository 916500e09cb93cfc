/** Three brokers, replication 3: the loss of one is a pause of seconds. */

import { expect, test } from "bun:test";
import type { Admin } from "kafkajs";
import { until } from "../../end-to-end/program.ts";
import { foreignClient } from "../foreign-client.ts";
import { missingForBroker } from "../java.ts";
import { KafkaCluster } from "../kafka-cluster.ts";
import { Deployment } from "./deployment.ts";

/** These start brokers of their own, which a cluster that is pointed to does not help with. */
const missing = await missingForBroker();
const TEST_MS = 180_000;
/** From when others lead: brokers take 3 s to notice a loss, and then elect. */
const RECOVERS_WITHIN_MS = 10_000;
const REPLICAS = 3;

// Skipped: without Java 17 and Maven no broker can be started.
const testBrokers = test.skipIf(missing !== null);

testBrokers("a leader killed under load: nothing lost, on within 10 s", async () => {
  await using cluster = await KafkaCluster.start({ brokers: 3 });
  await using deployment = new Deployment(cluster.addresses());
  const { url } = await deployment.serve();
  await Promise.all([deployment.process("a"), deployment.process("b")]);
  await deployment.settlesEverywhere(url);
  const admin = foreignClient(cluster.addresses()).admin();
  await admin.connect();
  try {
    const topics = await replicated(admin, deployment.prefix);
    const load = deployment.load();
    const leader = topics.get(`${deployment.prefix}deposit`)?.[0] ?? 0;
    await cluster.kill(leader);
    await until(() => leadsNothing(admin, leader), () => `broker ${leader} leads still`);
    await deployment.settlesEverywhere(url, RECOVERS_WITHIN_MS);
    await load.stop();
    await cluster.restart(leader);
    expect(await deployment.faults()).toEqual([]);
  } finally {
    await admin.disconnect();
  }
}, TEST_MS);

async function leadsNothing(admin: Admin, broker: number): Promise<boolean> {
  // The one that was asked may have been the one that is gone.
  const { topics } = await admin.fetchTopicMetadata().catch(() => ({ topics: [] }));
  const leaders = topics.flatMap(({ partitions }) => partitions.map(({ leader }) => leader));
  return leaders.length > 0 && leaders.every((leader) => leader >= 0 && leader !== broker);
}

/** The leaders of each topic's partitions. Every partition has all its replicas, in step. */
async function replicated(
  admin: Admin,
  prefix: string,
): Promise<ReadonlyMap<string, readonly number[]>> {
  let seen = "";
  const found = new Map<string, number[]>();
  const look = async () => {
    const { topics } = await admin.fetchTopicMetadata();
    const ours = topics.filter(({ name }) => name.startsWith(prefix) || name.startsWith("__"));
    seen = JSON.stringify(ours);
    for (const { name, partitions } of ours) {
      found.set(name, partitions.map(({ leader }) => leader));
    }
    const all = ours.flatMap(({ partitions }) => partitions);
    return all.every((each) => each.replicas.length === REPLICAS && each.isr.length === REPLICAS);
  };
  await until(look, () => seen);
  return found;
}
