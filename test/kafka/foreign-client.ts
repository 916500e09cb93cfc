/**
 * Another program on the same cluster: kafkajs's own producers and consumers, which the adapter
 * does not use, with every codec.
 */

import {
  type Admin,
  CompressionCodecs,
  CompressionTypes,
  type ITopicConfig,
  Kafka,
  type KafkaConfig,
  logLevel,
} from "kafkajs";
import { Codec, compress, decompress } from "../../src/log/kafka/codecs.ts";
import { until } from "../end-to-end/program.ts";

for (const [name, codec] of [
  ["GZIP", Codec.gzip],
  ["Snappy", Codec.snappy],
  ["LZ4", Codec.lz4],
  ["ZSTD", Codec.zstd],
] as const) {
  CompressionCodecs[CompressionTypes[name]] = () => ({
    // kafkajs hands over its encoder, not bytes.
    compress: async (encoder: { readonly buffer: Buffer }) => compress(encoder.buffer),
    decompress: async (bytes: Buffer) => decompress(codec, bytes),
  });
}

/** Says nothing. Tries again while a new cluster makes its internal topics. */
export function foreignClient(brokers: string, config: Partial<KafkaConfig> = {}): Kafka {
  return new Kafka({
    brokers: brokers.split(","),
    clientId: "foreign",
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, retries: 8 },
    ...config,
  });
}

export interface TopicOptions {
  readonly partitions?: number;
  /** Such as `{ "compression.type": "lz4" }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Made, and led by somebody. */
export async function makeTopic(
  kafka: Kafka,
  topic: string,
  { partitions = 1, settings = {} }: TopicOptions = {},
): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
    const own = { topic, numPartitions: partitions, replicationFactor: 1, configEntries };
    await createLed(admin, own);
  } finally {
    await admin.disconnect();
  }
}

/** kafkajs's own wait for leaders gives up where a busy broker does not know the topic yet. */
export async function createLed(admin: Admin, topic: ITopicConfig): Promise<void> {
  await admin.createTopics({ topics: [topic], waitForLeaders: false });
  await until(() => isLed(admin, topic.topic), () => `${topic.topic} has no leaders`);
}

async function isLed(admin: Admin, topic: string): Promise<boolean> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    const leaders = topics.flatMap(({ partitions }) => partitions.map(({ leader }) => leader));
    return leaders.length > 0 && leaders.every((leader) => leader >= 0);
  } catch (error) {
    if ((error as { readonly retriable?: boolean }).retriable === true) return false;
    throw error;
  }
}

/** The first records of a topic with one partition, read committed. */
export async function readValues(kafka: Kafka, topic: string, count: number): Promise<Buffer[]> {
  const consumer = kafka.consumer({ groupId: `${topic}-reader`, maxWaitTimeInMs: 100 });
  const values: Buffer[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // A new broker's group coordinator may still load; kafkajs starts again by itself then.
  consumer.on(consumer.events.CRASH, ({ payload }) => payload.restart || reject(payload.error));
  await consumer.connect();
  try {
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ message }) => {
        values.push(message.value ?? Buffer.alloc(0));
        if (values.length >= count) resolve();
      },
    });
    await promise;
  } finally {
    await consumer.disconnect();
  }
  return values;
}
