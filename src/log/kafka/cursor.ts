/**
 * The way through one partition: where it is to be fetched next, and what waits for its reader.
 *
 *   FetchLoop ──deliver──> ReadAhead ──take──> reader
 */

import type { LogError, LogRecord } from "../event-log.ts";
import type { FetchedBatches } from "./fetched-batches.ts";
import { LOOK_FIRST_MS, OUTDATED_WITHIN_MS, READ_AHEAD_BYTES } from "./limits.ts";
import { ReadAhead, type Taken } from "./read-ahead.ts";

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
  /** What the topic must be; left out: what it is when it is first read. */
  readonly topicId?: string;
}

/** Everything in it is committed; what is not is skipped. */
export class Cursor {
  mode: Mode = "behind";
  isAsked = false;
  /** In the tailing mode: to be asked for at once all the same. */
  isDue = false;
  /** A timer will make it due. */
  isLookedFor = false;
  lookAgainMs = LOOK_FIRST_MS;
  /** When it was asked for last, and of which topic. */
  askedMs = 0;
  askedTopicId = "";
  /** The topic that it reads, and no other of that name; null until something was read. */
  topicId: string | null;
  /** Since when brokers say what ends it if it stays so; null while they do not. */
  private doubtedSinceMs: number | null = null;
  failure: LogError | null = null;
  /** Nothing seems to stand between an offset and an end: as an answer has said, and when. */
  private gap: { readonly at: bigint; readonly end: bigint; readonly toldMs: number } | null = null;
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
    this.topicId = place.topicId ?? null;
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

  /**
   * Where to go on when a fetch has brought nothing below the last stable offset. Compaction leaves
   * such gaps. But a broker that begins a transaction at the same moment may tell an offset behind
   * the first record that it does not show yet (Kafka 4.1 reads what is unstable first and the
   * high watermark later). A fetch that is sent after such an answer sees the transaction open, or
   * its records: what it does not show either is not there.
   */
  passGap(end: bigint, sentMs: number): bigint {
    const at = this.fetchOffset;
    const { gap } = this;
    this.gap = null;
    if (end <= at) return at;
    if (gap !== null && gap.at === at && sentMs >= gap.toldMs) return gap.end < end ? gap.end : end;
    this.gap = { at, end, toldMs: performance.now() };
    return at;
  }

  /** What a fetch has brought. */
  deliver(batches: FetchedBatches["batches"], nextOffset: bigint): void {
    const hasMoved = nextOffset > this.fetchOffset;
    this.fetchOffset = nextOffset;
    if (this.mode === "closed") return;
    this.ahead.push(batches);
    if (this.ahead.bytes >= READ_AHEAD_BYTES) this.become("full");
    else if (!hasMoved && this.gap !== null) this.become("behind"); // to be looked at once more
    else if (!hasMoved && this.mode === "behind") this.become("tailing");
    else if (this.mode === "tailing") this.onMode(); // it may come with the next long fetch
    if (!hasMoved) return;
    this.lookAgainMs = LOOK_FIRST_MS;
    this.onChange();
  }

  /** What was said would end it. Whether that is sure: brokers have said it for long enough. */
  doubt(): boolean {
    this.doubtedSinceMs ??= performance.now();
    return performance.now() - this.doubtedSinceMs > OUTDATED_WITHIN_MS;
  }

  /** Nobody says so any more, or nothing at all. */
  believe(): void {
    this.doubtedSinceMs = null;
  }

  get isDoubted(): boolean {
    return this.doubtedSinceMs !== null;
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
