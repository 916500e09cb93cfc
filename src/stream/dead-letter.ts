/**
 * Dead letters: records that a group could not take, kept with where they stood and why.
 *
 *   record ──> `<group>-dead-letters`, same partition, key and value, headers added
 *
 * Written in the commit that moves the progress past the record: there is either both or neither.
 */

import type { Headers, LogRecord, NewRecord } from "../log/event-log.ts";
import { deadLetterTopic } from "./group.ts";

export type DeadLetterReason =
  /** The codec cannot read key or value. */
  | "undecodable"
  /** The stream's validation refuses it. */
  | "invalid_record"
  /** It stands in a partition where its key does not belong. */
  | "wrong_partition"
  /** Its id was counted with another fingerprint. */
  | "id_conflict";

export interface DeadLetter {
  readonly reason: DeadLetterReason;
  readonly detail: string;
  /** Where the record stood. */
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
}

const PREFIX = "dead-letter-";
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function toDeadLetter(
  group: { readonly name: string },
  record: LogRecord,
  why: { readonly reason: DeadLetterReason; readonly detail: string },
): NewRecord {
  const added: [string, string][] = [
    ["topic", record.topic],
    ["partition", String(record.partition)],
    ["offset", String(record.offset)],
    ["reason", why.reason],
    ["detail", why.detail],
  ];
  const headers: Headers = [
    ...record.headers,
    ...added.map(([name, text]) => [PREFIX + name, encoder.encode(text)] as const),
  ];
  return {
    topic: deadLetterTopic(group),
    partition: record.partition,
    key: record.key,
    value: record.value,
    headers,
  };
}

/** Reads what `toDeadLetter` added; the last header of a name counts. */
export function readDeadLetter(record: LogRecord): DeadLetter {
  const text = (name: string) => {
    const found = record.headers.findLast(([each]) => each === PREFIX + name);
    return found === undefined ? "" : decoder.decode(found[1]);
  };
  return {
    reason: text("reason") as DeadLetterReason,
    detail: text("detail"),
    topic: text("topic"),
    partition: Number(text("partition")),
    offset: BigInt(text("offset") || "0"),
  };
}
