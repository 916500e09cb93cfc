/**
 * Copies records from a log to another: a whole partition to the same offsets, or some of its
 * records in order.
 *
 *   source.read ──one small append at a time──> target ──answered offsets──> the source's, or stop
 *
 * It needs no more than the port: an adapter's append keeps the order of a partition, is answered
 * with offsets, and may double nothing. Where an interrupted copy goes on, the target itself says:
 * nothing is remembered beside it that could be wrong. While a copy runs, nobody else may write to
 * its partitions; one who does is found out, and the copy stops. Timestamps are the target's own.
 */

import { type EventLog, LogError, type LogRecord, type NewRecord } from "./event-log.ts";

/**
 * Of one append. Small enough to be one request of every adapter: had a part of an append been
 * written and not what stands before it, the records would be out of order.
 */
const APPEND_BYTES = 400_000;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export type RecordContent = Pick<LogRecord, "key" | "value" | "headers">;

export interface CopyOptions {
  readonly source: EventLog;
  readonly target: EventLog;
  readonly topic: string;
  readonly partition: number;
  /** Ends the copy between two appends; it resolves then as it does at its end. */
  readonly signal: AbortSignal;
  /** After each append: so many more of the source's records are done. */
  readonly onDone: (records: bigint) => void;
}

/**
 * Every record of the partition as the source has it now, to the same offset. Goes on at the
 * target's end. Throws LogError: `topic_mismatch` when the target holds something else, or
 * answers another offset; as `read` and `append` do.
 */
export async function copyToSameOffsets(options: CopyOptions): Promise<void> {
  const { source, target, topic, partition } = options;
  const { end } = await source.bounds(topic, partition);
  const from = (await target.bounds(topic, partition)).end;
  if (from > end) throw diverged(options, `it holds ${from} records, of ${end}`);
  if (from > 0n) await checkSame(options, from - 1n);
  options.onDone(from);
  for await (const records of appendable(options, { from, until: end })) {
    const offsets = await target.append(records.map(asNew));
    const wrong = offsets.findIndex((offset, index) => offset !== records[index]?.offset);
    if (wrong >= 0) {
      const wanted = records[wrong]?.offset;
      throw diverged(options, `offset ${wanted} was written as ${offsets[wrong]}`);
    }
    options.onDone(BigInt(records.length));
  }
}

/**
 * What `copyOf` makes of the records, in order, each with its source's offset in the header
 * `offsetHeader`; goes on behind the last of them in the target. Resolves with the target's end,
 * as far as it is known here. Throws as above; when the target holds a record without the header,
 * too.
 */
export async function copyChosen(
  options: CopyOptions & {
    readonly offsetHeader: string;
    /** Null: it is left out. */
    readonly copyOf: (record: LogRecord) => RecordContent | null;
  },
): Promise<bigint> {
  const { source, target, topic, partition, offsetHeader, copyOf } = options;
  let targetEnd = (await target.bounds(topic, partition)).end;
  const { start, end } = await source.bounds(topic, partition);
  const last = await lastCopied(options);
  const from = last === null ? start : last + 1n;
  if (from > end) throw diverged(options, `it holds offset ${last} of a source of ${end}`);
  options.onDone(from - start);
  for await (const records of appendable(options, { from, until: end })) {
    const chosen = records.flatMap((record) => {
      const copy = copyOf(record);
      if (copy === null) return [];
      const { key, value, headers } = copy;
      const origin = [offsetHeader, encoder.encode(String(record.offset))] as const;
      return [{ topic, partition, key, value, headers: [...headers, origin] }];
    });
    const newest = (await target.append(chosen)).at(-1);
    if (newest !== undefined) targetEnd = newest + 1n;
    options.onDone(BigInt(records.length));
  }
  return targetEnd;
}

/** The source's records in runs that fit one append; ends early when the signal fires. */
async function* appendable(
  { source, topic, partition, signal }: CopyOptions,
  range: { readonly from: bigint; readonly until: bigint },
): AsyncGenerator<readonly LogRecord[]> {
  if (range.from >= range.until) return;
  for await (const records of source.read({ topic, partition, signal, ...range })) {
    let run: LogRecord[] = [];
    let bytes = 0;
    for (const record of records) {
      const size = sizeOf(record);
      if (run.length > 0 && bytes + size > APPEND_BYTES) {
        yield run;
        if (signal.aborted) return;
        run = [];
        bytes = 0;
      }
      run.push(record);
      bytes += size;
    }
    if (run.length > 0) yield run;
    if (signal.aborted) return;
  }
}

/** A copy that goes on must find what it left. */
async function checkSame(options: CopyOptions, offset: bigint): Promise<void> {
  const [mine, theirs] = await Promise.all([
    recordAt(options.source, options, offset),
    recordAt(options.target, options, offset),
  ]);
  if (mine !== null && theirs !== null && mine.checksum === theirs.checksum) return;
  throw diverged(options, `offset ${offset} is not the source's`);
}

/** The source's offset of the newest record in the target; null while it is empty. */
async function lastCopied(
  options: CopyOptions & { readonly offsetHeader: string },
): Promise<bigint | null> {
  const { target, topic, partition, offsetHeader } = options;
  const { start, end } = await target.bounds(topic, partition);
  if (start === end) return null;
  const newest = await recordAt(target, options, end - 1n);
  const header = newest?.headers.findLast(([name]) => name === offsetHeader);
  const text = header === undefined ? "" : decoder.decode(header[1]);
  if (/^\d{1,19}$/.test(text)) return BigInt(text);
  throw diverged(options, `offset ${end - 1n} does not come from the source`);
}

/** Null where no record is. */
async function recordAt(
  log: EventLog,
  { topic, partition }: { readonly topic: string; readonly partition: number },
  offset: bigint,
): Promise<LogRecord | null> {
  for await (const records of log.read({ topic, partition, from: offset, until: offset + 1n })) {
    return records[0] ?? null;
  }
  return null;
}

function asNew({ topic, partition, key, value, headers }: LogRecord): NewRecord {
  return { topic, partition, key, value, headers };
}

function sizeOf({ key, value, headers }: LogRecord): number {
  let bytes = key.length + (value?.length ?? 0);
  for (const [name, each] of headers) bytes += name.length + each.length;
  return bytes;
}

function diverged({ topic, partition }: CopyOptions, fact: string): LogError {
  return new LogError(
    "topic_mismatch",
    `topic ${topic} partition ${partition} of the target is not a copy of the source: ${fact}. ` +
      "Somebody else wrote there: empty the target and start again",
  );
}
