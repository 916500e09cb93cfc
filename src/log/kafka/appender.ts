/**
 * Appends outside transactions, in batches, in order, each record once.
 *
 *   append ──lane of its partition──> one batch in flight a lane, one request a leader ──> offsets
 *
 * While a request is under way the next records gather. What got no answer is sent again under
 * its own sequence, so that a lost answer doubles nothing; what can't be cleared up in time ends
 * as `outcome_unknown`, and its producer's id with it.
 */

import { LogError, type NewRecord } from "../event-log.ts";
import type { Connections } from "./connections.ts";
import {
  APPEND_WITHIN_MS,
  BATCH_BYTES,
  COMPRESS_FROM_BYTES,
  QUEUE_BYTES,
  RETRY_FIRST_MS,
  RETRY_LAST_MS,
  TRANSACTION_TIMEOUT_MS,
  UNAVAILABLE_AFTER_MS,
} from "./limits.ts";
import { encodeBatch, recordBytes } from "./record-batch.ts";
import { messageOf, pause, retrying, unavailable } from "./retry.ts";
import { type Sent, sendOnce } from "./sending.ts";
import { ErrorCode, type PartitionBatch } from "./wire.ts";

/** A step between which a crash must lose and double nothing; for tests. */
export type Step = (name: string) => void;

export class Appender {
  private readonly lanes = new Map<string, Lane>();
  /** Lanes with a batch under way, by the leader that has the request. */
  private readonly busyLeaders = new Set<number>();
  private producer: Producer | null = null;
  private making: Promise<Producer> | null = null;
  private queuedBytes = 0;
  private isScheduled = false;
  private lastProblem: string | null = null;
  private probing: Promise<void> | null = null;
  private isClosed = false;
  /** What is under way is given up. */
  private readonly closing = new AbortController();

  constructor(
    private readonly options: {
      readonly connections: Connections;
      readonly nowMs: () => number;
      readonly step: Step;
    },
  ) {}

  /** Topics and sizes are checked by the caller. */
  append(records: readonly NewRecord[]): Promise<readonly bigint[]> {
    if (this.isClosed) return Promise.reject(closed());
    const bytes = records.reduce((sum, record) => sum + recordBytes(record), 0);
    if (this.queuedBytes + bytes > QUEUE_BYTES && this.queuedBytes > 0) {
      const message = `${this.queuedBytes} bytes wait to be written: try again in a moment`;
      return Promise.reject(new LogError("busy", message));
    }
    this.queuedBytes += bytes;
    const call = new Call(records.length);
    records.forEach((record, index) => this.lane(record).queue.push({ record, call, index }));
    this.schedule();
    return call.done.finally(() => {
      this.queuedBytes -= bytes;
    });
  }

  /**
   * Why the last batch was not written; null when it was, or when the brokers answer again: a
   * service that is sent nothing while it is not ready must become ready all the same.
   */
  get problem(): string | null {
    if (this.lastProblem !== null) this.probe();
    return this.lastProblem;
  }

  private probe(): void {
    this.probing ??= this.options.connections
      .metadata([])
      .then(
        () => {
          this.lastProblem = null;
        },
        (error: unknown) => {
          this.lastProblem = messageOf(error);
        },
      )
      .finally(() => {
        this.probing = null;
      });
  }

  /** What was queued is written, or refused when that takes too long. */
  async close(): Promise<void> {
    this.isClosed = true;
    const isDrained = new AbortController();
    const drained = this.whenIdle().finally(() => isDrained.abort());
    await pause(UNAVAILABLE_AFTER_MS, isDrained.signal);
    this.closing.abort();
    for (const lane of this.lanes.values()) lane.refuseQueued(closed());
    await drained;
  }

  private async whenIdle(): Promise<void> {
    for (const lane of this.lanes.values()) {
      while (lane.idle !== null || lane.queue.length > 0) {
        await (lane.idle?.promise ?? nextTurn());
      }
    }
  }

  private lane({ topic, partition }: NewRecord): Lane {
    const key = `${partition}/${topic}`;
    let lane = this.lanes.get(key);
    if (lane === undefined) {
      lane = new Lane(topic, partition);
      this.lanes.set(key, lane);
    }
    return lane;
  }

  /** After the calls of this turn have gathered. */
  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    queueMicrotask(() => {
      this.isScheduled = false;
      this.pump();
    });
  }

  /** One request under way for a leader; what comes meanwhile gathers behind it. */
  private pump(): void {
    const waiting = [...this.lanes.values()].filter((lane) => lane.isWaiting);
    for (const [leader, lanes] of Map.groupBy(waiting, (lane) => lane.leader)) {
      if (this.busyLeaders.has(leader)) continue;
      if (leader !== UNKNOWN_LEADER) this.busyLeaders.add(leader);
      for (const lane of lanes) lane.idle = Promise.withResolvers<void>();
      void this.send(leader, lanes);
    }
  }

  private async send(leader: number, lanes: readonly Lane[]): Promise<void> {
    const { connections, step, nowMs } = this.options;
    let batches: readonly Batch[] = [];
    let outcomes: readonly Sent[] = [];
    const startMs = performance.now();
    try {
      const producer = await this.currentProducer();
      await Promise.all(lanes.map((lane) => this.learnLeader(lane)));
      const timestampMs = nowMs();
      batches = lanes.map((lane) => new Batch(lane, lane.take(BATCH_BYTES), producer, timestampMs));
      step("before send");
      outcomes = await sendOnce(connections, batches, null);
      step("sent");
    } catch (error) {
      const refused = asRefusal(error);
      for (const batch of batches) this.refuse(batch, refused);
      for (const lane of lanes) {
        if (batches.length === 0) lane.refuseQueued(refused); // there is no producer
        lane.free();
      }
    }
    this.busyLeaders.delete(leader);
    outcomes.forEach((outcome, index) => {
      const batch = batches[index] as Batch;
      if (this.settle(batch, outcome)) batch.lane.free();
      else void this.sendAgain(batch, startMs);
    });
    this.pump();
  }

  /** Until it is cleared up or given up. Its lane waits: the order of records depends on it. */
  private async sendAgain(batch: Batch, startMs: number): Promise<void> {
    for (let pauseMs = RETRY_FIRST_MS; ; pauseMs = Math.min(pauseMs * 2, RETRY_LAST_MS)) {
      if (this.giveUp(batch, performance.now() - startMs)) break;
      await pause(pauseMs, this.closing.signal);
      const [outcome] = await sendOnce(this.options.connections, [batch], null);
      if (this.settle(batch, outcome as Sent)) break;
    }
    batch.lane.free();
    this.pump();
  }

  /** Whether the batch has come to its end. */
  private settle(batch: Batch, outcome: Sent): boolean {
    if (outcome.kind === "done") {
      this.lastProblem = null;
      batch.succeed(outcome.baseOffset);
      return true;
    }
    batch.error = outcome.error;
    if (outcome.kind === "again") this.lastProblem = messageOf(outcome.error);
    if (outcome.kind === "again") {
      if (outcome.mayBeWritten) batch.mayBeWritten = true;
      batch.lane.leader = UNKNOWN_LEADER;
      return false;
    }
    if (batch.mayBeWritten) {
      this.retire(batch.producer);
      batch.fail(outcomeUnknown(batch, outcome.error));
    } else if (isProducersFault(outcome.errorCode)) {
      this.retire(batch.producer); // the broker has forgotten it: another sends the same
      batch.requeue();
    } else {
      batch.giveSequenceBack();
      batch.fail(outcome.error);
    }
    return true;
  }

  private refuse(batch: Batch, error: LogError): void {
    this.settle(batch, { kind: "refused", errorCode: NO_ANSWER, error });
  }

  private giveUp(batch: Batch, passedMs: number): boolean {
    const limitMs = batch.mayBeWritten ? APPEND_WITHIN_MS : UNAVAILABLE_AFTER_MS;
    if (passedMs < limitMs && !this.closing.signal.aborted) return false;
    const refused = unavailable(`append to ${batch.topic}`, batch.error);
    this.refuse(batch, refused);
    batch.lane.refuseQueued(refused); // it waited as long
    return true;
  }

  private async learnLeader(lane: Lane): Promise<void> {
    const { connections } = this.options;
    const leaders = await connections.partitions(lane.topic).catch(() => []); // sending tells why
    lane.leader = leaders[lane.partition] ?? UNKNOWN_LEADER;
  }

  private async currentProducer(): Promise<Producer> {
    if (this.producer !== null) return this.producer;
    this.making ??= this.makeProducer().finally(() => {
      this.making = null;
    });
    return this.making;
  }

  private async makeProducer(): Promise<Producer> {
    const { connections } = this.options;
    const ask = async () =>
      (await connections.any()).initProducerId({ transactionTimeout: TRANSACTION_TIMEOUT_MS });
    const what = "write to the log";
    const found = await retrying(ask, { withinMs: UNAVAILABLE_AFTER_MS, what });
    const producer = {
      id: BigInt(found.producerId),
      epoch: found.producerEpoch,
      sequences: new Map(),
    };
    this.producer = producer;
    return producer;
  }

  /** Nothing is sent under it any more, not even in this turn. */
  private retire(producer: Producer): void {
    if (this.producer === producer) this.producer = null;
  }
}

const UNKNOWN_LEADER = -1;
/** In the place of a broker's error code. */
const NO_ANSWER = -1;

interface Producer {
  readonly id: bigint;
  readonly epoch: number;
  /** The next one, by lane. */
  readonly sequences: Map<Lane, number>;
}

interface Item {
  readonly record: NewRecord;
  readonly call: Call;
  readonly index: number;
}

/** One append: resolves with all its offsets. */
class Call {
  private readonly deferred = Promise.withResolvers<readonly bigint[]>();
  private readonly offsets: bigint[];
  private isAnyWritten = false;
  private left: number;
  private failure: LogError | null = null;

  constructor(count: number) {
    this.offsets = Array.from({ length: count }, () => -1n);
    this.left = count;
    if (count === 0) this.deferred.resolve([]);
  }

  get done(): Promise<readonly bigint[]> {
    return this.deferred.promise;
  }

  succeed(index: number, offset: bigint): void {
    this.offsets[index] = offset;
    this.isAnyWritten = true;
    this.end();
  }

  fail(error: LogError): void {
    if (this.failure === null || error.code === "outcome_unknown") this.failure = error;
    this.end();
  }

  /** Where a part was written and a part refused, the whole is neither. */
  private end(): void {
    this.left -= 1;
    if (this.left > 0) return;
    const { failure } = this;
    if (failure === null) return this.deferred.resolve(this.offsets);
    if (!this.isAnyWritten || failure.code === "outcome_unknown") {
      return this.deferred.reject(failure);
    }
    const message = `a part of the records was written, another not: ${failure.message}`;
    this.deferred.reject(new LogError("outcome_unknown", message, { cause: failure }));
  }
}

/** What waits for one partition, in order. */
class Lane {
  readonly queue: Item[] = [];
  leader = UNKNOWN_LEADER;
  /** Set while a batch is under way. */
  idle: PromiseWithResolvers<void> | null = null;

  constructor(
    readonly topic: string,
    readonly partition: number,
  ) {}

  get isWaiting(): boolean {
    return this.idle === null && this.queue.length > 0;
  }

  /** At least one, and as many more as fit. */
  take(bytes: number): readonly Item[] {
    let sum = 0;
    const end = this.queue.findIndex(({ record }, index) => {
      sum += recordBytes(record);
      return index > 0 && sum > bytes;
    });
    return this.queue.splice(0, end < 0 ? this.queue.length : end);
  }

  free(): void {
    this.idle?.resolve();
    this.idle = null;
  }

  refuseQueued(error: LogError): void {
    for (const { call } of this.queue.splice(0)) call.fail(error);
  }
}

class Batch implements PartitionBatch {
  readonly topic: string;
  readonly partition: number;
  readonly bytes: Buffer;
  mayBeWritten = false;
  error: unknown = null;
  private readonly firstSequence: number;

  constructor(
    readonly lane: Lane,
    private readonly items: readonly Item[],
    readonly producer: Producer,
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

/** Sequences are 31 bits and wrap. */
export function nextSequence(sequence: number, count: number): number {
  return (sequence + count) % 2 ** 31;
}

function isProducersFault(errorCode: number): boolean {
  return (
    errorCode === ErrorCode.outOfOrderSequence ||
    errorCode === ErrorCode.unknownProducerId ||
    errorCode === ErrorCode.invalidProducerEpoch
  );
}

function outcomeUnknown({ topic, partition }: PartitionBatch, cause: unknown): LogError {
  return new LogError(
    "outcome_unknown",
    `the broker did not say in time whether records were written to ${topic} partition ` +
      `${partition}`,
    { cause },
  );
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function asRefusal(error: unknown): LogError {
  return error instanceof LogError ? error : unavailable("append", error);
}

function closed(): LogError {
  return new LogError("closed", "the log is closed: open it again");
}
