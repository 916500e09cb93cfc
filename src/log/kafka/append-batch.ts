/**
 * What a lane sends at once, under its producer's next sequence, until it has come to an end.
 *
 *   lane's records ──encode──> bytes, sent as often as it takes ──> each call succeeds or fails
 */

import type { LogError } from "../event-log.ts";
import type { Lane, LaneItem } from "./append-lane.ts";
import type { IdempotentProducer } from "./idempotent-producer.ts";
import { COMPRESS_FROM_BYTES } from "./limits.ts";
import { encodeBatch, nextSequence } from "./record-batch.ts";
import type { PartitionBatch } from "./wire.ts";

export class AppendBatch implements PartitionBatch {
  readonly topic: string;
  readonly partition: number;
  readonly bytes: Buffer;
  mayBeWritten = false;
  error: unknown = null;
  readonly madeMs = performance.now();
  private readonly firstSequence: number;

  constructor(
    readonly lane: Lane,
    private readonly items: readonly LaneItem[],
    readonly producer: IdempotentProducer,
    timestampMs: number,
  ) {
    this.topic = lane.topic;
    this.partition = lane.partition;
    this.firstSequence = producer.sequences.get(lane) ?? 0;
    this.bytes = encodeBatch(
      items.map(({ record }) => record),
      {
        producerId: producer.id,
        producerEpoch: producer.epoch,
        firstSequence: this.firstSequence,
        isTransactional: false,
      },
      { timestampMs, compressFromBytes: COMPRESS_FROM_BYTES },
    );
    producer.sequences.set(lane, nextSequence(this.firstSequence, items.length));
  }

  succeed(baseOffset: bigint): void {
    this.items.forEach(({ call, index }, at) => call.succeed(index, baseOffset + BigInt(at)));
  }

  fail(error: LogError): void {
    for (const { call } of this.items) call.fail(error);
  }

  /** Only where it was surely not written. */
  giveSequenceBack(): void {
    this.producer.sequences.set(this.lane, this.firstSequence);
  }

  requeue(): void {
    this.lane.queue.unshift(...this.items);
  }
}
