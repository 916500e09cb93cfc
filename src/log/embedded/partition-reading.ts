/**
 * Reading a partition from an offset on, and then what comes.
 *
 *   pages of the log's file ──> batches ──at the end: changes──> the next page
 */

import { LogError, type LogRecord, type ReadOptions } from "../event-log.ts";
import type { Catalog, PartitionRef } from "./catalog.ts";
import type { Changes } from "./changes.ts";
import { DEFAULT_MAX_RECORDS, type Reader } from "./reader.ts";

export interface ReadingHost {
  readonly catalog: Catalog;
  readonly reader: Reader;
  readonly changes: Changes;
  /** Of the log. */
  readonly closing: AbortSignal;
  /** Throws `closed`. */
  assertOpen(): void;
}

/**
 * Ends at `until`, or when a signal fires. Throws `unknown_topic`, `position_out_of_range`;
 * `closed` when the log is closed before `until`.
 */
export async function* readPartition(
  { catalog, reader, changes, closing, assertOpen }: ReadingHost,
  options: ReadOptions,
): AsyncGenerator<readonly LogRecord[]> {
  const ref = catalog.find(options.topic, options.partition);
  catalog.refresh();
  const maxRecords = options.maxRecords ?? DEFAULT_MAX_RECORDS;
  let from = Number(options.from);
  if (from < ref.startOffset || from > ref.nextOffset) throw outOfRange(ref, from);
  const stop = Number(options.until ?? Number.MAX_SAFE_INTEGER);
  const signal = options.signal ?? closing;
  while (from < stop && !signal.aborted && !closing.aborted) {
    const until = Math.min(stop, ref.nextOffset);
    if (from < until) {
      const { records, isFull } = reader.page(ref, { from, until, maxRecords });
      if (records[0]?.offset !== BigInt(from)) {
        // A gap of compaction, or retention has taken what was still to be read.
        catalog.refresh();
        if (from < ref.startOffset) throw outOfRange(ref, from);
      }
      from = isFull ? Number(records.at(-1)?.offset) + 1 : until;
      if (records.length > 0) yield records;
    } else {
      await changes.next(signal);
    }
  }
  if (options.until !== undefined && from < stop && options.signal?.aborted !== true) assertOpen();
}

function outOfRange(ref: PartitionRef, from: number): LogError {
  return new LogError(
    "position_out_of_range",
    `offset ${from} of ${ref.topic} partition ${ref.partition} is not there: it holds ` +
      `${ref.startOffset} to ${ref.nextOffset}`,
  );
}
