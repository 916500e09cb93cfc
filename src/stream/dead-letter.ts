/**
 * Dead letters: records that a group could not take, kept with where they stood and why.
 *
 *   record ──> `<group>-dead-letters`, same partition, key and value, headers added
 *
 * One too large for more headers leaves key, value and its own headers where it stood. Written in
 * the commit that moves the progress past the record: there is either both or neither.
 */

import {
  type Headers,
  type LogRecord,
  MAX_RECORD_BYTES,
  type NewRecord,
} from "../log/event-log.ts";
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
/** A detail may quote what a client sent: enough of it to recognise. */
const MAX_DETAIL_CHARACTERS = 500;
/** Around one header, in any log: its lengths. */
const HEADER_FRAMING_BYTES = 16;
/** What the added headers take at most, framing included; a detail in UTF-8 three bytes each. */
const ADDED_BYTES = 3 * MAX_DETAIL_CHARACTERS + 1_024;
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
    ["detail", why.detail.slice(0, MAX_DETAIL_CHARACTERS)],
  ];
  const headers: Headers = added.map(([name, text]) => [PREFIX + name, encoder.encode(text)]);
  const place = { topic: deadLetterTopic(group), partition: record.partition };
  // With the headers it would be larger than a record may be: the record itself is kept for good.
  if (sizeOf(record) + ADDED_BYTES > MAX_RECORD_BYTES) {
    return { ...place, key: new Uint8Array(), value: null, headers };
  }
  const { key, value } = record;
  return { ...place, key, value, headers: [...record.headers, ...headers] };
}

/** Reads what `toDeadLetter` added; the last header of a name counts. */
export function readDeadLetter({ headers = [] }: Pick<NewRecord, "headers">): DeadLetter {
  const text = (name: string) => {
    const found = headers.findLast(([each]) => each === PREFIX + name);
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

function sizeOf({ key, value, headers }: LogRecord): number {
  let bytes = key.length + (value?.length ?? 0);
  for (const [name, each] of headers) bytes += name.length + each.length + HEADER_FRAMING_BYTES;
  return bytes;
}
