/**
 * Fetch: committed records of partitions, as bytes.
 *
 *   partitions, an offset each ──one leader──> record batches, aborted transactions, refusals
 */

import type Broker from "kafkajs/src/broker/index.js";
import { type ByteReader, ByteWriter } from "./bytes.ts";
import { readByTopic, send, writeByTopic } from "./wire.ts";

const CONSUMER = -1;
const READ_COMMITTED = 1;

export interface FetchPartition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
}

export interface FetchResult {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
  readonly lastStableOffset: bigint;
  readonly startOffset: bigint;
  readonly aborted: readonly AbortedTransaction[];
  /** Record batches; the last may be cut off. */
  readonly records: Buffer;
}

export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: bigint;
}

/** Committed records of several partitions; waits for the first byte. */
export function fetch(
  broker: Broker,
  options: {
    readonly waitMs: number;
    readonly bytes: number;
    readonly partitionBytes: number;
    readonly partitions: readonly FetchPartition[];
  },
): Promise<readonly FetchResult[]> {
  const body = new ByteWriter(64 + options.partitions.length * 64)
    .int32(CONSUMER)
    .int32(options.waitMs)
    .int32(1) // byte, at least
    .int32(options.bytes)
    .int8(READ_COMMITTED)
    .int32(0) // no session
    .int32(-1);
  writeByTopic(body, options.partitions, ({ partition, offset }) => {
    body.int32(partition).int32(-1).int64(offset).int64(-1n).int32(options.partitionBytes);
  });
  body.int32(0).string(""); // nothing forgotten, no rack
  return send(broker, { apiKey: 1, apiVersion: 11, apiName: "Fetch", body }, (answer) => {
    answer.int32(); // throttle time
    answer.int16(); // sessions are not used
    answer.int32();
    return readByTopic(answer, (topic) => readFetched(answer, topic));
  });
}

function readFetched(answer: ByteReader, topic: string): FetchResult {
  const partition = answer.int32();
  const errorCode = answer.int16();
  answer.int64(); // high watermark
  const lastStableOffset = answer.int64();
  const startOffset = answer.int64();
  const aborted = answer.array(() => ({
    producerId: answer.int64(),
    firstOffset: answer.int64(),
  }));
  answer.int32(); // preferred replica
  const records = answer.bytes(Math.max(answer.int32(), 0));
  return { topic, partition, errorCode, lastStableOffset, startOffset, aborted, records };
}
