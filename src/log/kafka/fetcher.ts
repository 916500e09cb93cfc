/**
 * Reads partitions without a group: each cursor from its own offset, ahead of who reads it.
 *
 *   cursors ──one fetch a leader──> batches ──decode──> each cursor's buffer ──take──> reader
 *
 * A cursor that is new or behind is asked for at once, on connections of their own; one that has
 * reached the end waits in a long fetch together with all others. A cursor whose buffer is full is
 * left out until its reader has caught up. A position outside the partition ends its cursor with
 * an error, and is never moved (kafkajs jumps to the start or the end).
 */

import { LogError, type LogRecord } from "../event-log.ts";
import type { Connections } from "./connections.ts";
import {
  FETCH_BYTES,
  FETCH_PARTITION_BYTES,
  FETCH_WAIT_MS,
  READ_AHEAD_BYTES,
  RETRY_FIRST_MS,
  RETRY_LAST_MS,
} from "./limits.ts";
import { decodeBatches } from "./record-batch.ts";
import { isPassing, pause } from "./retry.ts";
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
    const of = (mode: Mode) => () =>
      [...this.cursors].filter((cursor) => cursor.mode === mode && !cursor.isAsked);
    this.loops = {
      behind: new FetchLoop(options.quick, { waitMs: 0, cursors: of("behind") }),
      tailing: new FetchLoop(options.waiting, { waitMs: FETCH_WAIT_MS, cursors: of("tailing") }),
    };
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
  failure: LogError | null = null;
  private records: LogRecord[] = [];
  private taken = 0;
  private bufferedBytes = 0;
  /** Called when there may be something to take, or it has failed. */
  onChange: () => void = () => {};

  constructor(
    readonly place: Place,
    /** Where the next fetch begins. */
    public fetchOffset: bigint,
    private readonly onMode: () => void,
  ) {}

  /** The offset of the next record, or the first that may have one. */
  get nextOffset(): bigint {
    return this.records[this.taken]?.offset ?? this.fetchOffset;
  }

  /** Resolves with the next change; for one who waits at a time. */
  changed(): Promise<void> {
    return new Promise((resolve) => {
      this.onChange = resolve;
    });
  }

  /** What is there, below an offset. Throws what it has failed with, once nothing is left. */
  take(maxRecords: number, until: bigint | null = null): readonly LogRecord[] {
    let end = Math.min(this.taken + maxRecords, this.records.length);
    if (until !== null) {
      while (end > this.taken && (this.records[end - 1] as LogRecord).offset >= until) end -= 1;
    }
    const from = this.taken;
    if (end === from) {
      if (this.failure !== null && from === this.records.length) throw this.failure;
      return [];
    }
    const records = this.records.slice(from, end);
    this.taken = end;
    if (end === this.records.length) {
      this.records = [];
      this.taken = 0;
      this.bufferedBytes = 0;
      if (this.mode === "full") this.become("behind");
    }
    return records;
  }

  /** What a fetch has brought. */
  deliver(records: readonly LogRecord[], nextOffset: bigint, bytes: number): void {
    const hasMoved = nextOffset > this.fetchOffset;
    this.fetchOffset = nextOffset;
    for (const record of records) this.records.push(record);
    this.bufferedBytes += bytes;
    if (this.mode === "closed") return;
    if (this.bufferedBytes >= READ_AHEAD_BYTES && records.length > 0) this.become("full");
    else if (!hasMoved && this.mode === "behind") this.become("tailing");
    if (hasMoved) this.onChange();
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
  private isStopped = false;
  private isAwake = false;

  constructor(
    private readonly connections: Connections,
    private readonly options: { readonly waitMs: number; readonly cursors: () => Cursor[] },
  ) {}

  /** After the changes of this turn have gathered. */
  wake(): void {
    if (this.isAwake) return;
    this.isAwake = true;
    queueMicrotask(() => {
      this.isAwake = false;
      void this.ask();
    });
  }

  stop(): void {
    this.isStopped = true;
  }

  private async ask(): Promise<void> {
    if (this.isStopped) return;
    const cursors = this.options.cursors();
    for (const cursor of cursors) cursor.isAsked = true;
    const byLeader = new Map<number, Cursor[]>();
    await Promise.all(
      cursors.map(async (cursor) => {
        const leader = await this.leaderOf(cursor);
        if (leader !== null && !this.asked.has(leader)) {
          byLeader.set(leader, [...(byLeader.get(leader) ?? []), cursor]);
        } else cursor.isAsked = false; // with the leader's next fetch
      }),
    );
    for (const [leader, own] of byLeader) {
      if (this.asked.has(leader)) for (const cursor of own) cursor.isAsked = false;
      else void this.askLeader(leader, own);
    }
  }

  private async askLeader(leader: number, cursors: readonly Cursor[]): Promise<void> {
    this.asked.add(leader);
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
    const asked = cursors.map((cursor) => ({ ...cursor.place, offset: cursor.fetchOffset }));
    try {
      const broker = await this.connections.leader(first.topic, first.partition);
      const results = await fetch(broker, {
        waitMs: this.options.waitMs,
        bytes: FETCH_BYTES,
        partitionBytes: FETCH_PARTITION_BYTES,
        partitions: asked,
      });
      const byPlace = new Map(results.map((each) => [`${each.partition}/${each.topic}`, each]));
      let isInTrouble = false;
      for (const cursor of cursors) {
        const result = byPlace.get(`${cursor.place.partition}/${cursor.place.topic}`);
        cursor.isAsked = false; // what is delivered may have it asked for again, elsewhere
        if (result === undefined || !this.deliver(cursor, result)) isInTrouble = true;
      }
      if (isInTrouble) await this.pause();
      else this.pauseMs = RETRY_FIRST_MS;
    } catch (error) {
      if (this.isStopped) return;
      if (!isPassing(error)) return failAll(cursors, error);
      for (const { place } of cursors) this.connections.forget(place.topic);
      await this.pause();
    }
  }

  private async pause(): Promise<void> {
    await pause(this.pauseMs);
    this.pauseMs = Math.min(this.pauseMs * 2, RETRY_LAST_MS);
  }

  /** False when the leader has moved, or is to be asked again for another reason. */
  private deliver(cursor: Cursor, result: FetchResult): boolean {
    const { topic, partition } = cursor.place;
    const from = cursor.fetchOffset;
    switch (result.errorCode) {
      case ErrorCode.none:
        break;
      case ErrorCode.offsetOutOfRange:
        cursor.fail(outOfRange(cursor.place, from, result));
        return true;
      default:
        this.connections.forget(topic);
        return false;
    }
    try {
      const { records, nextOffset } = decodeBatches(result.records, {
        topic,
        partition,
        from,
        aborted: result.aborted,
      });
      cursor.deliver(records, nextOffset, result.records.length);
    } catch (error) {
      cursor.fail(error instanceof LogError ? error : unreadable(cursor.place, from, error));
    }
    return true;
  }

  private async leaderOf(cursor: Cursor): Promise<number | null> {
    const { topic, partition } = cursor.place;
    try {
      const leader = (await this.connections.partitions(topic))[partition];
      if (leader !== undefined && leader >= 0) return leader;
      this.connections.forget(topic);
    } catch (error) {
      if (!isPassing(error)) {
        failAll([cursor], error);
        return null;
      }
    }
    await pause(this.pauseMs);
    this.wake();
    return null;
  }
}

function failAll(cursors: readonly Cursor[], error: unknown): void {
  const failure =
    error instanceof LogError
      ? error
      : new LogError("unavailable", `cannot read: ${String(error)}`, { cause: error });
  for (const cursor of cursors) cursor.fail(failure);
}

function unreadable({ topic, partition }: Place, from: bigint, cause: unknown): LogError {
  const message = `what the broker has from offset ${from} of ${topic} partition ${partition} on`;
  return new LogError("corrupt", `${message} cannot be read: ${String(cause)}`, { cause });
}

function outOfRange({ topic, partition }: Place, from: bigint, result: FetchResult): LogError {
  const { startOffset, lastStableOffset } = result;
  const holds =
    startOffset < 0n ? "" : `: it holds ${startOffset} to ${lastStableOffset}`;
  return new LogError(
    "position_out_of_range",
    `offset ${from} of ${topic} partition ${partition} is not there${holds}`,
  );
}
