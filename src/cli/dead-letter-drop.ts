/**
 * `dead-letters drop`: a letter needs no more attention.
 *
 *   letter ──dealt with already?──> said      └── no ──> mark beside it
 */

import type { App } from "../app.ts";
import { letterJson } from "./dead-letter-json.ts";
import type { Letter, NamedGroup } from "./dead-letter-names.ts";
import { markText, plainText } from "./dead-letter-text.ts";
import { tellOfAction } from "./operator-log.ts";
import { print, printJson } from "./output.ts";

export async function dropLetters(options: {
  readonly app: App;
  readonly group: NamedGroup;
  readonly letters: readonly Letter[];
  readonly operator: { readonly actor: string; readonly reason: string };
  readonly isJson: boolean;
}): Promise<void> {
  const { app, group, letters, operator, isJson } = options;
  for (const letter of letters) {
    const last = letter.marks.at(-1);
    const mark = last ?? (await app.deadLetters.mark(letter, operator, null));
    if (last === undefined) {
      const values = { letter: letter.name, group: group.name };
      tellOfAction("dropped the dead letter {letter} of {group}", values, operator.actor);
    }
    if (isJson) printJson(letterJson(group, { ...letter, marks: last ? letter.marks : [mark] }));
    else if (last !== undefined) {
      print(`${plainText(letter.name)} was dealt with already: ${markText(last)}`);
    } else print(`${plainText(letter.name)} is dropped`);
  }
}
