/**
 * Reading a partition from an offset on, and then what comes.
 *
 *   pages of the log's file ──> batches ──at the end: changes──> the next page
 */

import { LogError, type LogRecord, type ReadOptions } from "../event-log.ts";
import type { PartitionRef } from "./catalog.ts";
import type { LogFile } from "./log-file.ts";
import { DEFAULT_MAX_RECORDS } from "./reader.ts";

/**
 * Ends at `until`, or when a signal fires. Throws `unknown_topic`, `position_out_of_range`;
 * `closed` when the log is closed before `until`.
 */
export async function* readPartition(
  file: LogFile,
  options: ReadOptions,
): AsyncGenerator<readonly LogRecord[]> {
  const { catalog, reader, changes, closing } = file;
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
  const isCutShort = options.until !== undefined && from < stop;
  if (isCutShort && options.signal?.aborted !== true) file.assertOpen();
}

function outOfRange(ref: PartitionRef, from: number): LogError {
  return new LogError(
    "position_out_of_range",
    `offset ${from} of ${ref.topic} partition ${ref.partition} is not there: it holds ` +
      `${ref.startOffset} to ${ref.nextOffset}`,
  );
}
