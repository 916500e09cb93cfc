/**
 * Whether every record is what was written and none is missing: a disk that loses a bit says
 * nothing of it. As much as a moment allows before a log is used, all of it while it is.
 *
 *   partitions ──pages of records, in order──> checksum, place ──> `corrupt`, naming the record
 *
 * After the scrubs of ZFS and TigerBeetle; the deliberate difference is that a start waits for a
 * part of it, so that a log of some hundred thousand records that is damaged is not even opened.
 */

import { Database } from "bun:sqlite";
import { getLogger } from "@logtape/logtape";
import { LogError } from "../event-log.ts";
import type { PartitionRef } from "./catalog.ts";
import { readFault, recordFault } from "./log-fault.ts";
import { Reader } from "./reader.ts";
import { logPath, refuseForeign } from "./schema.ts";

/** When: before the log is opened, and regularly while it is open. */
export type RecordCheck = "start" | "regular";

/** Some 400,000 records. A second was felt: a tenth of what a million records take to process. */
const START_CHECK_MS = 300;
const START_PAGE_RECORDS = 2_048;
/** Half a millisecond's work: nobody waits for longer. */
const REGULAR_PAGE_RECORDS = 512;
/** Pauses for one part of work: 1 % of a core, ten thousand records a second. */
const PAUSE_FACTOR = 99;
/** From one beginning to the next, or as long as it takes. */
const REGULAR_EVERY_MS = 24 * 60 * 60 * 1_000;
/** After a disk that could not be read: it may be back. */
const RETRY_MS = 60_000;

const logger = getLogger(["log", "embedded"]);

/** Throws LogError `corrupt`. Looks through a connection that can only read: nothing is changed. */
export function checkAtStart(folder: string, withinMs = START_CHECK_MS): void {
  const path = logPath(folder);
  const endMs = performance.now() + withinMs;
  let database: Database | null = null;
  try {
    database = new Database(path, { readonly: true });
    refuseForeign(database, path);
    for (const _ of checkedPages(database, START_PAGE_RECORDS)) {
      if (performance.now() > endMs) return;
    }
  } catch (error) {
    if (error instanceof LogError && error.code === "corrupt") throw error;
    // Whatever else it is, the one who opens it says it.
  } finally {
    database?.close();
  }
}

/** Rejects with `corrupt` once there is something to say; else never ends. */
export async function checkRegularly(folder: string, closing: AbortSignal): Promise<never> {
  while (!closing.aborted) {
    const startMs = performance.now();
    let nextMs = REGULAR_EVERY_MS;
    try {
      await checkOnce(folder, closing);
    } catch (error) {
      const fault = readFault(logPath(folder), error);
      if (!(fault instanceof LogError) || fault.code === "corrupt") throw fault;
      logger.error("records could not be checked: {message}", { message: fault.message });
      nextMs = RETRY_MS;
    }
    await pause(nextMs - (performance.now() - startMs), closing);
  }
  return new Promise(() => {});
}

async function checkOnce(folder: string, closing: AbortSignal): Promise<void> {
  const database = new Database(logPath(folder), { create: false, readwrite: true });
  try {
    database.exec("PRAGMA query_only = ON");
    database.exec("PRAGMA cache_size = -1000"); // 1 MB: each page is read once
    const pages = checkedPages(database, REGULAR_PAGE_RECORDS);
    while (!closing.aborted) {
      const startMs = performance.now();
      if (pages.next().done === true) return;
      await pause((performance.now() - startMs) * PAUSE_FACTOR, closing);
    }
    pages.return();
  } finally {
    database.close();
  }
}

/** How many records each page has. Throws LogError `corrupt` for the first that is damaged. */
export function* checkedPages(database: Database, maxRecords: number): Generator<number, void> {
  const reader = new Reader(database);
  try {
    for (const ref of partitionsOf(database)) {
      let from = ref.startOffset;
      while (from < ref.nextOffset) {
        const { records } = reader.page(ref, { from, until: ref.nextOffset, maxRecords });
        for (const { offset } of records) {
          if (ref.isWhole === 1 && Number(offset) !== from) throw missing(database, ref, from);
          from = Number(offset) + 1;
        }
        if (records.length === 0) {
          if (ref.isWhole === 1) throw missing(database, ref, from);
          break;
        }
        yield records.length;
      }
    }
  } finally {
    reader.close();
  }
}

interface CheckedPartition extends PartitionRef {
  /** 1 where nothing is ever taken away, and so every offset has its record. */
  readonly isWhole: number;
}

function partitionsOf(database: Database): CheckedPartition[] {
  return database
    .query(
      "SELECT partitions.id, name AS topic, partition, start_offset AS startOffset, " +
        "next_offset AS nextOffset, cleanup = 'keep' AND retention_ms IS NULL AS isWhole " +
        "FROM partitions JOIN topics ON topics.id = topic_id",
    )
    .all() as CheckedPartition[];
}

function missing({ filename }: Database, ref: PartitionRef, offset: number): LogError {
  return recordFault(filename, { ...ref, offset }, "is missing");
}

/** Or until the signal fires. Keeps no process alive. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    timer.unref();
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}
