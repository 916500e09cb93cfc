/**
 * The requests whose answers the adapter must see partition by partition and byte by byte:
 * Metadata and Produce here, Fetch in fetch-request.ts. kafkajs's own throw away what one partition
 * was refused for, drop a record for a partition that is not there, check no CRC and hide empty
 * batches.
 *
 * Source: the Kafka protocol guide. Topics have ids in Metadata from version 12 on, and in Fetch
 * from 13 on, which brokers from 3.1 to 4.x speak; other versions are the newest without flexible
 * fields.
 */

import type Broker from "kafkajs/src/broker/index.js";
import { type ByteReader, ByteWriter } from "./bytes.ts";
import { FlexibleReader, FlexibleWriter, NO_UUID } from "./flexible-bytes.ts";

const NO_ERROR = 0;
const ACKS_ALL = -1;
/** A bit for each operation, by the codes of Kafka's AclOperation. */
const RIGHT_TO_WRITE = 1 << 4;
const RIGHTS_NOT_ASKED = -(2 ** 31);

/** Of the requests that a broker may be too old for: their keys and the versions that are sent. */
export const METADATA = { apiKey: 3, apiVersion: 12, apiName: "Metadata" };
export const FETCH = { apiKey: 1, apiVersion: 13, apiName: "Fetch" };

/** Error codes that the adapter tells apart. */
export const ErrorCode = {
  none: NO_ERROR,
  offsetOutOfRange: 1,
  corruptMessage: 2,
  unknownTopicOrPartition: 3,
  leaderNotAvailable: 5,
  notLeader: 6,
  requestTimedOut: 7,
  messageTooLarge: 10,
  networkException: 13,
  recordListTooLarge: 18,
  notEnoughReplicas: 19,
  notEnoughReplicasAfterAppend: 20,
  topicAuthorizationFailed: 29,
  clusterAuthorizationFailed: 31,
  invalidTimestamp: 32,
  unsupportedForMessageFormat: 43,
  policyViolation: 44,
  outOfOrderSequence: 45,
  invalidProducerEpoch: 47,
  invalidTxnState: 48,
  invalidProducerIdMapping: 49,
  concurrentTransactions: 51,
  transactionalIdAuthorizationFailed: 53,
  kafkaStorageError: 56,
  unknownProducerId: 59,
  fencedLeaderEpoch: 74,
  unknownLeaderEpoch: 75,
  unsupportedCompressionType: 76,
  offsetNotAvailable: 78,
  invalidRecord: 87,
  producerFenced: 90,
  unknownTopicId: 100,
  inconsistentTopicId: 103,
} as const;

export interface ClusterMetadata {
  readonly brokers: readonly {
    readonly nodeId: number;
    readonly host: string;
    readonly port: number;
  }[];
  readonly clusterId: string | null;
  readonly topics: readonly {
    readonly name: string;
    /** Its own: one that is made anew has another. NO_UUID where there is no such topic. */
    readonly id: string;
    readonly errorCode: number;
    /** The broker's own. */
    readonly isInternal: boolean;
    /** The leader of each partition, by partition; -1 where there is none now. */
    readonly leaders: readonly number[];
    /** Copies of each record; the fewest of any partition. */
    readonly replicas: number;
    /** This user; null unless it is asked for. */
    readonly mayWrite: boolean | null;
  }[];
}

/** Of these topics, or with null of all. */
export function metadata(
  broker: Broker,
  topics: readonly string[] | null,
  { tellsRights = false }: { readonly tellsRights?: boolean } = {},
): Promise<ClusterMetadata> {
  const body = new FlexibleWriter().noTags();
  body.compactArray(topics, (topic) => body.uuid(NO_UUID).compactString(topic).noTags());
  body.int8(0).int8(tellsRights ? 1 : 0).noTags(); // no topic is made by asking for it
  return send(broker, { ...METADATA, body }, (answer) => {
    answer.skipTags();
    answer.int32(); // throttle time: the broker has waited
    const brokers = answer.compactArray(() => {
      const nodeId = answer.int32();
      const address = { host: answer.compactString() ?? "", port: answer.int32() };
      answer.compactString(); // rack
      answer.skipTags();
      return { nodeId, ...address };
    });
    const clusterId = answer.compactString();
    answer.int32(); // controller
    return { brokers, clusterId, topics: answer.compactArray(() => readTopic(answer)) };
  });
}

function readTopic(answer: FlexibleReader): ClusterMetadata["topics"][number] {
  const errorCode = answer.int16();
  const name = answer.compactString() ?? "";
  const id = answer.uuid();
  const isInternal = answer.int8() !== 0;
  const leaders: number[] = [];
  const nodes = () => answer.compactArray(() => answer.int32());
  const replicas = answer.compactArray(() => {
    answer.int16(); // the partition's own error: no leader says it, too
    const partition = answer.int32();
    leaders[partition] = answer.int32();
    answer.int32(); // the leader's epoch
    const copies = nodes().length;
    nodes(); // in sync
    nodes(); // offline
    answer.skipTags();
    return copies;
  });
  const rights = answer.int32();
  const mayWrite = rights === RIGHTS_NOT_ASKED ? null : (rights & RIGHT_TO_WRITE) !== 0;
  answer.skipTags();
  return { name, id, errorCode, isInternal, leaders, replicas: Math.min(...replicas), mayWrite };
}

export interface PartitionBatch {
  readonly topic: string;
  readonly partition: number;
  /** One record batch, from `encodeBatch`. */
  readonly bytes: Buffer;
}

export interface ProduceResult {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
  readonly baseOffset: bigint;
  /** Unix milliseconds; -1 where the topic has its writers' times. */
  readonly appendTimeMs: bigint;
}

/** Acknowledged by all in-sync replicas. At most one batch for a partition. */
export function produce(
  broker: Broker,
  options: {
    readonly transactionalId: string | null;
    readonly replicateWithinMs: number;
    readonly batches: readonly PartitionBatch[];
  },
): Promise<readonly ProduceResult[]> {
  const bytes = options.batches.reduce((sum, batch) => sum + batch.bytes.length + 64, 128);
  const body = new ByteWriter(bytes)
    .string(options.transactionalId)
    .int16(ACKS_ALL)
    .int32(options.replicateWithinMs);
  writeByTopic(body, options.batches, (batch) => {
    body.int32(batch.partition).int32(batch.bytes.length).bytes(batch.bytes);
  });
  return send(broker, { apiKey: 0, apiVersion: 7, apiName: "Produce", body }, (answer) =>
    readByTopic(answer, (topic) => {
      const result = {
        topic,
        partition: answer.int32(),
        errorCode: answer.int16(),
        baseOffset: answer.int64(),
        appendTimeMs: answer.int64(),
      };
      answer.int64(); // the log's start
      return result;
    }),
  );
}

export interface PartitionPlace {
  readonly topic: string;
  readonly partition: number;
}

export function writeByTopic<T extends { readonly topic: string }>(
  body: ByteWriter,
  items: readonly T[],
  write: (item: T) => void,
): void {
  const byTopic = Map.groupBy(items, ({ topic }) => topic);
  body.int32(byTopic.size);
  for (const [topic, each] of byTopic) {
    body.string(topic).int32(each.length);
    each.forEach(write);
  }
}

export function readByTopic<T>(answer: ByteReader, read: (topic: string) => T): T[] {
  return answer
    .array(() => {
      const topic = answer.string() ?? "";
      return answer.array(() => read(topic));
    })
    .flat();
}

interface Request {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly apiName: string;
  readonly body: ByteWriter;
}

/** One request, and its answer as `read` takes it from the bytes. */
export async function send<T>(
  broker: Broker,
  { body, ...request }: Request,
  read: (answer: FlexibleReader) => T,
): Promise<T> {
  const buffer = body.done();
  const { answer } = await broker.connectionPool.send<{ readonly answer: T }>({
    request: { ...request, encode: async () => ({ buf: buffer, buffer }) },
    response: {
      decode: async (payload) => ({ answer: read(new FlexibleReader(payload)) }),
      parse: async (decoded) => decoded,
    },
  });
  return answer;
}
