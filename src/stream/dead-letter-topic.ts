/**
 * Reads a group's dead letters back, each with what was done about it and the record itself.
 *
 *   `<group>-dead-letters` ──marks──> by the record's name
 *                          ──letters──> with their marks ──too large for a copy?──> the topic
 */

import { type EventLog, LogError, type LogRecord } from "../log/event-log.ts";
import { type DeadLetter, isDeadLetter, ownHeaders, readDeadLetter } from "./dead-letter.ts";
import { type Mark, readMark } from "./dead-letter-mark.ts";
import type { Refused } from "./dead-letter-replay.ts";
import { deadLetterTopic } from "./group.ts";
import { formatPosition } from "./position.ts";
import type { StreamPosition } from "./settling.ts";

export interface Letter extends DeadLetter {
  readonly group: string;
  /** Of the record that was refused: `<topic>:<partition>-<offset>`. */
  readonly name: string;
  /** Unix milliseconds of the log's clock. */
  readonly refusedAtMs: number;
  /** The record as it was. Null in a list when it was too large for a copy. */
  readonly record: Pick<Refused, "key" | "value" | "headers"> | null;
  /** What was done about it, the newest last; it is open while there is nothing. */
  readonly marks: readonly Mark[];
}

export type Reader = Pick<EventLog, "read" | "bounds" | "progress">;

interface Named {
  readonly name: string;
}

interface ReadingOptions {
  /** Wait for what the group has committed: others see it soon, not at once. */
  readonly isCommitted?: boolean;
}

/** In the order in which they were refused. Throws as `EventLog.read` does. */
export async function* lettersIn(
  log: Reader,
  group: Named,
  partition: number,
  options: ReadingOptions = {},
): AsyncGenerator<Letter> {
  const topic = deadLetterTopic(group);
  const { start: from, end } = await log.bounds(topic, partition);
  const committed = options.isCommitted === true ? await committedEnd(log, group, partition) : 0n;
  const until = end > committed ? end : committed;
  const marks = new Map<string, Mark[]>();
  // First the marks: one may stand anywhere, and they are fewer than letters.
  for await (const records of log.read({ topic, partition, from, until })) {
    for (const record of records) {
      const found = readMark(record);
      if (found === null) continue;
      const name = letterName(found.refused);
      marks.set(name, [...(marks.get(name) ?? []), found.mark]);
    }
  }
  for await (const records of log.read({ topic, partition, from, until })) {
    for (const record of records) if (isDeadLetter(record)) yield letterOf(record, group, marks);
  }
}

/**
 * Those of these records, in their order; null for one that was not refused. One too large for a
 * copy is read where it stands; `record` is null only when it is not there any more.
 */
export async function lettersNamed(
  log: Reader,
  group: Named,
  places: readonly StreamPosition[],
  options: ReadingOptions = {},
): Promise<(Letter | null)[]> {
  const wanted = new Set(places.map(letterName));
  const found = new Map<string, Letter>();
  for (const partition of new Set(places.map((place) => place.partition))) {
    for await (const letter of lettersIn(log, group, partition, options)) {
      if (wanted.has(letter.name)) found.set(letter.name, letter);
    }
  }
  const letters: (Letter | null)[] = [];
  for (const place of places) {
    const letter = found.get(letterName(place));
    letters.push(letter === undefined ? null : await withRecord(log, letter));
  }
  return letters;
}

export function letterName(place: StreamPosition): string {
  return `${place.topic}:${formatPosition(place)}`;
}

async function committedEnd(log: Reader, group: Named, partition: number): Promise<bigint> {
  const progress = await log.progress(group.name, partition);
  const topic = deadLetterTopic(group);
  const isLetters = (each: StreamPlace) => each.topic === topic && each.partition === partition;
  const last = progress?.outputs.find(isLetters)?.lastOffset;
  return last === undefined ? 0n : last + 1n;
}

type StreamPlace = Omit<StreamPosition, "offset">;

function letterOf(
  stored: LogRecord,
  group: Named,
  marks: ReadonlyMap<string, readonly Mark[]>,
): Letter {
  const letter = readDeadLetter(stored);
  const { key, value, timestampMs: refusedAtMs } = stored;
  // A letter without a copy has neither; a tombstone without a key is the same where it stands.
  const isCopy = key.length > 0 || value !== null;
  const record = isCopy ? { key, value, headers: ownHeaders(stored.headers) } : null;
  const name = letterName(letter);
  return { ...letter, group: group.name, name, refusedAtMs, record, marks: marks.get(name) ?? [] };
}

async function withRecord(log: Reader, letter: Letter): Promise<Letter> {
  if (letter.record !== null) return letter;
  const { topic, partition, offset } = letter;
  try {
    const { start, end } = await log.bounds(topic, partition);
    if (offset < start || offset >= end) return letter;
    for await (const [found] of log.read({ topic, partition, from: offset, until: offset + 1n })) {
      if (found?.offset !== offset) continue;
      const { key, value, headers } = found;
      return { ...letter, record: { key, value, headers } };
    }
  } catch (error) {
    // Its topic may be gone, or what it held: the letter is what is left.
    const isGone =
      error instanceof LogError &&
      (error.code === "unknown_topic" || error.code === "position_out_of_range");
    if (!isGone) throw error;
  }
  return letter;
}
