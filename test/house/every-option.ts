/**
 * What the program offers, against what the tests have started it with.
 *
 *   help of each command, names of the settings ──less what any start had──> untried
 */

import { readFile } from "node:fs/promises";
import { KAFKA_SETTINGS } from "../../src/cli/kafka-settings.ts";
import { run, type Start, temporaryFolder } from "../end-to-end/program.ts";
import { failed, PASSED, type StepResult } from "./check-step.ts";

export interface Offer {
  /** "rules", "set". */
  readonly command: readonly string[];
  readonly options: readonly string[];
}

/** One piece of code reads them for every command: to have tried them with one is enough. */
const OF_ANY_COMMAND = new Set<string | null>([
  ...["--data", "--config", "--log-level"],
  ...Object.values(KAFKA_SETTINGS).map(({ flag }) => flag),
]);

/** `startsPath`: what the tests have written of each start, a JSON object a line. */
export async function everyOptionTried(
  program: readonly string[],
  startsPath: string,
): Promise<StepResult> {
  using folder = temporaryFolder();
  const ask = async (...args: string[]) => {
    const { code, out, err } = await run({ program, folder: folder.path }, ...args);
    if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}: ${err}`);
    return out;
  };
  const offers = await offersOf((command) => ask(...command, "--help"));
  const variables = parsed<{ readonly setting: string }>(await ask("config", "--json"));
  const left = untried(
    offers,
    variables.map(({ setting }) => setting),
    parsed<Start>(await readFile(startsPath, "utf8")),
  );
  if (left.length === 0) return PASSED;
  return failed(`no test starts the program with\n${left.join("\n")}`);
}

function parsed<Line>(lines: string): Line[] {
  return lines
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}

/** Every command that the help names, and those below it. `helpOf` gives a command's help. */
export async function offersOf(
  helpOf: (command: readonly string[]) => Promise<string>,
  command: readonly string[] = [],
): Promise<Offer[]> {
  const help = await helpOf(command);
  const below = commandsIn(help).map((name) => offersOf(helpOf, [...command, name]));
  return [{ command, options: optionsIn(help) }, ...(await Promise.all(below)).flat()];
}

/** An option counts for the command it was typed with; a variable for any. */
export function untried(
  offers: readonly Offer[],
  variables: readonly string[],
  starts: readonly Start[],
): string[] {
  const tried = new Set<string>();
  for (const { args, variables: said } of starts) {
    const command = commandOf(offers, args);
    for (const option of args.filter((each) => each.startsWith("--"))) {
      const name = option.replace(/=.*$/s, "");
      tried.add(OF_ANY_COMMAND.has(name) ? name : [...command, name].join(" "));
    }
    tried.add(command.join(" "));
    for (const variable of said) tried.add(variable);
  }
  const wanted = offers.flatMap(({ command, options }) => [
    command.join(" "),
    ...options.map((each) => (OF_ANY_COMMAND.has(each) ? each : [...command, each].join(" "))),
  ]);
  return [...new Set([...wanted, ...variables])].filter((each) => !tried.has(each));
}

/** The longest that the arguments begin with. */
function commandOf(offers: readonly Offer[], args: readonly string[]): readonly string[] {
  const fitting = offers
    .map(({ command }) => command)
    .filter((command) => command.every((word, i) => word === args[i]));
  return fitting.reduce((a, b) => (b.length > a.length ? b : a), []);
}

/** Names in the list of commands that a help has, if it has one. */
function commandsIn(help: string): string[] {
  const list = /^Commands:\n((?: .*\n)+)/m.exec(help)?.[1] ?? "";
  const names = [...list.matchAll(/^ {2}([a-z-]+)/gm)].map(([, name]) => name as string);
  return names.filter((name) => name !== "help");
}

/** Without that for help, by which they are found. */
function optionsIn(help: string): string[] {
  const found = help.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm);
  return [...found].map(([, name]) => name as string).filter((name) => name !== "--help");
}
