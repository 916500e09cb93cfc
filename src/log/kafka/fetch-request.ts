/**
 * Fetch: committed records of partitions, as bytes.
 *
 *   partitions, an offset each ──one leader──> record batches, aborted transactions, refusals
 *
 * Topics go by their ids: what was made anew under a name is refused, not read on.
 */

import type Broker from "kafkajs/src/broker/index.js";
import { passing } from "./brokers.ts";
import { type FlexibleReader, FlexibleWriter } from "./flexible-bytes.ts";
import { ErrorCode, FETCH, send } from "./wire.ts";

const CONSUMER = -1;
const READ_COMMITTED = 1;
const NO_EPOCH = -1;

export interface FetchPartition {
  readonly topicId: string;
  readonly partition: number;
  readonly offset: bigint;
}

export interface FetchResult {
  readonly topicId: string;
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

export interface FetchOptions {
  readonly waitMs: number;
  readonly bytes: number;
  readonly partitionBytes: number;
  readonly partitions: readonly FetchPartition[];
}

/** Committed records of several partitions; waits for the first byte. */
export function fetch(broker: Broker, options: FetchOptions): Promise<readonly FetchResult[]> {
  return send(broker, { ...FETCH, body: encodeFetch(options) }, (answer) => {
    answer.skipTags();
    answer.int32(); // throttle time
    const errorCode = answer.int16();
    if (errorCode !== ErrorCode.none) {
      // No partition is named then: the leaders are asked for anew.
      throw passing("NETWORK_EXCEPTION", `the broker refuses a whole fetch: error ${errorCode}`);
    }
    answer.int32(); // no session
    const byTopic = answer.compactArray(() => {
      const topicId = answer.uuid();
      const results = answer.compactArray(() => readFetched(answer, topicId));
      answer.skipTags();
      return results;
    });
    return byTopic.flat();
  });
}

function encodeFetch({ waitMs, bytes, partitionBytes, partitions }: FetchOptions): FlexibleWriter {
  const body = new FlexibleWriter(64 + partitions.length * 64)
    .noTags()
    .int32(CONSUMER)
    .int32(waitMs)
    .int32(1) // byte, at least
    .int32(bytes)
    .int8(READ_COMMITTED)
    .int32(0) // no session
    .int32(-1);
  const byTopic = Map.groupBy(partitions, ({ topicId }) => topicId);
  body.compactArray([...byTopic], ([topicId, each]) => {
    body.uuid(topicId);
    body.compactArray(each, ({ partition, offset }) => {
      body.int32(partition).int32(NO_EPOCH).int64(offset).int32(NO_EPOCH);
      body.int64(-1n).int32(partitionBytes).noTags(); // no follower, whose log begins somewhere
    });
    body.noTags();
  });
  return body.compactArray([], () => {}).compactString("").noTags(); // nothing forgotten, no rack
}

function readFetched(answer: FlexibleReader, topicId: string): FetchResult {
  const partition = answer.int32();
  const errorCode = answer.int16();
  answer.int64(); // high watermark
  const lastStableOffset = answer.int64();
  const startOffset = answer.int64();
  const aborted = answer.compactArray(() => {
    const transaction = { producerId: answer.int64(), firstOffset: answer.int64() };
    answer.skipTags();
    return transaction;
  });
  answer.int32(); // preferred replica
  const records = answer.compactBytes();
  answer.skipTags();
  return { topicId, partition, errorCode, lastStableOffset, startOffset, aborted, records };
}
