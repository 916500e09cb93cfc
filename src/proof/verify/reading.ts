/**
 * Reading a partition to be verified: every record with its checksum, and on past a damaged one.
 *
 *   log.read ──damaged page──one by one──> good records, damage told of with its place
 */

import { type EventLog, LogError, type LogRecord } from "../../log/event-log.ts";
import type { Findings } from "./findings.ts";
import { positionText } from "./place.ts";

/** Enough to share a page's cost; a damaged one is read again, one record at a time. */
const PAGE_RECORDS = 2_048;

export interface Range {
  readonly topic: string;
  readonly partition: number;
  readonly from: bigint;
  /** Exclusive. */
  readonly until: bigint;
}

export interface Reading {
  readonly log: Pick<EventLog, "read">;
  readonly findings: Findings;
  readonly signal: AbortSignal;
}

/** In order, the damaged ones left out. Throws as `EventLog.read` does, but not `corrupt`. */
export async function* goodRecords(
  { log, findings, signal }: Reading,
  { topic, partition, from, until }: Range,
): AsyncGenerator<readonly LogRecord[]> {
  const place = { topic, partition, until, signal };
  for (let next = from; next < until && !signal.aborted; ) {
    try {
      for await (const records of log.read({ ...place, from: next, maxRecords: PAGE_RECORDS })) {
        findings.compared.records += records.length;
        yield records;
        next = (records.at(-1) as LogRecord).offset + 1n;
      }
      return;
    } catch (error) {
      if (!isDamage(error)) throw error;
      next = yield* oneByOne({ log, findings, signal }, { topic, partition, from: next, until });
    }
  }
}

/** Up to behind the next damaged record; the offset there. */
async function* oneByOne(
  { log, findings, signal }: Reading,
  { topic, partition, from, until }: Range,
): AsyncGenerator<readonly LogRecord[], bigint> {
  for (let offset = from; offset < until; offset += 1n) {
    const one = { topic, partition, from: offset, until: offset + 1n, signal };
    try {
      for await (const records of log.read(one)) {
        findings.compared.records += records.length;
        yield records;
      }
    } catch (error) {
      if (!isDamage(error)) throw error;
      findings.differ({
        kind: "damage",
        where: topic,
        partition,
        wallet: null,
        position: positionText(topic, partition, offset),
        expected: "a record with its checksum",
        found: error.message,
      });
      return offset + 1n;
    }
  }
  return until;
}

function isDamage(error: unknown): error is LogError {
  return error instanceof LogError && error.code === "corrupt";
}
