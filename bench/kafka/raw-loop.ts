/**
 * The baseline of a backlog: kafkajs alone, which reads deposits and writes each one's bytes to
 * another topic, together with its offsets, in transactions. It computes and stores nothing.
 *
 *   plan (JSON argument) ──consumer──> one transaction a batch ──> topic
 *
 * One producer a partition, as exactly once needs it. It tries again after 2 ms while the broker
 * is not done with the last transaction, which is far sooner than kafkajs does by itself.
 */

import type { KafkaMessage, Producer } from "kafkajs";
import { foreignClient } from "../../test/kafka/foreign-client.ts";

export interface RawLoopPlan {
  readonly brokers: string;
  /** Topics of the cluster. */
  readonly from: string;
  readonly to: string;
  readonly partitions: number;
  /** Ends after so many. */
  readonly records: number;
}

export interface RawLoopReport {
  readonly transactions: number;
}

/** In one transaction: a record batch of them is well below the broker's 1 MB. */
const BATCH_RECORDS = 4_096;
const MAX_WAIT_MS = 100;

const plan = JSON.parse(process.argv[2] ?? "null") as RawLoopPlan;
const retry = { initialRetryTime: 2, maxRetryTime: 50, retries: 50 };
const kafka = foreignClient(plan.brokers, { retry });
const consumerGroupId = `${plan.to}-loop`;
const producers = await Promise.all(
  Array.from({ length: plan.partitions }, (_, partition) => startProducer(partition)),
);
let left = plan.records;
let transactions = 0;
const consumer = kafka.consumer({ groupId: consumerGroupId, maxWaitTimeInMs: MAX_WAIT_MS });
await consumer.connect();
await consumer.subscribe({ topic: plan.from, fromBeginning: true });
await consumer.run({
  autoCommit: false,
  partitionsConsumedConcurrently: plan.partitions,
  eachBatch: async ({ batch }) => {
    for (let at = 0; at < batch.messages.length; at += BATCH_RECORDS) {
      await pass(batch.partition, batch.messages.slice(at, at + BATCH_RECORDS));
    }
    if (left > 0) return;
    console.log(JSON.stringify({ transactions } satisfies RawLoopReport));
    process.exit(0);
  },
});

async function pass(partition: number, messages: readonly KafkaMessage[]): Promise<void> {
  const transaction = await (producers[partition] as Producer).transaction();
  await transaction.send({
    topic: plan.to,
    messages: messages.map(({ key, value }) => ({ key, value, partition })),
  });
  const offset = String(BigInt(messages.at(-1)?.offset ?? 0) + 1n);
  const topics = [{ topic: plan.from, partitions: [{ partition, offset }] }];
  await transaction.sendOffsets({ consumerGroupId, topics });
  await transaction.commit();
  transactions += 1;
  left -= messages.length;
}

async function startProducer(partition: number): Promise<Producer> {
  const producer = kafka.producer({
    transactionalId: `${plan.to}-${partition}`,
    idempotent: true,
    maxInFlightRequests: 1,
  });
  await producer.connect();
  return producer;
}
