/**
 * The end of a topic: its newest records that fit, then what comes.
 *
 *   partitions ──backwards, a stretch at a time──> newest by time        from there on ──> follow
 *
 * A log has no index of times or keys: what is far back is found by reading back to it.
 */

import type { EventLog, LogRecord } from "../log/event-log.ts";
import { contentOf, readableTopics, type RecordContent } from "./record-content.ts";
import type { Topology } from "./topology.ts";

/** Where the first step back begins; each is twice as long as the one before. */
const FIRST_STRETCH_OFFSETS = 256n;
const MAX_STRETCH_OFFSETS = 65_536n;
/** Times of a partition's records may step back with the log's clock, by less than this. */
const CLOCK_STEP_MS = 60 * 60 * 1_000;
/** Of records that are kept until they can be sorted: a record may have a megabyte. */
export const MAX_KEPT_BYTES = 64 * 1024 * 1024;

export interface TailOptions {
  readonly topic: string;
  /** At most so many of the newest. */
  readonly last: number;
  /** Looks at a record before it is kept; all are when left out. */
  readonly fits?: (record: LogRecord) => boolean;
  /** When the log took a record, Unix milliseconds: from the first, up to and without the other. */
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly signal: AbortSignal;
  /** Instead of MAX_KEPT_BYTES, for tests. */
  readonly maxKeptBytes?: number;
}

/** The newest, by time, and the offset behind what was looked at in each partition. */
export interface Tail {
  readonly records: readonly LogRecord[];
  readonly ends: readonly bigint[];
  /** So many were asked for that they did not fit in memory: only the newest are here. */
  readonly isCut: boolean;
}

type Reading = Pick<EventLog, "read" | "bounds" | "keepsChangelogs">;

export class Tails {
  /** What can be read. */
  readonly topics: readonly string[];

  constructor(
    private readonly log: Reading,
    private readonly topology: Topology,
    private readonly partitions: number,
  ) {
    this.topics = readableTopics(topology, log.keepsChangelogs);
  }

  /** What a record of such a topic holds, decoded as far as it goes. */
  content(record: LogRecord): RecordContent {
    return contentOf(this.topology, record);
  }

  /** Throws as `EventLog.read` does. What is not read yet when the signal fires is missing. */
  async newest(options: TailOptions): Promise<Tail> {
    const kept = new Newest(options.last, options.maxKeptBytes ?? MAX_KEPT_BYTES);
    const ends: bigint[] = [];
    for (let partition = 0; partition < this.partitions; partition += 1) {
      ends.push(await this.readBack(partition, options, kept));
    }
    return { records: kept.sorted(), ends, isCut: kept.isCut };
  }

  /** From these offsets on, in no order between partitions, until the signal fires. */
  async follow(
    { topic, signal, ...options }: Omit<TailOptions, "last">,
    ends: readonly bigint[],
    take: (record: LogRecord) => void,
  ): Promise<void> {
    const failing = new AbortController();
    const either = AbortSignal.any([signal, failing.signal]);
    const followOne = async (from: bigint, partition: number) => {
      try {
        for await (const records of this.log.read({ topic, partition, from, signal: either })) {
          for (const record of records) if (isWanted(record, options)) take(record);
        }
      } finally {
        failing.abort(); // the first to fail stops the others
      }
    };
    const all = await Promise.allSettled(ends.map(followOne));
    const failed = all.find((each) => each.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  private async readBack(partition: number, options: TailOptions, kept: Newest): Promise<bigint> {
    const { topic, last, signal, fromMs = Number.NEGATIVE_INFINITY } = options;
    const { start, end } = await this.log.bounds(topic, partition);
    let found = 0;
    let stretch = FIRST_STRETCH_OFFSETS;
    for (let until = end; until > start && found < last && !signal.aborted; ) {
      const from = until - stretch > start ? until - stretch : start;
      let newestMs = Number.NEGATIVE_INFINITY;
      for await (const records of this.log.read({ topic, partition, from, until, signal })) {
        for (const record of records) {
          newestMs = Math.max(newestMs, record.timestampMs);
          if (!isWanted(record, options)) continue;
          found += 1;
          kept.add(record);
        }
      }
      // Nothing in it: the offsets are gaps, and say nothing of time.
      if (newestMs !== Number.NEGATIVE_INFINITY && newestMs < fromMs - CLOCK_STEP_MS) break;
      until = from;
      stretch = stretch * 2n < MAX_STRETCH_OFFSETS ? stretch * 2n : MAX_STRETCH_OFFSETS;
    }
    return end;
  }
}

function isWanted(
  record: LogRecord,
  { fits = () => true, fromMs, toMs }: Pick<TailOptions, "fits" | "fromMs" | "toMs">,
): boolean {
  const { timestampMs } = record;
  if (fromMs !== undefined && timestampMs < fromMs) return false;
  if (toMs !== undefined && timestampMs >= toMs) return false;
  return fits(record);
}

/** The newest of all that are added, in whatever order; bounded in number and bytes. */
class Newest {
  isCut = false;
  private records: LogRecord[] = [];
  private bytes = 0;

  constructor(
    private readonly count: number,
    private readonly maxBytes: number,
  ) {}

  add(record: LogRecord): void {
    this.records.push(ownCopy(record));
    this.bytes += sizeOf(record);
    // Twice as many, so that sorting costs little a record.
    if (this.records.length >= 2 * this.count || this.bytes >= 2 * this.maxBytes) this.shrink();
  }

  sorted(): readonly LogRecord[] {
    this.shrink();
    return this.records;
  }

  private shrink(): void {
    const sorted = this.records.toSorted(byTime).slice(-this.count);
    let bytes = 0;
    let first = sorted.length;
    while (first > 0) {
      bytes += sizeOf(sorted[first - 1] as LogRecord);
      if (bytes > this.maxBytes && first < sorted.length) break; // one is kept however large
      first -= 1;
    }
    if (first > 0) this.isCut = true;
    this.records = sorted.slice(first);
    this.bytes = this.records.reduce((sum, record) => sum + sizeOf(record), 0);
  }
}

/** A log may hand out views of whole batches, which one record would keep in memory. */
function ownCopy(record: LogRecord): LogRecord {
  const { key, value, headers } = record;
  return {
    ...record,
    key: key.slice(),
    value: value?.slice() ?? null,
    headers: headers.map(([name, bytes]) => [name, bytes.slice()]),
  };
}

function byTime(a: LogRecord, b: LogRecord): number {
  const places = a.timestampMs - b.timestampMs || a.partition - b.partition;
  return places !== 0 ? places : a.offset < b.offset ? -1 : 1;
}

function sizeOf({ key, value, headers }: LogRecord): number {
  const ofHeaders = headers.reduce((sum, [name, bytes]) => sum + name.length + bytes.length, 0);
  return key.length + (value?.length ?? 0) + ofHeaders + RECORD_BYTES;
}

/** What one costs in memory beside its bytes, about. */
const RECORD_BYTES = 256;
