/**
 * NDJSON: one flat JSON object a line, read without an object in between.
 *
 *   line ──member by member──> texts, numbers as they are written ──checkRow──> row
 *
 * JSON.parse would put amounts through doubles and let the last of two equal keys win; here a
 * member is matched by its grammar (RFC 8259), and a second one of a name is refused. Strings with
 * escapes go through JSON.parse alone.
 */

import {
  checkRow,
  IMPORT_COLUMNS,
  type ImportRow,
  type RowRules,
  type RowTexts,
} from "./import-row.ts";

/** The row; a text says why there is none; null for a blank line. */
export function readJsonLine(line: string, rules: RowRules): ImportRow | string | null {
  const texts: RowTexts = {
    walletId: undefined,
    amount: undefined,
    acceptedAt: undefined,
    id: undefined,
  };
  OPENING.lastIndex = 0;
  if (!OPENING.test(line)) return BLANK.test(line) ? null : malformed(line);
  let at = OPENING.lastIndex;
  if (EMPTY.test(line)) return checkRow(texts, rules);
  for (let isLast = false; !isLast; ) {
    MEMBER.lastIndex = at;
    const member = MEMBER.exec(line);
    if (member === null) return malformed(line);
    at = MEMBER.lastIndex;
    const problem = take(texts, member);
    if (problem !== null) return problem;
    isLast = member[4] === "}";
  }
  if (!BLANK.test(line.slice(at))) return malformed(line);
  return checkRow(texts, rules);
}

const SPACE = String.raw`[ \t\r]*`;
const CHARACTERS = String.raw`[^"\\\x00-\x1f]*`;
const STRING = String.raw`"(${CHARACTERS}(?:\\.${CHARACTERS})*)"`;
const NUMBER = String.raw`-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?`;
const PLAIN = `(${NUMBER}|true|false|null)`;

const OPENING = new RegExp(`${SPACE}\\{`, "y");
const EMPTY = new RegExp(`^${SPACE}\\{${SPACE}\\}${SPACE}$`);
const BLANK = new RegExp(`^${SPACE}$`);
/** Name, string's content, number or other plain value, and what stands behind. */
const MEMBER = new RegExp(
  `${SPACE}${STRING}${SPACE}:${SPACE}(?:${STRING}|${PLAIN})${SPACE}([,}])`,
  "y",
);

/** Null when the member was taken; otherwise what is wrong with it. */
function take(texts: RowTexts, member: RegExpExecArray): string | null {
  const name = unescaped(member[1] as string);
  if (name === null) return malformed(member[0]);
  const plain = member[3];
  const isNumber = plain !== undefined && /^[-0-9]/.test(plain);
  const content = plain ?? unescaped(member[2] as string);
  if (content === null) return `${JSON.stringify(name)} has a malformed string`;
  switch (name) {
    case "wallet_id":
      if (plain !== undefined) return "wallet_id must be a string";
      if (texts.walletId !== undefined) return twice(name);
      texts.walletId = content;
      return null;
    case "amount":
      if (plain !== undefined && !isNumber) return "amount must be a number or a string";
      if (texts.amount !== undefined) return twice(name);
      texts.amount = content;
      return null;
    case "accepted_at":
      if (plain !== undefined && !isNumber) return "accepted_at must be a number or a string";
      if (texts.acceptedAt !== undefined) return twice(name);
      texts.acceptedAt = content;
      return null;
    case "id":
      if (plain !== undefined) return "id must be a string; leave it out where there is none";
      if (texts.id !== undefined) return twice(name);
      texts.id = content;
      return null;
    default:
      return `${JSON.stringify(name)} is no known member; known are ${IMPORT_COLUMNS.join(", ")}`;
  }
}

/** Null when the escapes are malformed. */
function unescaped(content: string): string | null {
  if (!content.includes("\\")) return content;
  try {
    return JSON.parse(`"${content}"`) as string;
  } catch {
    return null;
  }
}

function twice(name: string): string {
  return `${name} stands there twice`;
}

function malformed(line: string): string {
  try {
    JSON.parse(line);
    return "must be one JSON object of strings and numbers, without objects or arrays in it";
  } catch {
    return "is no well-formed JSON object";
  }
}
