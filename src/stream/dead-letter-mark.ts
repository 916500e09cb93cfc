/**
 * Marks: that somebody has dealt with a dead letter, and how. A log is only appended to, so a mark
 * is a record of its own beside the letters; the letter stays.
 *
 *   replayed, dropped ──> `<group>-dead-letters`, partition of the letter, headers only
 *
 * A mark names the record that was refused, not the letter's own place: a refused record keeps its
 * name where letters are written anew.
 */

import type { Headers, NewRecord } from "../log/event-log.ts";
import { isDeadLetter } from "./dead-letter.ts";
import { deadLetterTopic } from "./group.ts";
import { formatPosition, parsePosition, type Position } from "./position.ts";
import type { StreamPosition } from "./settling.ts";

export interface Mark {
  readonly how: "replayed" | "dropped";
  /** Who did it. */
  readonly actor: string;
  /** Why; may be empty. */
  readonly reason: string;
  /** Unix milliseconds. */
  readonly atMs: number;
  /** Where it was written again, or had been counted; in the same topic. Null when dropped. */
  readonly as: Position | null;
}

/** UTF-8 bytes: a name or an address; a few sentences. */
const MAX_ACTOR_BYTES = 128;
const MAX_REASON_BYTES = 1_000;

const PREFIX = "handled-";
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Null when they can stand in a mark; otherwise why not. */
export function markProblem({ actor, reason }: Pick<Mark, "actor" | "reason">): string | null {
  if (actor === "") return "the name of who does it must not be empty";
  return textProblem("name", actor, MAX_ACTOR_BYTES) ??
    textProblem("reason", reason, MAX_REASON_BYTES);
}

export function toMark(group: { readonly name: string }, refused: StreamPosition, mark: Mark) {
  const texts: [string, string][] = [
    ["topic", refused.topic],
    ["partition", String(refused.partition)],
    ["offset", String(refused.offset)],
    ["how", mark.how],
    ["actor", mark.actor],
    ["reason", mark.reason],
    ["at-ms", String(mark.atMs)],
    ...(mark.as === null ? [] : [["as", formatPosition(mark.as)] as [string, string]]),
  ];
  const headers: Headers = texts.map(([name, text]) => [PREFIX + name, encoder.encode(text)]);
  return {
    ...{ topic: deadLetterTopic(group), partition: refused.partition },
    ...{ key: new Uint8Array(), value: null, headers },
  } satisfies NewRecord;
}

/** Null for a record that is no mark. A dead letter is none, whatever headers its record had. */
export function readMark(
  record: Pick<NewRecord, "headers">,
): { readonly refused: StreamPosition; readonly mark: Mark } | null {
  if (isDeadLetter(record)) return null;
  const text = (name: string) => {
    const found = record.headers?.find(([each]) => each === PREFIX + name);
    return found === undefined ? "" : decoder.decode(found[1]);
  };
  const place = parsePosition(`${text("partition")}-${text("offset")}`);
  const how = (["replayed", "dropped"] as const).find((each) => each === text("how"));
  if (place === null || how === undefined) return null;
  const [actor, reason, atMs] = [text("actor"), text("reason"), Number(text("at-ms"))];
  return {
    refused: { topic: text("topic"), ...place },
    mark: { how, actor, reason, atMs, as: parsePosition(text("as")) },
  };
}

function textProblem(name: string, text: string, maxBytes: number): string | null {
  if (!text.isWellFormed() || /\p{Cc}/u.test(text)) {
    return `the ${name} must be plain text without control characters`;
  }
  const bytes = encoder.encode(text).length;
  return bytes <= maxBytes
    ? null
    : `the ${name} has ${bytes} UTF-8 bytes; at most ${maxBytes} are allowed`;
}
