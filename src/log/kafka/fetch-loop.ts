/**
 * One fetch at a time for each leader, with all cursors that want one.
 *
 *   cursors ──their leaders──> a fetch each ──batches──> cursors
 *
 * What a leader says of one partition, or that a topic is gone, is that cursor's alone. A cursor
 * reads the topic that it began with: one that was made anew under its name has another id, which
 * the leader refuses to go on with.
 */

import { LogError } from "../event-log.ts";
import { passing } from "./brokers.ts";
import { type Connections, unknownPartition } from "./connections.ts";
import type { Cursor, Place } from "./cursor.ts";
import { fetch, type FetchOptions, type FetchResult } from "./fetch-request.ts";
import { fetchFailed, fetchRefused, madeAnew } from "./fetch-refusal.ts";
import { committedBatches } from "./fetched-batches.ts";
import { FetchSize } from "./fetch-size.ts";
import { FETCH_PARTITION_BYTES, RETRY_FIRST_MS, RETRY_LAST_MS } from "./limits.ts";
import { atMost, isPassing, messageOf, pause, typeOf } from "./retry.ts";
import { ErrorCode } from "./wire.ts";

export class FetchLoop {
  private readonly asked = new Set<number>();
  problem: string | null = null;
  private isStopped = false;
  private isAwake = false;

  constructor(
    private readonly connections: Connections,
    private readonly options: {
      readonly waitMs: number;
      readonly withinMs: number;
      readonly cursors: () => Cursor[];
      /** Not asked for, since a fetch is under way or asks for another offset. */
      readonly onLeft: (cursor: Cursor) => void;
    },
  ) {}

  /** After the changes of this turn have gathered, and readers have taken what came with it. */
  wake(): void {
    if (this.isAwake) return;
    this.isAwake = true;
    setImmediate(() => {
      this.isAwake = false;
      this.ask();
    });
  }

  stop(): void {
    this.isStopped = true;
  }

  private ask(): void {
    if (this.isStopped) return;
    const byLeader = new Map<number, Cursor[]>();
    for (const cursor of this.options.cursors()) {
      const { topic, partition } = cursor.place;
      const known = this.connections.known(topic);
      const isOther = cursor.topicId !== null && known?.id !== cursor.topicId;
      const leader = known?.leaders[partition] ?? UNKNOWN_LEADER;
      cursor.askedTopicId = known?.id ?? "";
      if (isOther || leader === UNKNOWN_LEADER) void this.findLeader(cursor);
      else byLeader.set(leader, [...(byLeader.get(leader) ?? []), cursor]);
    }
    for (const [leader, own] of byLeader) {
      if (!this.asked.has(leader)) void this.askLeader(leader, oneOffsetEach(own));
      for (const cursor of own) if (!cursor.isAsked) this.options.onLeft(cursor);
    }
  }

  private async askLeader(leader: number, cursors: readonly Cursor[]): Promise<void> {
    this.asked.add(leader);
    for (const cursor of cursors) {
      cursor.isAsked = true;
      cursor.isDue = false;
      cursor.askedMs = performance.now();
    }
    try {
      await this.fetchOnce(cursors);
    } finally {
      this.asked.delete(leader);
      for (const cursor of cursors) cursor.isAsked = false;
      this.wake();
    }
  }

  private pauseMs = RETRY_FIRST_MS;
  private readonly size = new FetchSize();

  private async fetchOnce(cursors: readonly Cursor[]): Promise<void> {
    const first = (cursors[0] as Cursor).place;
    const asked = new Map(
      cursors.map(({ place: { partition }, askedTopicId: topicId, fetchOffset: offset }) => [
        keyOf({ topicId, partition }),
        { topicId, partition, offset },
      ]),
    );
    const { bytes } = this.size;
    try {
      const { results, sentMs } = await this.inTime(this.answer(first, [...asked.values()], bytes));
      const byPlace = new Map(results.map((each) => [keyOf(each), each]));
      const came = results.reduce((sum, { records }) => sum + records.length, 0);
      this.size.answered({ asked: bytes, came, tookMs: performance.now() - sentMs });
      const isNothing = came === 0; // any batch would have come, at least one
      let isInTrouble = false;
      for (const cursor of cursors) {
        const result = byPlace.get(keyOfAsked(cursor));
        cursor.isAsked = false; // what is delivered may have it asked for again, elsewhere
        const isDelivered =
          result !== undefined && this.deliver(cursor, result, { isNothing, sentMs });
        if (!isDelivered) isInTrouble = true;
      }
      if (isInTrouble) return await this.pause();
      this.pauseMs = RETRY_FIRST_MS;
      this.problem = null;
    } catch (error) {
      if (this.isStopped) return;
      if (typeOf(error) === "KafkaJSRequestTimeoutError") this.size.timedOut(bytes);
      // What the first one's topic has come to is found out for each by itself.
      const isOfTopic = error instanceof LogError && error.code !== "closed";
      if (!isOfTopic && !isPassing(error)) return failAll(cursors, error);
      for (const cursor of cursors) {
        cursor.believe();
        this.connections.forget(cursor.place.topic);
      }
      this.problem = `the brokers cannot be read: ${messageOf(error)}`;
      await this.pause();
    }
  }

  private async answer(at: Place, partitions: FetchOptions["partitions"], bytes: number) {
    const broker = await this.connections.leader(at.topic, at.partition);
    const sentMs = performance.now();
    const { waitMs } = this.options;
    const partitionBytes = FETCH_PARTITION_BYTES;
    const results = await fetch(broker, { waitMs, bytes, partitionBytes, partitions });
    return { results, sentMs };
  }

  /** However it comes that there is none: its leader would not be asked again. */
  private async inTime<T>(answer: Promise<T>): Promise<T> {
    const { withinMs } = this.options;
    if (await atMost(withinMs, answer)) return answer;
    throw passing("KafkaJSRequestTimeoutError", `no answer to a fetch within ${withinMs} ms`);
  }

  private async pause(): Promise<void> {
    await pause(this.pauseMs);
    this.pauseMs = Math.min(this.pauseMs * 2, RETRY_LAST_MS);
  }

  /**
   * False when the leader has moved, or is to be asked again for another reason. `isNothing`: an
   * empty answer means that nothing is there, not that other partitions took all the room.
   */
  private deliver(
    cursor: Cursor,
    result: FetchResult,
    { isNothing, sentMs }: { readonly isNothing: boolean; readonly sentMs: number },
  ): boolean {
    const { topic, partition } = cursor.place;
    const from = cursor.fetchOffset;
    switch (result.errorCode) {
      case ErrorCode.none:
        break;
      case ErrorCode.offsetOutOfRange:
        if (cursor.doubt()) cursor.fail(fetchRefused(cursor.place, from, result));
        else this.connections.forget(topic); // it may have hung, and another lead by now
        return cursor.failure !== null;
      case ErrorCode.corruptMessage:
      case ErrorCode.topicAuthorizationFailed:
        cursor.fail(fetchRefused(cursor.place, from, result));
        return true;
      default: // a topic that is another or gone by its id is looked up by its name
        this.connections.forget(topic);
        return false;
    }
    cursor.topicId ??= result.topicId;
    cursor.believe();
    const bytes = Buffer.from(result.records); // of its own: the answer holds other partitions'
    const { batches, nextOffset, failure } = committedBatches(bytes, {
      topic,
      partition,
      from,
      aborted: result.aborted,
    });
    // Other partitions may have taken all the room: then nothing is known of this one.
    const isEmpty = isNothing && nextOffset === from;
    cursor.deliver(batches, isEmpty ? cursor.passGap(result.lastStableOffset, sentMs) : nextOffset);
    if (failure !== null) cursor.fail(failure); // once what stands before it is taken
    return true;
  }

  /** Has the cursor asked for at its leader, once there is one. */
  private async findLeader(cursor: Cursor): Promise<void> {
    const { topic, partition } = cursor.place;
    cursor.isAsked = true;
    try {
      const found = await this.connections.topicNow(topic);
      if (cursor.topicId !== null && found.id !== cursor.topicId) return await this.doubt(cursor);
      const leader = found.leaders[partition];
      if (leader === undefined) throw unknownPartition(topic, partition);
      if (leader !== UNKNOWN_LEADER) return;
      this.connections.forget(topic);
      await this.pause();
    } catch (error) {
      if (this.isStopped) return;
      if (!isPassing(error)) return failAll([cursor], error);
      this.problem = `the brokers cannot be reached: ${messageOf(error)}`;
      await this.pause();
    } finally {
      cursor.isAsked = false;
      this.wake();
    }
  }

  /** A broker that is late may still have the name's former topic: its word alone is not enough. */
  private async doubt(cursor: Cursor): Promise<void> {
    if (cursor.doubt()) return cursor.fail(madeAnew(cursor.place, cursor.nextOffset));
    this.connections.forget(cursor.place.topic);
    await this.pause();
  }
}

const UNKNOWN_LEADER = -1;

function keyOf(asked: { readonly topicId: string; readonly partition: number }): string {
  return `${asked.partition}/${asked.topicId}`;
}

function keyOfAsked({ place: { partition }, askedTopicId: topicId }: Cursor): string {
  return keyOf({ topicId, partition });
}

/**
 * A request names a partition once: those that stand elsewhere in it wait for their turn. Those
 * that have waited longest come first, since the first is sure to get something (KIP-74).
 */
function oneOffsetEach(cursors: readonly Cursor[]): readonly Cursor[] {
  const offsets = new Map<string, bigint>();
  const inTurn = cursors.toSorted((a, b) => a.askedMs - b.askedMs);
  return inTurn.filter((cursor) => {
    const key = keyOfAsked(cursor);
    if (!offsets.has(key)) offsets.set(key, cursor.fetchOffset);
    return offsets.get(key) === cursor.fetchOffset;
  });
}

function failAll(cursors: readonly Cursor[], error: unknown): void {
  for (const cursor of cursors) cursor.fail(fetchFailed(cursor.place, cursor.nextOffset, error));
}
