/**
 * A dead letter for people: one line in a list, or all of it.
 *
 *   letter ──> lines; what a client sent is printed without anything a terminal would obey
 */

import type { App } from "../app.ts";
import { type BytesJson, letterJson, shownJson } from "./dead-letter-json.ts";
import type { Letter, NamedGroup } from "./dead-letter-names.ts";
import { localText, utcText } from "./time-text.ts";

/** The longest reason, so that what follows stands in one column. */
const REASON_WIDTH = "wrong_partition".length;

export function letterLine(group: NamedGroup, letter: Letter): string {
  const { key } = letterJson(group, letter);
  const line = [
    group.processor,
    plainText(letter.name),
    plainText(letter.reason).padEnd(REASON_WIDTH),
    utcText(letter.refusedAtMs),
    key === null ? "-" : plainText(key),
    plainText(letter.detail),
  ].join("  ");
  const last = letter.marks.at(-1);
  return last === undefined ? line : `${line}  [${markText(last)}]`;
}

export function shownLines(app: App, group: NamedGroup, letter: Letter): string[] {
  const { content, type, message, replay_problem: problem } = shownJson(app, group, letter);
  const { topic, partition, offset } = letter;
  const lines = [
    `record   ${plainText(topic)}, partition ${partition}, offset ${offset}`,
    `refused  by ${group.title}: ${plainText(letter.reason)}`,
    `why      ${plainText(letter.detail)}`,
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
function bytesText(bytes: BytesJson | null): string {
  if (bytes === null) return "-";
  const isText = bytes.text !== null && !UNPRINTABLE.test(bytes.text);
  const text = isText ? bytes.text : `hex ${bytes.hex}`;
  return bytes.is_cut ? `${text}... (${bytes.bytes} bytes)` : `${text}`;
}

function timesText(timeMs: number): string {
  return `${localText(timeMs)} (${utcText(timeMs)})`;
}
