/**
 * A text that stays one line and shows what it is: no caller's id or name can add a line to the
 * log, colour it, or turn the order of its letters round.
 *
 *   "a\nb", "a<ESC>[2K", "a<RLO>b" ──> "a\u{a}b", "a\u{1b}[2K", "a\u{202e}b"
 */

/** Control characters, line and paragraph separators, and marks of writing direction. */
const UNSEEN = /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

export function oneLine(text: string): string {
  return text.replace(UNSEEN, (each) => `\\u{${codeOf(each).toString(16)}}`);
}

/** The same in a line of JSON, whose values stay what they are. */
export function oneJsonLine(json: string): string {
  return json.replace(UNSEEN, (each) => `\\u${codeOf(each).toString(16).padStart(4, "0")}`);
}

/** All of them are single UTF-16 units. */
function codeOf(character: string): number {
  return character.charCodeAt(0);
}
