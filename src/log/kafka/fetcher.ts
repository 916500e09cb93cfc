/**
 * Reads partitions without a group: each cursor from its own offset, ahead of who reads it.
 *
 *   cursors ──one fetch a leader──> batches ──> each cursor's ReadAhead ──take──> reader
 *
 * A cursor that is new or behind is asked for at once, on connections of their own; one that has
 * reached the end waits in a long fetch together with all others. While it waits for the next of
 * these it is looked at by itself, with growing pauses: what its reader waits for may be a moment
 * away. A cursor whose buffer is full is left out until its reader has caught up. A position
 * outside the partition ends its cursor with an error, and is never moved (kafkajs jumps to the
 * start or the end).
 */

import { LogError, type LogRecord } from "../event-log.ts";
import { type Connections, unknownPartition } from "./connections.ts";
import { committedBatches, type FetchedBatches } from "./fetched-batches.ts";
import {
  FETCH_BYTES,
  FETCH_PARTITION_BYTES,
  FETCH_WAIT_MS,
  LOOK_FIRST_MS,
  LOOK_LAST_MS,
  READ_AHEAD_BYTES,
  RETRY_FIRST_MS,
  RETRY_LAST_MS,
} from "./limits.ts";
import { ReadAhead, type Taken } from "./read-ahead.ts";
import { isPassing, messageOf, pause } from "./retry.ts";
import { ErrorCode, fetch, type FetchResult } from "./wire.ts";

type Mode =
  /** There may be records already: ask at once. */
  | "behind"
  /** Waits for new ones. */
  | "tailing"
  /** Enough is unread. */
  | "full"
  | "closed";

export interface Place {
  readonly topic: string;
  readonly partition: number;
}

export class Fetcher {
  private readonly cursors = new Set<Cursor>();
  private readonly loops: { readonly behind: FetchLoop; readonly tailing: FetchLoop };

  constructor(options: {
    /** For fetches that are answered at once. */
    readonly quick: Connections;
    /** For fetches that wait. */
    readonly waiting: Connections;
  }) {
    const of = (isWanted: (cursor: Cursor) => boolean) => () =>
      [...this.cursors].filter((cursor) => !cursor.isAsked && isWanted(cursor));
    this.loops = {
      behind: new FetchLoop(options.quick, {
        waitMs: 0,
        cursors: of(({ mode, isDue }) => mode === "behind" || (mode === "tailing" && isDue)),
        onLeft: () => {}, // the next fetch is a moment away
      }),
      tailing: new FetchLoop(options.waiting, {
        waitMs: FETCH_WAIT_MS,
        cursors: of(({ mode }) => mode === "tailing"),
        onLeft: (cursor) => this.lookSoon(cursor),
      }),
    };
  }

  /** For one that came while a long fetch was under way. */
  private lookSoon(cursor: Cursor): void {
    if (cursor.isLookedFor) return;
    cursor.isLookedFor = true;
    setTimeout(() => {
      cursor.isLookedFor = false;
      if (cursor.mode !== "tailing" || cursor.isAsked) return;
      cursor.isDue = true;
      this.loops.behind.wake();
    }, cursor.lookAgainMs);
    cursor.lookAgainMs = Math.min(cursor.lookAgainMs * 2, LOOK_LAST_MS);
  }

  /** Close the cursor when it is not needed any more. */
  open(place: Place, from: bigint): Cursor {
    const cursor = new Cursor(place, from, () => {
      if (cursor.mode === "closed") this.cursors.delete(cursor);
      else this.loops[cursor.mode === "tailing" ? "tailing" : "behind"].wake();
    });
    this.cursors.add(cursor);
    this.loops.behind.wake();
    return cursor;
  }

  /** Why the fetches that wait fail now; null when they do not. */
  get problem(): string | null {
    return this.loops.tailing.problem;
  }

  close(): void {
    this.loops.behind.stop();
    this.loops.tailing.stop();
    for (const cursor of this.cursors) {
      cursor.fail(new LogError("closed", "the log is closed: open it again"));
    }
  }
}

/** The way through one partition. Everything is committed; what is not is skipped. */
export class Cursor {
  mode: Mode = "behind";
  isAsked = false;
  /** In the tailing mode: to be asked for at once all the same. */
  isDue = false;
  /** A timer will make it due. */
  isLookedFor = false;
  lookAgainMs = LOOK_FIRST_MS;
  /** When it was asked for last. */
  askedMs = 0;
  failure: LogError | null = null;
  private readonly ahead: ReadAhead;
  /** Called when there may be something to take, or it has failed. */
  onChange: () => void = () => {};

  constructor(
    readonly place: Place,
    /** Where the next fetch begins. */
    public fetchOffset: bigint,
    private readonly onMode: () => void,
  ) {
    this.ahead = new ReadAhead(place, fetchOffset);
  }

  /** The offset of the next record, or the first that may have one. */
  get nextOffset(): bigint {
    return this.ahead.nextOffset ?? this.fetchOffset;
  }

  /** Resolves with the next change; for one who waits at a time. */
  changed(): Promise<void> {
    return new Promise((resolve) => {
      this.onChange = resolve;
    });
  }

  /**
   * What is there, below an offset; not all of it when that is large, and then `onChange` follows.
   * Throws what it has failed with, once nothing is left.
   */
  take(maxRecords: number, until: bigint | null = null): LogRecord[] {
    const { records, isCut } = this.takeAhead(maxRecords, until);
    if (records.length === 0 && this.failure !== null && this.ahead.isEmpty) throw this.failure;
    if (isCut) queueMicrotask(() => this.onChange());
    if (this.ahead.isEmpty && this.mode === "full") this.become("behind");
    return records;
  }

  private takeAhead(maxRecords: number, until: bigint | null): Taken {
    try {
      return this.ahead.take(maxRecords, until);
    } catch (error) {
      this.close(); // what stands behind the damage is not wanted
      throw error;
    }
  }

  /** What a fetch has brought. */
  deliver(batches: FetchedBatches["batches"], nextOffset: bigint): void {
    const hasMoved = nextOffset > this.fetchOffset;
    this.fetchOffset = nextOffset;
    if (this.mode === "closed") return;
    this.ahead.push(batches);
    if (this.ahead.bytes >= READ_AHEAD_BYTES) this.become("full");
    else if (!hasMoved && this.mode === "behind") this.become("tailing");
    else if (this.mode === "tailing") this.onMode(); // it may come with the next long fetch
    if (!hasMoved) return;
    this.lookAgainMs = LOOK_FIRST_MS;
    this.onChange();
  }

  fail(error: LogError): void {
    this.failure ??= error;
    this.close();
    this.onChange();
  }

  close(): void {
    this.become("closed");
  }

  private become(mode: Mode): void {
    this.mode = mode;
    this.onMode();
  }
}

/** One fetch at a time for each leader, with all cursors that want one. */
class FetchLoop {
  private readonly asked = new Set<number>();
  problem: string | null = null;
  private isStopped = false;
  private isAwake = false;

  constructor(
    private readonly connections: Connections,
    private readonly options: {
      readonly waitMs: number;
      readonly cursors: () => Cursor[];
      /** Not asked for, since a fetch is under way or asks for another offset. */
      readonly onLeft: (cursor: Cursor) => void;
    },
  ) {}

  /** After the changes of this turn have gathered. */
  wake(): void {
    if (this.isAwake) return;
    this.isAwake = true;
    queueMicrotask(() => {
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
      const leader = this.connections.known(topic)?.[partition] ?? UNKNOWN_LEADER;
      if (leader === UNKNOWN_LEADER) void this.findLeader(cursor);
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

  private async fetchOnce(cursors: readonly Cursor[]): Promise<void> {
    const first = (cursors[0] as Cursor).place;
    const asked = new Map(
      cursors.map(({ place, fetchOffset }) => [keyOf(place), { ...place, offset: fetchOffset }]),
    );
    try {
      const broker = await this.connections.leader(first.topic, first.partition);
      const results = await fetch(broker, {
        waitMs: this.options.waitMs,
        bytes: FETCH_BYTES,
        partitionBytes: FETCH_PARTITION_BYTES,
        partitions: [...asked.values()],
      });
      const byPlace = new Map(results.map((each) => [keyOf(each), each]));
      // Then the broker would have sent one batch at least, had any partition held one.
      const isNothing = results.every(({ records }) => records.length === 0);
      let isInTrouble = false;
      for (const cursor of cursors) {
        const result = byPlace.get(keyOf(cursor.place));
        cursor.isAsked = false; // what is delivered may have it asked for again, elsewhere
        if (result === undefined || !this.deliver(cursor, result, isNothing)) isInTrouble = true;
      }
      if (isInTrouble) return await this.pause();
      this.pauseMs = RETRY_FIRST_MS;
      this.problem = null;
    } catch (error) {
      if (this.isStopped) return;
      if (!isPassing(error)) return failAll(cursors, error);
      for (const { place } of cursors) this.connections.forget(place.topic);
      this.problem = `the brokers cannot be read: ${messageOf(error)}`;
      await this.pause();
    }
  }

  private async pause(): Promise<void> {
    await pause(this.pauseMs);
    this.pauseMs = Math.min(this.pauseMs * 2, RETRY_LAST_MS);
  }

  /**
   * False when the leader has moved, or is to be asked again for another reason. `isNothing`: an
   * empty answer means that nothing is there, not that other partitions took all the room.
   */
  private deliver(cursor: Cursor, result: FetchResult, isNothing: boolean): boolean {
    const { topic, partition } = cursor.place;
    const from = cursor.fetchOffset;
    switch (result.errorCode) {
      case ErrorCode.none:
        break;
      case ErrorCode.offsetOutOfRange:
        cursor.fail(outOfRange(cursor.place, from, result));
        return true;
      case ErrorCode.corruptMessage:
      case ErrorCode.topicAuthorizationFailed:
        cursor.fail(refused(cursor.place, from, result));
        return true;
      default:
        this.connections.forget(topic);
        return false;
    }
    const bytes = Buffer.from(result.records); // of its own: the answer holds other partitions'
    const { batches, nextOffset, failure } = committedBatches(bytes, {
      topic,
      partition,
      from,
      aborted: result.aborted,
    });
    const end = result.lastStableOffset; // compaction may leave nothing before it
    const isGap = isNothing && end > nextOffset;
    cursor.deliver(batches, isGap ? end : nextOffset);
    if (failure !== null) cursor.fail(failure); // once what stands before it is taken
    return true;
  }

  /** Has the cursor asked for at its leader, once there is one. */
  private async findLeader(cursor: Cursor): Promise<void> {
    const { topic, partition } = cursor.place;
    cursor.isAsked = true;
    try {
      if (this.connections.known(topic) !== null) this.connections.forget(topic);
      const leader = (await this.connections.partitions(topic))[partition];
      if (leader === undefined) throw unknownPartition(topic, partition);
      if (leader === UNKNOWN_LEADER) await this.pause();
    } catch (error) {
      if (this.isStopped) return;
      if (!isPassing(error)) return failAll([cursor], isUnknown(error) ? gone(cursor) : error);
      this.problem = `the brokers cannot be reached: ${messageOf(error)}`;
      await this.pause();
    } finally {
      cursor.isAsked = false;
      this.wake();
    }
  }
}

const UNKNOWN_LEADER = -1;

function keyOf({ topic, partition }: Place): string {
  return `${partition}/${topic}`;
}

/**
 * A request names a partition once: those that stand elsewhere in it wait for their turn. Those
 * that have waited longest come first, since the first is sure to get something (KIP-74).
 */
function oneOffsetEach(cursors: readonly Cursor[]): readonly Cursor[] {
  const offsets = new Map<string, bigint>();
  const inTurn = cursors.toSorted((a, b) => a.askedMs - b.askedMs);
  return inTurn.filter(({ place, fetchOffset }) => {
    const key = keyOf(place);
    if (!offsets.has(key)) offsets.set(key, fetchOffset);
    return offsets.get(key) === fetchOffset;
  });
}

function failAll(cursors: readonly Cursor[], error: unknown): void {
  const failure =
    error instanceof LogError
      ? error
      : new LogError("unavailable", `cannot read: ${String(error)}`, { cause: error });
  for (const cursor of cursors) cursor.fail(failure);
}

function isUnknown(error: unknown): boolean {
  return error instanceof LogError && error.code === "unknown_topic";
}

/** Whoever opens a cursor has seen that the topic is there. */
function gone({ place: { topic, partition }, nextOffset }: Cursor): LogError {
  return new LogError(
    "unknown_topic",
    `topic ${topic} is gone, while partition ${partition} was read from offset ${nextOffset} on: ` +
      "restore the topic, or start the group anew",
  );
}

function refused({ topic, partition }: Place, from: bigint, { errorCode }: FetchResult): LogError {
  const place = `offset ${from} of ${topic} partition ${partition}`;
  if (errorCode === ErrorCode.corruptMessage) {
    return new LogError("corrupt", `the broker finds what it has from ${place} on damaged`);
  }
  return new LogError("unavailable", `the broker does not let this user read ${place}`);
}

function outOfRange({ topic, partition }: Place, from: bigint, result: FetchResult): LogError {
  const { startOffset, lastStableOffset } = result;
  const holds =
    startOffset < 0n ? "" : `: it holds ${startOffset} to ${lastStableOffset}`;
  return new LogError(
    "position_out_of_range",
    `offset ${from} of ${topic} partition ${partition} is not there${holds}; ` +
      "where the topic was truncated or made anew, restore it",
  );
}
