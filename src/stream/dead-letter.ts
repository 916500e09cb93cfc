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

const ADDED_NAMES = ["topic", "partition", "offset", "reason", "detail"] as const;
type AddedName = (typeof ADDED_NAMES)[number];

export function toDeadLetter(
  group: { readonly name: string },
  record: LogRecord,
  why: { readonly reason: DeadLetterReason; readonly detail: string },
): NewRecord {
  const added: Record<AddedName, string> = {
    topic: record.topic,
    partition: String(record.partition),
    offset: String(record.offset),
    reason: why.reason,
    detail: why.detail.slice(0, MAX_DETAIL_CHARACTERS),
  };
  const headers: Headers = ADDED_NAMES.map((name) => [PREFIX + name, encoder.encode(added[name])]);
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
  const text = (name: AddedName) => addedText(headers, name);
  return {
    reason: text("reason") as DeadLetterReason,
    detail: text("detail"),
    topic: text("topic"),
    partition: Number(text("partition")),
    offset: BigInt(text("offset") || "0"),
  };
}

/**
 * Whether a record is a dead letter: marks stand beside them (dead-letter-mark.ts), and other
 * clients may write there.
 */
export function isDeadLetter({ headers = [] }: Pick<NewRecord, "headers">): boolean {
  const text = (name: AddedName) => addedText(headers, name);
  return (
    text("topic") !== "" &&
    text("reason") !== "" &&
    /^\d{1,4}$/.test(text("partition")) &&
    /^\d{1,19}$/.test(text("offset"))
  );
}

/** The record's own headers: a dead letter's without those that `toDeadLetter` added. */
export function ownHeaders(headers: Headers): Headers {
  const added = new Set(ADDED_NAMES.map((name) => PREFIX + name));
  // The last of each name: the record may have had headers of such names itself.
  return headers
    .toReversed()
    .filter(([name]) => !added.delete(name))
    .toReversed();
}

/** The last of a name; "" when there is none. */
function addedText(headers: Headers, name: AddedName): string {
  const found = headers.findLast(([each]) => each === PREFIX + name);
  return found === undefined ? "" : decoder.decode(found[1]);
}

function sizeOf({ key, value, headers }: LogRecord): number {
  let bytes = key.length + (value?.length ?? 0);
  for (const [name, each] of headers) bytes += name.length + each.length + HEADER_FRAMING_BYTES;
  return bytes;
}
