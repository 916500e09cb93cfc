/**
 * What somebody meant who typed more words than a command takes.
 *
 *   command, its error ──> "; did you mean `rules set`?", "; --watch takes no value", ""
 */

import type { Command } from "commander";
import { nearest } from "./nearest-name.ts";

/** The end of commander's message; empty where there is nothing to add, or it is another one. */
export function excessAdvice(command: Command, message: string): string {
  const [, words = ""] = /^error: too many arguments.* but got \d+: (.+)\.$/m.exec(message) ?? [];
  if (words === "") return "";
  const path = command.parent?.parent ? `${command.parent.name()} ` : "";
  const name = `${path}${command.name()}`;
  const names = command.commands.map((each) => each.name()).filter((each) => each !== "help");
  const [word = ""] = command.args;
  if (names.length > 0) {
    const advice = nearest(word, names).replace(/mean (\S+)\?$/, `mean \`${name} $1\`?`);
    return `\n${name} knows no ${word}${advice}`;
  }
  const typed = root(command).rawArgs;
  const extra = command.args[command.registeredArguments.length] as string;
  const before = typed[typed.indexOf(extra) - 1];
  const isSwitch = command.options.some((each) => each.long === before && each.isBoolean());
  return isSwitch ? `\n${before} takes no value: leave ${extra} out` : "";
}

function root(command: Command): Command & { readonly rawArgs: readonly string[] } {
  return (command.parent === null ? command : root(command.parent)) as ReturnType<typeof root>;
}
