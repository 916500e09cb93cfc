/**
 * One pass over a stream's partition: each record judged by the published rules, what may be taken
 * put aside by wallet, what may not held against the dead letters.
 *
 *   records ──verdict──> scratch, or its dead letter ──> what the groups have not done yet
 */

import type { InputProgress, LogRecord } from "../../log/event-log.ts";
import { isFor } from "../../stream/for-group.ts";
import { checkRefused, isTakenControl, lettersOf } from "./letters.ts";
import { differ, type GroupPlace } from "./place.ts";
import { goodRecords, type Range, type Reading } from "./reading.ts";
import { depositVerdict, flagWalletVerdict } from "./record-verdict.ts";
import { controlName, type RuleVersions } from "./rule-versions.ts";
import type { ArrivalTopic, Scratch } from "./scratch.ts";

/** A group that reads the stream, and where it says that it stands. */
export interface Reader extends GroupPlace {
  /** As committed, and as its table has it. */
  readonly stands: readonly (InputProgress | null)[];
}

export interface StreamScan extends Reading {
  readonly range: Range & { readonly topic: ArrivalTopic };
  readonly partitions: number;
  readonly scratch: Scratch;
  readonly readers: readonly Reader[];
  /** Where the rule's versions are put, as the detector meets them. */
  readonly rules: RuleVersions;
  /** What stands before this is put aside, whether a reader has done it or not. */
  readonly writtenUntil: number;
}

/** Resolves with how many records each reader has not done. */
export async function scanStream(scan: StreamScan): Promise<readonly number[]> {
  const { range, readers, scratch, findings } = scan;
  const left = readers.map(() => 0);
  const withLetters = readers.filter(({ group }) => scratch.hasLetters(group));
  const hasEnded = readers.map(({ committed, folded }) => Math.max(committed, folded));
  const most = Math.max(...hasEnded, scan.writtenUntil);
  for await (const records of goodRecords(scan, range)) {
    if (range.topic === "deposit") findings.compared.deposits += records.filter(isDeposit).length;
    scratch.filling(() => {
      for (const record of records) {
        checkPlaces(record, readers);
        const offset = Number(record.offset);
        readers.forEach(({ committed }, index) => {
          if (offset >= committed) left[index] = (left[index] as number) + 1;
        });
        if (offset < most) takeRecord(record, scan, withLetters);
      }
    });
  }
  checkEnds(scan);
  return left;
}

function isDeposit(record: LogRecord): boolean {
  return record.key.length > 0 || controlName(record) === null;
}

function takeRecord(record: LogRecord, scan: StreamScan, withLetters: readonly Reader[]): void {
  const { readers, scratch, range, partitions } = scan;
  const takers =
    record.headers.length === 0
      ? readers
      : readers.filter(({ group }) => isFor({ name: group }, record.headers));
  if (takers.length === 0) return;
  if (controlName(record) !== null) return takeControl(record, scan, takers);
  const bits = takers.reduce((sum, { bit }) => sum | bit, 0);
  const common = { key: record.key, offset: Number(record.offset), takers: bits };
  if (range.topic === "deposit") {
    const verdict = depositVerdict(record, partitions);
    if (verdict.reason !== null) return refuse(record, verdict.reason, scratch, takers);
    const { message, id } = verdict;
    const { amountMinor } = message;
    const isSafe = amountMinor <= BigInt(Number.MAX_SAFE_INTEGER);
    const amount = isSafe ? Number(amountMinor) : amountMinor.toString();
    const letters = lettersOf(record, scratch, withLetters);
    const at_ms = Number(message.acceptedAtMs);
    return scratch.arrive(range.topic, { ...common, id, amount, at_ms, value: null, letters });
  }
  const verdict = flagWalletVerdict(record, partitions);
  if (verdict.reason !== null) return refuse(record, verdict.reason, scratch, takers);
  const letters = lettersOf(record, scratch, withLetters);
  const { id } = verdict;
  const { value } = record;
  scratch.arrive(range.topic, { ...common, id, amount: null, at_ms: null, value, letters });
}

/** Groups that have no use for it pass it by; of the streams only `deposit` has any. */
function takeControl(record: LogRecord, scan: StreamScan, takers: readonly Reader[]): void {
  const { rules, scratch } = scan;
  const detector = takers.find(({ group }) => group === "threshold");
  if (detector === undefined) return;
  const problem = rules.problem(record);
  if (problem !== null) return checkRefused(record, problem, scratch, detector);
  if (isTakenControl(record, scratch, detector)) rules.take(record);
}

function refuse(
  record: LogRecord,
  reason: string,
  scratch: Scratch,
  takers: readonly Reader[],
): void {
  for (const taker of takers) checkRefused(record, reason, scratch, taker);
}

/** Is the record that a group has done last the one that it remembers? */
function checkPlaces(record: LogRecord, readers: readonly Reader[]): void {
  for (const reader of readers) {
    for (const stand of reader.stands) {
      if (stand === null || stand.nextOffset !== record.offset + 1n) continue;
      if (stand.checksum === null || stand.checksum === record.checksum) continue;
      differ(reader, {
        kind: "progress",
        where: record.topic,
        offset: Number(record.offset),
        expected: `the record that ${reader.group} has done (checksum ${stand.checksum})`,
        found: `another one (checksum ${record.checksum})`,
      });
    }
  }
}

function checkEnds({ readers, range }: StreamScan): void {
  for (const reader of readers) {
    for (const stand of reader.stands) {
      if (stand === null || stand.nextOffset <= range.until) continue;
      differ(reader, {
        kind: "progress",
        where: range.topic,
        offset: Number(range.until),
        expected: `records up to ${stand.nextOffset - 1n}, which ${reader.group} has done`,
        found: `an end at ${range.until}`,
      });
    }
  }
}
