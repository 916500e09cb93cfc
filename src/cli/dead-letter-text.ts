/**
 * A dead letter for people: one line in a list, or all of it.
 *
 *   letter ──> lines; what a client sent is printed without anything a terminal would obey
 */

import type { App } from "../app.ts";
import { formatDecimal } from "../money.ts";
import { type BytesJson, letterJson, shownJson } from "./dead-letter-json.ts";
import type { Letter, NamedGroup } from "./dead-letter-names.ts";
import { localText, utcText } from "./time-text.ts";

/** What a list's columns hold. */
export const LETTER_HEAD = ["processor", "record", "reason", "refused at", "key", "why"] as const;

/** One of a list. */
export function letterRow(group: NamedGroup, letter: Letter, decimals: number): readonly string[] {
  const { key } = letterJson(group, letter);
  const last = letter.marks.at(-1);
  const why = detailText(letter, decimals);
  return [
    group.processor,
    plainText(letter.name),
    plainText(letter.reason),
    utcText(letter.refusedAtMs),
    key === null ? "-" : plainText(key),
    last === undefined ? why : `${why}  [${markText(last)}]`,
  ];
}

/** Of a conflict of ids, with what each was counted with. */
const CONFLICT =
  /^(id ".*" was counted at \d+-\d+ with )(\d+)(; (?:\d+-\d+|this record) has )(\d+)$/s;

/** The engine knows no money: a deposit's amounts stand in minor units in what it writes. */
export function detailText(
  { topic, detail }: Pick<Letter, "topic" | "detail">,
  decimals: number,
): string {
  const exact = (minor: string) => formatDecimal(BigInt(minor), decimals);
  const [, before, known, between, own] = (topic === "deposit" && CONFLICT.exec(detail)) || [];
  if (known === undefined || own === undefined) return plainText(detail);
  return plainText(`${before}${exact(known)}${between}${exact(own)}`);
}

export function shownLines(app: App, group: NamedGroup, letter: Letter): string[] {
  const { content, type, message, replay_problem: problem } = shownJson(app, group, letter);
  const { topic, partition, offset } = letter;
  const lines = [
    `record   ${plainText(topic)}, partition ${partition}, offset ${offset}`,
    `refused  by ${group.title}: ${plainText(letter.reason)}`,
    `why      ${detailText(letter, app.decimals)}`,
    `time     ${timesText(letter.refusedAtMs)}`,
  ];
  if (content !== null) {
    const { key, id, headers, value } = content;
    lines.push(`key      ${bytesText(key)}`, `id       ${bytesText(id)}`);
    for (const header of headers) {
      lines.push(`header   ${plainText(header.name)}: ${bytesText(header)}`);
    }
    lines.push(`value    ${value === null ? "none" : `${value.bytes} bytes: ${bytesText(value)}`}`);
  }
  if (message !== null) {
    const json = JSON.stringify(message, null, 2).split("\n");
    lines.push(`message  ${type}`, ...json.map((line) => `  ${plainText(line)}`));
  }
  for (const mark of letter.marks) {
    lines.push(`handled  ${markText(mark)}, ${timesText(mark.atMs)}`);
  }
  lines.push(`replay   ${problem === null ? "can be tried" : plainText(problem)}`);
  return lines;
}

/** What a terminal might obey, or print in another order. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/u;
const ALL_UNPRINTABLE = new RegExp(UNPRINTABLE, "gu");

/** With escapes instead of what a client's text must not do to a terminal. */
export function plainText(text: string): string {
  const escaped = (character: string) => `\\u{${character.codePointAt(0)?.toString(16)}}`;
  return text.replace(ALL_UNPRINTABLE, escaped);
}

export function markText({ how, actor, reason, as }: Letter["marks"][number]): string {
  const what = as === null ? how : `${how} as ${as.partition}-${as.offset}`;
  return `${what} by ${plainText(actor)}${reason === "" ? "" : `: ${plainText(reason)}`}`;
}

/** As text where a person can read it, else in hex. */
export function bytesText(bytes: BytesJson | null): string {
  if (bytes === null) return "-";
  const isText = bytes.text !== null && !UNPRINTABLE.test(bytes.text);
  const text = isText ? bytes.text : `hex ${bytes.hex}`;
  return bytes.is_cut ? `${text}... (${bytes.bytes} bytes)` : `${text}`;
}

function timesText(timeMs: number): string {
  return `${localText(timeMs)} (${utcText(timeMs)})`;
}
