/** Creating a log on a real broker, where the end of its transaction is not answered. */

import { expect } from "bun:test";
import { Connections } from "../../../src/log/kafka/connections.ts";
import { Fetcher } from "../../../src/log/kafka/fetcher.ts";
import { LogMeta, META_SPEC } from "../../../src/log/kafka/log-meta.ts";
import { declared, Topics } from "../../../src/log/kafka/topics.ts";
import { openTransactions } from "../../../src/log/kafka/transaction.ts";
import { freshPrefix, kafkaTest, testBrokers } from "../../kafka/broker.ts";

const nowMs = Date.now;

kafkaTest("who cannot know whether it has created the log looks again: it has", async () => {
  await using site = await Site.open();
  // The answer is lost, and another process has begun before it is asked for again.
  const [identity, isCreated] = await site.create(async (end) => {
    await end();
    await site.takesOver();
    throw new Error("read ECONNRESET");
  });
  expect(isCreated).toBe(true);
  expect(identity.settings).toEqual({ scale: "2" });
  expect(await site.seenByOthers()).toEqual(identity);
}, 30_000);

kafkaTest("who cannot know whether it has created the log looks again: it creates it", async () => {
  await using site = await Site.open();
  const [identity, isCreated] = await site.create(async () => {
    await site.takesOver();
    throw new Error("read ECONNRESET");
  });
  expect(isCreated).toBe(true);
  expect(await site.seenByOthers()).toEqual(identity);
}, 30_000);

kafkaTest("who cannot know whether it has created the log looks again: another has", async () => {
  await using site = await Site.open();
  const [identity, isCreated] = await site.create(async () => {
    await site.meta(site.connect()).create({ scale: "3" });
    throw new Error("read ECONNRESET");
  });
  expect([isCreated, identity.settings]).toEqual([false, { scale: "3" }]);
  expect(await site.seenByOthers()).toEqual(identity);
}, 30_000);

/** A `log-meta` of its own, with nothing in it. */
class Site implements AsyncDisposable {
  private readonly closing: (() => unknown)[] = [];

  private constructor(
    private readonly brokers: readonly string[],
    private readonly topic: string,
  ) {}

  static async open(): Promise<Site> {
    const site = new Site((await testBrokers()).split(","), `${freshPrefix()}log-meta`);
    const spec = declared(site.topic, { name: site.topic, ...META_SPEC });
    await new Topics(site.connect()).ensure([spec]);
    return site;
  }

  connect(): Connections {
    const { brokers } = this;
    const connections = new Connections({ brokers, clientId: "meta", tls: null, sasl: null });
    this.closing.push(() => connections.close());
    return connections;
  }

  meta(connections: Connections): LogMeta {
    const fetcher = new Fetcher({ quick: this.connect(), waiting: this.connect() });
    this.closing.push(() => fetcher.close());
    return new LogMeta({ connections, fetcher, topic: this.topic, nowMs });
  }

  /** With the first end of its transaction as it is told. */
  create(firstEnd: (end: () => Promise<unknown>) => Promise<never>) {
    const connections = this.connect();
    const coordinator = connections.coordinator.bind(connections);
    let isFirst = true;
    connections.coordinator = async (...who) => {
      const broker = await coordinator(...who);
      type End = typeof broker.endTxn;
      const endTxn: End = (request) => {
        const end = () => broker.endTxn(request);
        if (!isFirst) return end();
        isFirst = false;
        return firstEnd(end).catch((cause: Error) => {
          throw Object.assign(cause, { name: "KafkaJSConnectionError" });
        });
      };
      return Object.assign(Object.create(broker) as typeof broker, { endTxn });
    };
    return this.meta(connections).create({ scale: "2" });
  }

  /** As another process that is to create the log, and gets no further. */
  async takesOver(): Promise<void> {
    const connections = this.connect();
    await openTransactions({ connections, transactionalId: this.topic, nowMs });
  }

  seenByOthers() {
    return this.meta(this.connect()).identity();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.closing.toReversed()) await close();
  }
}
