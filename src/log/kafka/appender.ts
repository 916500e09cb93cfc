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
import { AppendBatch } from "./append-batch.ts";
import { AppendCall } from "./append-call.ts";
import { Lane, UNKNOWN_LEADER } from "./append-lane.ts";
import { BrokerClock } from "./broker-clock.ts";
import type { Connections } from "./connections.ts";
import { IdempotentProducers } from "./idempotent-producer.ts";
import {
  APPEND_WITHIN_MS,
  BATCH_BYTES,
  QUEUE_BYTES,
  RETRY_FIRST_MS,
  RETRY_LAST_MS,
  UNAVAILABLE_AFTER_MS,
} from "./limits.ts";
import { recordBytes } from "./record-batch.ts";
import { pause, typeOf, unavailable } from "./retry.ts";
import { type Sent, sendOnce } from "./sending.ts";
import { ErrorCode, type PartitionBatch } from "./wire.ts";
import { WriteProblem } from "./write-problem.ts";

/** A step between which a crash must lose and double nothing; for tests. */
export type Step = (name: string) => void | Promise<void>;

export class Appender {
  private readonly lanes = new Map<string, Lane>();
  /** Each has a request under way. */
  private readonly busyLeaders = new Set<number>();
  private queuedBytes = 0;
  private isScheduled = false;
  private readonly producers: IdempotentProducers;
  private readonly lastProblem: WriteProblem;
  private readonly brokerClock: BrokerClock;
  private isClosed = false;
  /** What is under way is given up. */
  private readonly closing = new AbortController();

  constructor(
    private readonly options: {
      readonly connections: Connections;
      readonly nowMs: () => number;
      readonly step: Step;
      /** Written for its answer, which says the brokers' time. Left out: they are not asked. */
      readonly timeRecord?: NewRecord;
    },
  ) {
    this.producers = new IdempotentProducers(options.connections);
    this.lastProblem = new WriteProblem(options.connections);
    this.brokerClock = new BrokerClock(options.nowMs, () => this.askForTime());
  }

  /** Topics and sizes are checked by the caller. */
  append(records: readonly NewRecord[]): Promise<readonly bigint[]> {
    if (this.isClosed) return Promise.reject(closed());
    const clockProblem = this.brokerClock.problem;
    if (clockProblem !== null) return Promise.reject(clockProblem);
    return this.queue(records);
  }

  private queue(records: readonly NewRecord[]): Promise<readonly bigint[]> {
    const bytes = records.reduce((sum, record) => sum + recordBytes(record), 0);
    if (this.queuedBytes + bytes > QUEUE_BYTES && this.queuedBytes > 0) {
      const message = `${this.queuedBytes} bytes wait to be written: try again in a moment`;
      return Promise.reject(new LogError("busy", message));
    }
    this.queuedBytes += bytes;
    const call = new AppendCall(records.length);
    records.forEach((record, index) => this.lane(record).queue.push({ record, call, index }));
    this.schedule();
    return call.done.finally(() => {
      this.queuedBytes -= bytes;
    });
  }

  /** Why nothing could be written last; null when it could, or when the brokers answer again. */
  get problem(): string | null {
    return this.brokerClock.problem?.message ?? this.lastProblem.text;
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

  private askForTime(): void {
    const { timeRecord } = this.options;
    if (timeRecord === undefined || this.isClosed) return;
    this.queue([timeRecord]).catch(() => {}); // its answer is all that is wanted
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
    let batches: readonly AppendBatch[] = [];
    let outcomes: readonly Sent[] = [];
    const startMs = performance.now();
    try {
      const producer = await this.producers.current();
      await Promise.all(lanes.map((lane) => this.learnLeader(lane)));
      const timestampMs = nowMs();
      batches = lanes.map(
        (lane) => new AppendBatch(lane, lane.take(BATCH_BYTES), producer, timestampMs),
      );
      await step("before send");
      outcomes = await sendOnce(connections, batches, null);
      await step("sent");
    } catch (error) {
      const refused = asRefusal(error);
      for (const batch of batches) this.refuse(batch, refused);
      for (const lane of lanes) {
        if (batches.length === 0) this.refuseWithoutProducer(lane, refused);
        lane.free();
      }
    }
    this.busyLeaders.delete(leader);
    outcomes.forEach((outcome, index) => {
      const batch = batches[index] as AppendBatch;
      if (this.settle(batch, outcome)) batch.lane.free();
      else void this.sendAgain(batch, startMs);
    });
    this.pump();
  }

  /** Until it is cleared up or given up. Its lane waits: the order of records depends on it. */
  private async sendAgain(batch: AppendBatch, startMs: number): Promise<void> {
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
  private settle(batch: AppendBatch, outcome: Sent): boolean {
    if (outcome.kind === "done") {
      this.lastProblem.written(batch.topic);
      this.brokerClock.saw(outcome.appendTimeMs, batch.madeMs);
      // The first append of a machine whose clock is wrong: readers may refuse what stands there.
      const clockProblem = this.brokerClock.problem;
      if (clockProblem === null) batch.succeed(outcome.baseOffset);
      else batch.fail(new LogError("outcome_unknown", clockProblem.message));
      return true;
    }
    batch.error = outcome.error;
    if (outcome.kind === "again") {
      this.lastProblem.failed(outcome.error);
      if (outcome.mayBeWritten) batch.mayBeWritten = true;
      batch.lane.leader = UNKNOWN_LEADER;
      return false;
    }
    if (NOT_ALLOWED.has(outcome.errorCode)) this.lastProblem.refused(batch.topic, outcome.error);
    if (batch.mayBeWritten) {
      this.producers.retire(batch.producer);
      batch.fail(outcomeUnknown(batch, outcome.error));
    } else if (isProducersFault(outcome.errorCode)) {
      this.producers.retire(batch.producer); // the broker has forgotten it: another sends the same
      batch.requeue();
    } else {
      batch.giveSequenceBack();
      batch.fail(outcome.error);
    }
    return true;
  }

  private refuse(batch: AppendBatch, error: LogError): void {
    this.settle(batch, { kind: "refused", errorCode: NO_ANSWER, error });
  }

  /** Who may write to no topic at all gets no producer. */
  private refuseWithoutProducer(lane: Lane, refused: LogError): void {
    const isNotAllowed = typeOf(refused.cause ?? refused) === "CLUSTER_AUTHORIZATION_FAILED";
    if (isNotAllowed) this.lastProblem.refused(lane.topic, refused);
    lane.refuseQueued(refused);
  }

  private giveUp(batch: AppendBatch, passedMs: number): boolean {
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
}

/** In the place of a broker's error code. */
const NO_ANSWER = -1;

const NOT_ALLOWED = new Set<number>([
  ErrorCode.topicAuthorizationFailed,
  ErrorCode.clusterAuthorizationFailed,
]);

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
