/**
 * The dead letters of a partition, put where the records that they are about find them.
 *
 *   `<group>-dead-letters` ──letters, marks──> scratch ──by record──> taken or left
 */

import type { LogRecord } from "../../log/event-log.ts";
import { recordChecksum } from "../../log/record-checksum.ts";
import { isDeadLetter, ownHeaders, readDeadLetter } from "../../stream/dead-letter.ts";
import { readMark } from "../../stream/dead-letter-mark.ts";
import type { RecordLetters } from "./counting.ts";
import { differ, type GroupPlace, positionText } from "./place.ts";
import type { FoundLetter, Scratch } from "./scratch.ts";

/** With its headers added a record of more bytes may be too large for a copy. */
const MAX_COPIED_BYTES = 990_000;

/**
 * Letters up to `lastOffset` are of what the group has committed; marks are taken wherever they
 * stand.
 */
export function keepLetters(
  records: readonly LogRecord[],
  scratch: Scratch,
  { lastOffset, ...at }: GroupPlace & { readonly lastOffset: bigint },
): void {
  const { group } = at;
  for (const record of records) {
    const marked = readMark(record);
    if (marked !== null) {
      const { topic, offset } = marked.refused;
      scratch.putMark({ group, topic, offset: Number(offset) });
    }
    if (record.offset > lastOffset || !isDeadLetter(record)) continue;
    const { topic, partition, offset, reason } = readDeadLetter(record);
    const place = { group, topic, offset: Number(offset) };
    const { key, value } = record;
    const checksum = recordChecksum({ key, value, headers: ownHeaders(record.headers) });
    const letter = { reason, checksum, letter: Number(record.offset) };
    const isOwn = partition === record.partition;
    if (isOwn && scratch.putLetter(place, letter)) continue;
    const what = `a second letter of ${positionText(topic, partition, offset)}`;
    tellOfLetter(at, Number(record.offset), isOwn ? what : `a letter of partition ${partition}`);
  }
}

/** Letters that no record has taken. */
export function tellOfLeftLetters(scratch: Scratch, places: readonly GroupPlace[]): void {
  for (const { group, topic, offset, reason, letter } of scratch.leftLetters()) {
    const at = places.find((place) => place.group === group) as GroupPlace;
    const record = positionText(topic, at.partition, offset);
    tellOfLetter(at, letter, `${record} refused as ${reason}: there is no such record`);
  }
}

/** Of a record that is taken by the rules: the reasons of its letters, for `countOnce`. */
export function lettersOf(
  record: LogRecord,
  scratch: Scratch,
  places: readonly GroupPlace[],
): string | null {
  const letters: [string, RecordLetters[string]][] = [];
  for (const at of places) {
    const letter = takeLetter(record, scratch, at);
    if (letter === null) continue;
    checkCopy(record, letter, at);
    letters.push([at.group, { reason: letter.reason, isHandled: letter.isHandled }]);
  }
  return letters.length === 0 ? null : JSON.stringify(Object.fromEntries(letters));
}

/** Of a record that the rules refuse. */
export function checkRefused(
  record: LogRecord,
  reason: string,
  scratch: Scratch,
  at: GroupPlace,
): void {
  if (record.offset >= BigInt(at.committed)) return;
  at.findings.compared.deadLetters += 1;
  const letter = takeLetter(record, scratch, at);
  if (letter !== null) checkCopy(record, letter, at);
  if (letter?.reason === reason) return;
  differ(at, {
    kind: "dead_letter",
    where: `${at.group}-dead-letters`,
    offset: Number(record.offset),
    expected: `refused as ${reason}`,
    found: letter === null ? "no dead letter" : `refused as ${letter.reason}`,
  });
}

/**
 * Of a control record that the rules take: whether the group has taken it. What was refused stays
 * refused; one that nobody has dealt with is a difference.
 */
export function isTakenControl(record: LogRecord, scratch: Scratch, at: GroupPlace): boolean {
  const letter = takeLetter(record, scratch, at);
  if (letter === null) return true;
  checkCopy(record, letter, at);
  at.findings.compared.deadLetters += 1;
  if (letter.isHandled) return false;
  differ(at, {
    kind: "dead_letter",
    where: `${at.group}-dead-letters`,
    offset: Number(record.offset),
    expected: "taken: nothing is wrong with it",
    found: `refused as ${letter.reason}`,
  });
  return false;
}

function takeLetter(
  { topic, offset }: LogRecord,
  scratch: Scratch,
  { group }: GroupPlace,
): FoundLetter | null {
  return scratch.takeLetter({ group, topic, offset: Number(offset) });
}

function checkCopy(record: LogRecord, letter: FoundLetter, at: GroupPlace): void {
  if (letter.checksum === record.checksum) return;
  const { key, value, headers } = record;
  let bytes = key.length + (value?.length ?? 0);
  for (const [name, each] of headers) bytes += name.length + each.length;
  if (bytes > MAX_COPIED_BYTES) return;
  differ(at, {
    kind: "dead_letter",
    where: `${at.group}-dead-letters`,
    offset: Number(record.offset),
    expected: "a copy of the record",
    found: `other bytes, at offset ${letter.letter}`,
  });
}

function tellOfLetter(at: GroupPlace, offset: number, found: string): void {
  const where = `${at.group}-dead-letters`;
  const position = positionText(where, at.partition, offset);
  at.findings.differ({
    kind: "dead_letter",
    where,
    partition: at.partition,
    wallet: null,
    position,
    expected: "no such letter",
    found,
  });
}
