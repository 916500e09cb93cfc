import { expect } from "bun:test";
import {
  type ClusterTopics,
  withClusterTopics,
} from "../../src/administration/cluster-topics.ts";
import { LogError } from "../../src/log/event-log.ts";
import { openKafkaLog } from "../../src/log/kafka/kafka-log.ts";
import { withTopicAdmin } from "../../src/log/kafka/topic-admin.ts";
import { topicSpecs } from "../../src/stream/topology.ts";
import { topologyOf } from "../../src/app.ts";
import { until } from "../conformance/fixture.ts";
import { freshPrefix, kafkaTest, testBrokers } from "../kafka/broker.ts";
import { foreignClient } from "../kafka/foreign-client.ts";

async function accessOf(prefix: string) {
  const brokers = (await testBrokers()).split(",");
  return { brokers, clientId: "topics-test", tls: null, sasl: null, prefix };
}

async function withTopics<T>(
  prefix: string,
  action: (topics: ClusterTopics) => Promise<T>,
  wanted: { readonly partitions?: number; readonly decimals?: number } = {},
): Promise<T> {
  const kafka = await accessOf(prefix);
  const { partitions = null, decimals = null } = wanted;
  return withClusterTopics({ kafka, partitions, decimals, nowMs: Date.now }, action);
}

/** Plans and does it, and says what was to do. */
function sync(
  prefix: string,
  wanted: { readonly partitions?: number; readonly decimals?: number } = {},
  deletesUnknown = false,
) {
  return withTopics(
    prefix,
    async (topics) => {
      const plan = topics.plan({ deletesUnknown });
      await topics.apply(plan);
      return plan;
    },
    wanted,
  );
}

/** As a program that starts does it. */
async function start(prefix: string): Promise<void> {
  const log = await openKafkaLog({
    ...(await accessOf(prefix)),
    create: true,
    defaults: { partitions: "8", decimals: "2" },
    settings: {},
    nowMs: Date.now,
  });
  try {
    const partitions = Number(log.settings["partitions"]);
    const topology = topologyOf(Number(log.settings["decimals"]));
    await log.ensureTopics(topicSpecs(topology, { partitions, keepsChangelogs: true }));
  } finally {
    await log.close();
  }
}

async function settingsOf(topic: string): Promise<Record<string, string>> {
  const admin = foreignClient(await testBrokers()).admin();
  await admin.connect();
  try {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: 2, name: topic }],
    });
    const entries = resources[0]?.configEntries ?? [];
    return Object.fromEntries(entries.map((entry) => [entry.configName, entry.configValue]));
  } finally {
    await admin.disconnect();
  }
}

async function change(prefix: string, topic: string, settings: Record<string, string>) {
  const options = { ...(await accessOf(prefix)), nowMs: Date.now };
  await withTopicAdmin(options, (admin) => admin.correct([{ name: topic, settings }]));
}

kafkaTest("names every topic that the topology declares, and what it holds", async () => {
  const prefix = freshPrefix();
  const lines = await withTopics(prefix, async ({ report, isLogThere }) => {
    expect(isLogThere).toBe(false);
    return report.map(({ name, holds, state, declaredPartitions, partitions }) => {
      expect([state, partitions]).toEqual(["missing", null]);
      return [name.slice(prefix.length), holds, declaredPartitions];
    });
  });
  expect(lines.sort()).toEqual([
    ["balance-dead-letters", "dead letters of balance", 8],
    ["balance-progress", "progress of balance", 8],
    ["balance-table", "changelog of balance", 8],
    ["deposit", "depositaja.v1.Deposit", 8],
    ["flag_wallet", "depositaja.v1.FlagWallet", 8],
    ["flagger-dead-letters", "dead letters of flagger", 8],
    ["flagger-progress", "progress of flagger", 8],
    ["flagger-table", "changelog of flagger", 8],
    ["log-meta", "values of the whole log", 1],
    ["threshold-dead-letters", "dead letters of threshold", 8],
    ["threshold-progress", "progress of threshold", 8],
    ["threshold-table", "changelog of threshold", 8],
  ]);
});

kafkaTest("creates the log and its topics, with which a program starts, once", async () => {
  const prefix = freshPrefix();
  const first = await sync(prefix, { partitions: 2 });
  expect(first.create).toHaveLength(12);
  expect(await sync(prefix)).toMatchObject({ create: [], correct: [], remove: [], leave: [] });
  await start(prefix);
  await withTopics(prefix, async ({ report, isLogThere }) => {
    expect(isLogThere).toBe(true);
    expect([...new Set(report.map(({ state }) => state))]).toEqual(["as declared"]);
    const topic = (own: string) => report.find(({ name }) => name === `${prefix}${own}`);
    expect(topic("deposit")).toMatchObject({ partitions: 2, replicas: 1, bytes: 0 });
    expect(topic("log-meta")?.bytes).toBeGreaterThan(100);
  });
});

kafkaTest("makes up no decimals for what is there, where `log-meta` is gone", async () => {
  const prefix = freshPrefix();
  await sync(prefix, { partitions: 8, decimals: 0 });
  const options = { ...(await accessOf(prefix)), nowMs: Date.now };
  await withTopicAdmin(options, (admin) => admin.remove([`${prefix}log-meta`]));
  const refusal = await sync(prefix).catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code: "unusable_place" });
  expect((refusal as LogError).message).toContain(`but no ${prefix}log-meta`);
  await withTopics(prefix, async ({ isLogThere }) => expect(isLogThere).toBe(false));
});

kafkaTest("corrects what has drifted and keeps every other setting", async () => {
  const prefix = freshPrefix();
  await sync(prefix, { partitions: 1 });
  const topic = `${prefix}deposit`;
  await change(prefix, topic, { "retention.ms": "60000", "segment.bytes": "1048576" });
  await change(prefix, `${prefix}log-meta`, { "cleanup.policy": "delete" });
  const refusal = await start(prefix).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(LogError);
  expect((refusal as LogError).code).toBe("topic_mismatch");
  expect((refusal as LogError).message).toContain("correct it with `topics sync`");
  const plan = await sync(prefix);
  expect(plan.create).toEqual([]);
  expect(plan.correct).toMatchObject([
    { name: topic, drifts: [{ setting: "retention.ms", actual: "60000", declared: "-1" }] },
    { name: `${prefix}log-meta`, drifts: [{ setting: "cleanup.policy", actual: "delete" }] },
  ]);
  expect(await settingsOf(topic)).toMatchObject({
    "retention.ms": "-1",
    "segment.bytes": "1048576",
    "message.timestamp.type": "LogAppendTime",
  });
  await start(prefix);
});

kafkaTest("changes nothing while it only plans", async () => {
  const prefix = freshPrefix();
  await sync(prefix, { partitions: 1 });
  await change(prefix, `${prefix}deposit`, { "retention.ms": "60000" });
  const plan = () => withTopics(prefix, async (topics) => topics.plan({ deletesUnknown: true }));
  expect((await plan()).correct).toHaveLength(1);
  expect(await plan()).toEqual(await plan());
  expect(await settingsOf(`${prefix}deposit`)).toMatchObject({ "retention.ms": "60000" });
});

kafkaTest("refuses another count of partitions with the reason, and changes nothing", async () => {
  const prefix = freshPrefix();
  await sync(prefix, { partitions: 2 });
  await change(prefix, `${prefix}flag_wallet`, { "retention.ms": "60000" });
  const other = await sync(prefix, { partitions: 4 }).catch((error: unknown) => error);
  expect(other).toMatchObject({ name: "AdministrationError", code: "partitions_fixed" });
  expect((other as Error).message).toMatch(/the log has 2 partitions, not 4, .* keys would move/);
  const admin = foreignClient(await testBrokers()).admin();
  await admin.connect();
  const topic = `${prefix}deposit`;
  await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] });
  await until("three partitions", async () => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    return topics[0]?.partitions.length === 3;
  });
  await admin.disconnect();
  const grown = await sync(prefix).catch((error: unknown) => error);
  expect((grown as Error).message).toContain(`topic ${prefix}deposit has 3 partitions, not 2`);
  expect(await settingsOf(`${prefix}flag_wallet`)).toMatchObject({ "retention.ms": "60000" });
  expect(await start(prefix).catch((error: unknown) => error)).toBeInstanceOf(LogError);
});

kafkaTest("removes topics of the prefix that nothing declares, when it is told to", async () => {
  const prefix = freshPrefix();
  await sync(prefix, { partitions: 1 });
  await sync(`${prefix}second-`, { partitions: 1 }); // another deployment, below the same prefix
  const unknown = [`${prefix}old-progress`, `${prefix}old-table`];
  const options = { ...(await accessOf(prefix)), nowMs: Date.now };
  await withTopicAdmin(options, (admin) =>
    admin.create(unknown.map((name) => ({ name, partitions: 1, config: {} }))),
  );
  await withTopics(prefix, async ({ report, otherPrefixes }) => {
    const found = report.filter(({ state }) => state === "unknown");
    expect(found.map(({ name }) => name)).toEqual(unknown);
    expect(otherPrefixes).toEqual([`${prefix}second-`]);
  });
  expect((await sync(prefix)).remove).toEqual([]);
  expect((await sync(prefix, {}, true)).remove).toEqual(unknown);
  const admin = foreignClient(await testBrokers()).admin();
  await admin.connect();
  const left = (await admin.listTopics()).filter((name) => name.startsWith(prefix));
  await admin.disconnect();
  expect(left).toHaveLength(24);
  expect(left).not.toContain(`${prefix}old-table`);
});

kafkaTest("leaves a deployment's topics under this prefix, also without a `log-meta`", async () => {
  const prefix = freshPrefix();
  const second = `${prefix}second-`;
  const options = { ...(await accessOf(prefix)), nowMs: Date.now };
  await sync(second, { partitions: 1 });
  await withTopicAdmin(options, (admin) => admin.remove([`${second}log-meta`]));
  const old = { name: `${prefix}old-table`, partitions: 1, config: {} };
  await withTopicAdmin(options, (admin) => admin.create([old]));
  await withTopics(prefix, async (topics) => {
    expect(topics.otherPrefixes).toEqual([second]);
    expect(topics.plan({ deletesUnknown: true }).remove).toEqual([old.name]);
  });
});

kafkaTest("leaves the topics of a deployment whose prefix this one begins with", async () => {
  const shorter = freshPrefix();
  await sync(shorter, { partitions: 1 });
  // Both name topics of the shorter one: as a part of a word, and with its `log-meta` among them.
  for (const part of ["flag", "l"]) {
    const prefix = `${shorter}${part}`;
    const options = { ...(await accessOf(prefix)), nowMs: Date.now };
    const old = { name: `${prefix}-old`, partitions: 1, config: {} };
    await withTopicAdmin(options, (admin) => admin.create([old]));
    await withTopics(prefix, async (topics) => {
      expect(topics.otherPrefixes).toEqual([shorter]);
      expect(topics.plan({ deletesUnknown: true }).remove).toEqual([old.name]);
    });
  }
});
