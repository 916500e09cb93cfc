/**
 * Dead letters as JSON: texts where bytes are text, hex where they are not.
 *
 *   letter ──> one JSON value; with its record and its message when it is shown
 */

import type { App } from "../app.ts";
import type { Letter, NamedGroup } from "./dead-letter-names.ts";
import { utcText } from "./time-text.ts";

/** Of a value: enough to recognise it; a record may have a megabyte. */
const MAX_SHOWN_BYTES = 1_024;

const strictText = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function letterJson(group: NamedGroup, letter: Letter) {
  const { name, reason, detail, refusedAtMs, marks, record } = letter;
  return {
    processor: group.processor,
    group: group.name,
    record: name,
    reason,
    detail,
    refused_at_ms: refusedAtMs,
    refused_at: utcText(refusedAtMs),
    /** Null when it is not UTF-8, and in a list when the record was too large for a copy. */
    key: record === null ? null : textOf(record.key),
    handled: marks.map((mark) => ({
      how: mark.how,
      actor: mark.actor,
      reason: mark.reason,
      at_ms: mark.atMs,
      at: utcText(mark.atMs),
      as: mark.as === null ? null : `${mark.as.partition}-${mark.as.offset}`,
    })),
  };
}

/** What is refused now is judged by this program's own rules, before any id. */
export function shownJson(app: App, group: NamedGroup, letter: Letter) {
  const { record } = letter;
  const read = record === null ? null : app.deadLetters.read({ ...letter, record });
  return {
    ...letterJson(group, letter),
    /** Null when the record is gone. */
    content: record === null ? null : contentJson(record),
    type: read?.type ?? null,
    message: messageJson(read?.message ?? null),
    /** Null when it can be tried. */
    replay_problem: read === null ? GONE : replayProblem(letter, read.problem),
  };
}

const GONE = "its record is gone, and there is no copy: there is nothing to replay";

function contentJson({ key, value, headers }: NonNullable<Letter["record"]>) {
  const id = headers.find(([name]) => name === "id")?.[1];
  return {
    key: bytesJson(key),
    id: id === undefined ? null : bytesJson(id),
    headers: headers.map(([name, bytes]) => ({ name, ...bytesJson(bytes) })),
    value: value === null ? null : bytesJson(value),
  };
}

/** Numbers of any size and bytes as text; what a runtime adds to a message is left out. */
export function messageJson(message: unknown): unknown {
  if (typeof message === "bigint") return message.toString();
  if (message instanceof Uint8Array) return Buffer.from(message).toString("hex");
  if (Array.isArray(message)) return message.map(messageJson);
  if (typeof message !== "object" || message === null) return message;
  return Object.fromEntries(
    Object.entries(message)
      .filter(([name]) => !name.startsWith("$"))
      .map(([name, value]) => [name, messageJson(value)]),
  );
}

function replayProblem({ reason }: Letter, problem: string | null): string | null {
  if (problem !== null) return `would be refused again: ${problem}`;
  return reason === "id_conflict" ? "under its own id it conflicts still: --new-id" : null;
}

export type BytesJson = ReturnType<typeof bytesJson>;

export function bytesJson(value: Uint8Array) {
  const shown = value.subarray(0, MAX_SHOWN_BYTES);
  const isCut = shown.length < value.length;
  const hex = Buffer.from(shown).toString("hex");
  return { bytes: value.length, is_cut: isCut, text: textOf(shown), hex };
}

export function textOf(bytes: Uint8Array): string | null {
  try {
    return strictText.decode(bytes);
  } catch {
    return null;
  }
}
