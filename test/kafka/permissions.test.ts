/** What docs/kafka.md lets a user of the cluster do is enough, and no more than that is needed. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  Kafka,
  logLevel,
  ResourcePatternTypes,
} from "kafkajs";
import { PROJECT_ROOT, Running, run, temporaryFolder, until } from "../end-to-end/program.ts";
import { post } from "../end-to-end/session.ts";
import { freshPrefix } from "./broker.ts";
import { missingForBroker } from "./java.ts";
import { KafkaCluster } from "./kafka-cluster.ts";

/** The rules of the cluster that is pointed to are not known: these start a broker of their own. */
const missing = await missingForBroker();
const CLUSTER_MS = 120_000;
const CASE_MS = 60_000;
/** Each asks the brokers behind its answer whether all is well again. */
const LOOKS = 10;
const PASSWORDS = {
  worker: "worker-83a1",
  reader: "reader-5f0c",
  stranger: "stranger-c77e",
  server: "server-2e90",
  "without-group": "groups-1d44",
  "without-id": "ids-92b7",
};

const RESOURCES: Readonly<Record<string, AclResourceTypes>> = {
  Topic: AclResourceTypes.TOPIC,
  Group: AclResourceTypes.GROUP,
  TransactionalId: AclResourceTypes.TRANSACTIONAL_ID,
};
const OPERATIONS: Readonly<Record<string, AclOperationTypes>> = {
  Describe: AclOperationTypes.DESCRIBE,
  DescribeConfigs: AclOperationTypes.DESCRIBE_CONFIGS,
  AlterConfigs: AclOperationTypes.ALTER_CONFIGS,
  Read: AclOperationTypes.READ,
  Write: AclOperationTypes.WRITE,
  Create: AclOperationTypes.CREATE,
  Delete: AclOperationTypes.DELETE,
};

const prefix = freshPrefix();
let cluster: KafkaCluster | null = null;

beforeAll(async () => {
  if (missing !== null) return;
  cluster = await KafkaCluster.start({
    listeners: ["SASL_PLAINTEXT"],
    users: PASSWORDS,
    settings: {
      "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
      "super.users": "User:ANONYMOUS", // the broker itself, and whoever makes the rules
    },
  });
  await allow("worker", ({ who }) => !who.startsWith("`topics sync`"));
  await allow("reader", ({ who }) => who.startsWith("all"), { without: "Write" });
  await allow("server", ({ who }) => who.startsWith("all"), { without: "Write" });
  await allow("without-group", ({ resource }) => resource !== "Group");
  await allow("without-id", ({ resource }) => resource !== "TransactionalId");
}, CLUSTER_MS);

afterAll(() => cluster?.close());

interface Rule {
  readonly resource: string;
  readonly operation: string;
  readonly who: string;
}

/** A row for each operation of the table in the document. */
function documentedRules(): Rule[] {
  const kafka = readFileSync(join(PROJECT_ROOT, "docs/kafka.md"), "utf8");
  return [...kafka.matchAll(/^\| (\w+) \| ([^|]+) \| ([^|]+) \|$/gm)]
    .filter(([, resource = ""]) => resource in RESOURCES)
    .flatMap(([, resource = "", operations = "", who = ""]) =>
      Object.keys(OPERATIONS)
        .filter((operation) => new RegExp(`\\b${operation}\\b`).test(operations))
        .map((operation) => ({ resource, operation, who })),
    );
}

function isTopicWrite({ resource, operation }: Rule): boolean {
  return resource === "Topic" && operation === "Write";
}

async function allow(
  user: string,
  applies: (rule: Rule) => boolean,
  options: { readonly without?: string; readonly topic?: string } = {},
): Promise<void> {
  const brokers = (cluster as KafkaCluster).addresses().split(",");
  const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  const rules = documentedRules().filter(applies);
  const wanted = rules.filter(({ operation }) => operation !== options.without);
  const { topic } = options;
  const { LITERAL, PREFIXED } = ResourcePatternTypes;
  await admin.createAcls({
    acl: wanted.map(({ resource, operation }) => ({
      resourceType: RESOURCES[resource] as AclResourceTypes,
      resourceName: prefix + (topic ?? ""),
      resourcePatternType: topic === undefined ? PREFIXED : LITERAL,
      principal: `User:${user}`,
      host: "*",
      operation: OPERATIONS[operation] as AclOperationTypes,
      permissionType: AclPermissionTypes.ALLOW,
    })),
  });
  await admin.disconnect();
}

function as(user: keyof typeof PASSWORDS, folder: string) {
  const environment = {
    DEPOSITAJA_BROKERS: (cluster as KafkaCluster).addresses("SASL_PLAINTEXT"),
    DEPOSITAJA_PREFIX: prefix,
    DEPOSITAJA_SASL: "scram-sha-256",
    DEPOSITAJA_SASL_USERNAME: user,
    DEPOSITAJA_SASL_PASSWORD: PASSWORDS[user],
  };
  return { folder, environment };
}

// Skipped: without Java 17 and Maven there is no broker whose rules can be set.
describe.skipIf(missing !== null)("what docs/kafka.md lets a user do", () => {
  test("is found in its table", () => {
    const found = new Set(documentedRules().map(({ resource }) => resource));
    expect([...found].sort()).toEqual(Object.keys(RESOURCES).sort());
  });

  test(
    "is enough to create a log, process and deposit; who may not write still reads",
    async () => {
      using folder = temporaryFolder();
      const worker = as("worker", folder.path);
      await using processing = new Running(worker, "process", "--all");
      await processing.says(/Ctrl-C/);
      const deposit = await run(worker, "deposit", "alice", "12000"); // may tell that it waits
      expect(deposit).toMatchObject({ code: 0, out: expect.stringContaining("12000.00") });
      const reader = as("reader", folder.path);
      const check = await run(reader, "check", "alice");
      expect(check).toMatchObject({ code: 0, out: expect.stringContaining("12000.00") });
      expect(await run(reader, "flags", "alice")).toMatchObject({ code: 0 });
      const refused = await run(reader, "deposit", "alice", "1");
      expect(refused).toMatchObject({ code: 1, err: expect.stringContaining("authoriz") });
      const stranger = await run(as("stranger", folder.path), "check", "alice");
      expect(stranger).toMatchObject({ code: 1, err: expect.stringContaining("no log") });
    },
    CASE_MS,
  );

  test(
    "is missed by a server that may not write deposits: it is not ready until it may",
    async () => {
      using folder = temporaryFolder();
      const maker = new Running(as("worker", folder.path), "serve", "--port", "0");
      await maker.serves(); // there is a log
      await maker.stop();
      const words = { "Cluster authorization": "log-meta", topicAuthorization: "deposit" };
      for (const [word, next] of Object.entries(words)) {
        await using serve = new Running(as("server", folder.path), "serve", "--port", "0");
        const url = await serve.serves();
        const isReady = async () => (await fetch(`${url}/readyz`)).status === 200;
        const deposit = () => post(url, '{"wallet_id": "alice", "amount": 1}');
        await until(isReady, () => serve.err);
        // A rule is known a moment after it was made.
        const isRefused = async () => JSON.stringify(await deposit()).includes(word);
        await until(isRefused, () => serve.err);
        for (let looks = 0; looks < LOOKS; looks += 1) expect(await isReady()).toBe(false);
        await allow("server", isTopicWrite, { topic: next });
        if (next === "log-meta") continue; // who may write that gets a producer, and no further
        await until(isReady, () => serve.err);
        expect(await deposit()).toMatchObject({ position: expect.any(String) });
      }
    },
    CASE_MS,
  );

  test(
    "is missed aloud by who may not join a group, or commit for it",
    async () => {
      using folder = temporaryFolder();
      const missed = {
        "without-group": /balance: .*Group authorization failed/,
        "without-id": /balance stands still: .*Transactional Id authorization failed/,
      };
      for (const [user, word] of Object.entries(missed)) {
        const options = as(user as keyof typeof missed, folder.path);
        await using processing = new Running(options, "process", "--all");
        await until(() => word.test(processing.err), () => processing.err);
      }
    },
    CASE_MS,
  );
});
