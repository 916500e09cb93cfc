/** A cluster that has lost `log-meta`: nothing is made up anew over what is there. */

import { expect } from "bun:test";
import { Connections, type KafkaAccess } from "../../src/log/kafka/connections.ts";
import { openKafkaLog } from "../../src/log/kafka/kafka-log.ts";
import { freshPrefix, kafkaTest, testBrokers } from "./broker.ts";

kafkaTest("a log whose log-meta is gone is refused, by what is there", async () => {
  const prefix = freshPrefix();
  const access: KafkaAccess = {
    brokers: (await testBrokers()).split(","),
    clientId: "orphans",
    tls: null,
    sasl: null,
  };
  const open = (defaults: Record<string, string>) =>
    openKafkaLog({
      ...access,
      prefix,
      create: true,
      ownTopics: ["events"],
      defaults,
      settings: {},
      nowMs: Date.now,
    });
  const log = await open({ scale: "3" });
  const topic = { name: "events", partitions: 1, cleanup: "keep", retentionMs: null } as const;
  await log.ensureTopics([topic]);
  await log.close();
  const connections = new Connections(access);
  const name = `${prefix}log-meta`;
  await (await connections.any()).deleteTopics({ topics: [name], timeout: 5_000 });
  while ((await connections.metadata([name])).topics.some(({ leaders }) => leaders.length > 0));
  await connections.close();
  const error = await open({ scale: "2" }).catch((reason: unknown) => reason as Error);
  expect(error).toMatchObject({ code: "unusable_place" });
  expect((error as Error).message).toBe(
    `the cluster has ${prefix}events but no ${name}, which says how to read them: restore it, ` +
      "or use another --prefix",
  );
});
