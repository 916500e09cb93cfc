/**
 * Sends record batches to the leaders of their partitions, and tells what became of each.
 *
 *   batches ──one request a leader──> done at an offset | refused | to be sent again as it is
 *
 * A batch carries its producer's id and sequence, so the broker takes it once, however often it
 * is sent: sending the same bytes again is always safe, sending others under its sequence never.
 * (kafkajs's producer rolls a sequence back after a lost answer; the next send is then answered
 * "duplicate", with success, for a record that does not exist.)
 */

import type Broker from "kafkajs/src/broker/index.js";
import { LogError } from "../event-log.ts";
import type { Connections } from "./connections.ts";
import { MAX_MESSAGE_BYTES, REPLICATE_WITHIN_MS } from "./limits.ts";
import { isPassing, unavailable } from "./retry.ts";
import { ErrorCode, type PartitionBatch, produce, type ProduceResult } from "./wire.ts";

export type Sent =
  | { readonly kind: "done"; readonly baseOffset: bigint; readonly appendTimeMs: bigint }
  /** Nothing of it was written, and never will be. */
  | { readonly kind: "refused"; readonly errorCode: number; readonly error: LogError }
  /** To be sent again; `mayBeWritten` when it may have been taken all the same. */
  | { readonly kind: "again"; readonly mayBeWritten: boolean; readonly error: unknown };

/** One try. The outcomes are in the order of the batches. */
export async function sendOnce(
  connections: Connections,
  batches: readonly PartitionBatch[],
  transactionalId: string | null,
): Promise<readonly Sent[]> {
  const outcomes = new Map<PartitionBatch, Sent>();
  const byLeader = new Map<Broker, PartitionBatch[]>();
  const find = async (batch: PartitionBatch) => {
    try {
      const leader = await connections.leader(batch.topic, batch.partition);
      byLeader.set(leader, [...(byLeader.get(leader) ?? []), batch]);
    } catch (error) {
      outcomes.set(batch, notSent(batch, error));
    }
  };
  await Promise.all(batches.map(find)); // all connect at once
  const requests = [...byLeader].map(([leader, own]) =>
    sendToLeader(leader, { batches: own, transactionalId, connections, outcomes }),
  );
  await Promise.all(requests);
  return batches.map((batch) => outcomes.get(batch) as Sent);
}

async function sendToLeader(
  leader: Broker,
  options: {
    readonly batches: readonly PartitionBatch[];
    readonly transactionalId: string | null;
    readonly connections: Connections;
    readonly outcomes: Map<PartitionBatch, Sent>;
  },
): Promise<void> {
  const { batches, transactionalId, connections, outcomes } = options;
  const sentMs = performance.now(); // a leader that has lost its replicas is deposed, maybe
  try {
    const results = await produce(leader, {
      transactionalId,
      replicateWithinMs: REPLICATE_WITHIN_MS,
      batches,
    });
    for (const batch of batches) {
      const result = results.find(
        ({ topic, partition }) => topic === batch.topic && partition === batch.partition,
      );
      outcomes.set(batch, outcomeOf(batch, result));
    }
  } catch (error) {
    for (const batch of batches) {
      outcomes.set(batch, { kind: "again", mayBeWritten: true, error });
    }
  }
  for (const batch of batches) {
    if (outcomes.get(batch)?.kind !== "done") connections.forget(batch.topic, sentMs);
  }
}

function notSent({ topic, partition }: PartitionBatch, error: unknown): Sent {
  if (isPassing(error)) return { kind: "again", mayBeWritten: false, error };
  const refused =
    error instanceof LogError ? error : unavailable(`write ${topic} partition ${partition}`, error);
  return { kind: "refused", errorCode: ErrorCode.unknownTopicOrPartition, error: refused };
}

/** The broker finds these before it writes; they may pass. */
const NOT_WRITTEN_YET = new Set<number>([
  ErrorCode.unknownTopicOrPartition,
  ErrorCode.leaderNotAvailable,
  ErrorCode.notEnoughReplicas,
  ErrorCode.concurrentTransactions,
]);
/** These, too; they do not. */
const NEVER_WRITTEN = new Set<number>([
  ErrorCode.corruptMessage,
  ErrorCode.topicAuthorizationFailed,
  ErrorCode.clusterAuthorizationFailed,
  ErrorCode.invalidTimestamp,
  ErrorCode.unsupportedForMessageFormat,
  ErrorCode.policyViolation,
  ErrorCode.outOfOrderSequence,
  ErrorCode.invalidProducerEpoch,
  ErrorCode.invalidTxnState,
  ErrorCode.invalidProducerIdMapping,
  ErrorCode.transactionalIdAuthorizationFailed,
  ErrorCode.unknownProducerId,
  ErrorCode.unsupportedCompressionType,
  ErrorCode.invalidRecord,
  ErrorCode.producerFenced,
]);

function outcomeOf(batch: PartitionBatch, result: ProduceResult | undefined): Sent {
  const place = `${batch.topic} partition ${batch.partition}`;
  if (result === undefined) {
    const error = new Error(`the broker's answer leaves ${place} out`);
    return { kind: "again", mayBeWritten: true, error };
  }
  const { errorCode, baseOffset, appendTimeMs } = result;
  if (errorCode === ErrorCode.none) return { kind: "done", baseOffset, appendTimeMs };
  if (errorCode === ErrorCode.messageTooLarge || errorCode === ErrorCode.recordListTooLarge) {
    const error = tooLargeThere(batch);
    return { kind: "refused", errorCode, error };
  }
  const error = refusal(errorCode, place);
  if (NEVER_WRITTEN.has(errorCode)) return { kind: "refused", errorCode, error };
  // A leader that is deposed while it waits for its replicas has written, and so may have one
  // that failed in a way of its own: what is not known to be refused may be there.
  return { kind: "again", mayBeWritten: !NOT_WRITTEN_YET.has(errorCode), error };
}

/** No record is at fault: what is over this program's own limit never comes here. */
function tooLargeThere({ topic, partition, bytes }: PartitionBatch): LogError {
  return new LogError(
    "unavailable",
    `the broker refuses ${bytes.length} bytes for ${topic} partition ${partition} as too large: ` +
      `set the topic's max.message.bytes to ${MAX_MESSAGE_BYTES} or more (\`topics sync\` does)`,
  );
}

function refusal(errorCode: number, place: string): LogError {
  const [name = `error ${errorCode}`] =
    Object.entries(ErrorCode).find(([, code]) => code === errorCode) ?? [];
  return new LogError("unavailable", `the broker refuses records for ${place}: ${name}`);
}
