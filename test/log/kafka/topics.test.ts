/** Topics that are made while the cluster is not yet what it was said to be. */

import { expect, test } from "bun:test";
import type { Connections } from "../../../src/log/kafka/connections.ts";
import { declared, Topics } from "../../../src/log/kafka/topics.ts";

const NAMES = ["events", "events-table"];
const TOPICS = NAMES.map((name) =>
  declared(name, { name, partitions: 1, cleanup: "keep", retentionMs: null }),
);

test("brokers that the controller has lost sight of for a moment are waited for", async () => {
  const cluster = new Cluster([
    ["INVALID_REPLICATION_FACTOR", "INVALID_REPLICATION_FACTOR"],
    ["INVALID_REPLICATION_FACTOR", "TOPIC_ALREADY_EXISTS"], // another process was faster
    ["TOPIC_ALREADY_EXISTS", "TOPIC_ALREADY_EXISTS"],
  ]);
  await new Topics(cluster.connections).create(TOPICS);
  expect(cluster.asked).toBe(3);
});

test("what the cluster refuses for good is said at once, each reason once", async () => {
  const cluster = new Cluster([["POLICY_VIOLATION", "POLICY_VIOLATION"]]);
  const making = new Topics(cluster.connections).create(TOPICS);
  expect(await making.catch((error: unknown) => error)).toMatchObject({
    code: "unusable_place",
    message: "the cluster refuses to create topics: POLICY_VIOLATION it is",
  });
  expect(cluster.asked).toBe(1);
});

/** Answers requests to create with these errors, one for each topic, in turn. */
class Cluster {
  asked = 0;
  readonly connections: Connections;

  constructor(answers: readonly (readonly string[])[]) {
    const createTopics = async () => {
      const errors = answers[this.asked]?.map((type) =>
        Object.assign(new Error(`${type} it is`), { type }),
      );
      this.asked += 1;
      if (errors !== undefined) throw Object.assign(new Error("several"), { errors });
    };
    this.connections = {
      any: async () => ({ createTopics }),
      forget: () => {},
      metadata: async (names: readonly string[]) => ({
        brokers: [{ nodeId: 1 }],
        topics: names.map((name) => ({ name, leaders: [1], replicas: 1 })),
      }),
    } as unknown as Connections;
  }
}
