/**
 * `dead-letters list|show|replay|drop`: what the processors refused, and what is done about it.
 *
 *   list, show ──> letters as they are        replay ──> taken now, once        drop ──> handled
 *
 * A letter is named by the record that was refused, such as `deposit:3-17`.
 */

import { resolve } from "node:path";
import type { Command } from "commander";
import type { App } from "../app.ts";
import { DATA_SETTINGS, newCommand, newCommandGroup, runWith } from "./command.ts";
import { withData, withStandIn } from "./data.ts";
import { letterJson, shownJson } from "./dead-letter-json.ts";
import { LetterPages } from "./dead-letter-pages.ts";
import { replayLetters } from "./dead-letter-replay.ts";
import { dropLetters } from "./dead-letter-drop.ts";
import { shownLines } from "./dead-letter-text.ts";
import { namedGroup, namedGroups, namedLetters, requireRecords } from "./dead-letter-names.ts";
import { print, printJson } from "./output.ts";
import { dataOption } from "./serving.ts";
import { DEFAULT_DATA } from "./settings.ts";
import { systemUser } from "./system-user.ts";
import { CommandError, UsageError } from "./usage-error.ts";

const LIST = {
  name: "list",
  description: "List what the processors refused and nobody has dealt with.",
  settings: DATA_SETTINGS,
  examples: ["dead-letters list", "dead-letters list collector --all", "dead-letters list --json"],
  remarks: "--json prints one object a line.",
} as const;

const SHOW = {
  name: "show",
  description: "Show a dead letter, decoded as far as it goes.",
  settings: DATA_SETTINGS,
  examples: ["dead-letters show collector 3-17", "dead-letters show balance deposit:3-17 --json"],
} as const;

const REPLAY = {
  name: "replay",
  description: "Have a processor take what it refused, once.",
  settings: DATA_SETTINGS,
  examples: ['dead-letters replay collector 3-17 3-20 --reason "the processors are mended"'],
  remarks:
    "Only the named processor takes it: one that has counted the record already passes it by.\n" +
    "What would be refused again is not replayed. A record whose id was counted with something\n" +
    "else (id_conflict) can be taken as one of its own with --new-id, once however often sent.\n" +
    "Exit code 1 when not all were taken.",
} as const;

const DROP = {
  name: "drop",
  description: "Say that a dead letter needs no more attention. It stays in the log.",
  settings: DATA_SETTINGS,
  examples: ['dead-letters drop detector 3-17 --reason "a test of the other team"'],
} as const;

const NAME_HELP = "the record that was refused, as `list` prints it";

interface Flags {
  readonly all?: true;
  readonly newId?: true;
  readonly reason?: string;
  readonly by?: string;
  readonly json?: true;
}

export function deadLettersCommand(): Command {
  const options = {
    name: "dead-letters",
    description: "List, show, replay and drop what the processors refused.",
    examples: ["dead-letters list"],
  };
  const commands = [listCommand(), showCommand(), replayCommand(), dropCommand()];
  return newCommandGroup(options, commands);
}

function listCommand(): Command {
  return newCommand(LIST)
    .argument("[processors...]", "of which, by either name (default: all)")
    .option("--all", "those that were dealt with, too")
    .option("--json", "print JSON")
    .action((names: string[], flags: Flags) =>
      runWith(LIST, flags, ({ settings, stopping }) =>
        withData(settings, async (app) => {
          const groups = await namedGroups(names);
          const left = await settledUpToNow(app, stopping);
          const pages = new LetterPages(app.decimals);
          for (const group of groups) {
            for await (const letter of app.deadLetters.list(group.name)) {
              if (flags.all !== true && letter.marks.length > 0) continue;
              if (flags.json) printJson(letterJson(group, letter));
              else pages.add(group, letter);
            }
          }
          if (!flags.json) {
            pages.end(dataOption({ ...settings, defaultData: resolve(DEFAULT_DATA) }));
          }
          if (left !== null) throw left;
        }),
      ),
    );
}

/** What the list may lack; null when nothing. A partition that stands still hides no letters. */
async function settledUpToNow(app: App, stopping: AbortSignal): Promise<CommandError | null> {
  const ends = await app.ends();
  try {
    await withStandIn(app, stopping, ({ settle }) => settle(ends, null));
    return null;
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return new CommandError(`the list may lack newer ones: ${error.message}`, { cause: error });
  }
}

function showCommand(): Command {
  return newCommand(SHOW)
    .usage("[options] <processor> <record>")
    .argument("<processor>", "which refused it, by either name")
    .argument("[record]", NAME_HELP)
    .option("--json", "print JSON")
    .action((processor: string, name: string | undefined, flags: Flags) => {
      const names = name === undefined ? [] : [name];
      requireRecords("show", processor, names);
      return runWith(SHOW, flags, ({ settings }) =>
        withData(settings, async (app) => {
          const group = await namedGroup(processor);
          for (const letter of await namedLetters(app, group, names)) {
            if (flags.json) printJson(shownJson(app, group, letter));
            else print(shownLines(app, group, letter).join("\n"));
          }
        }),
      );
    });
}

function replayCommand(): Command {
  return newCommand(REPLAY)
    .usage("[options] <processor> <records...>")
    .argument("<processor>", "which is to take it, by either name")
    .argument("[records...]", NAME_HELP)
    .option("--new-id", "take a record of an id_conflict as one of its own")
    .option("--reason <text>", "why")
    .option("--by <name>", "who does it (default: the system's user)")
    .option("--json", "print JSON, one object a line")
    .action((processor: string, names: string[], flags: Flags) => {
      requireRecords("replay", processor, names);
      return runWith(REPLAY, flags, ({ settings, stopping }) =>
        withData(settings, async (app) => {
          const group = await namedGroup(processor);
          const operator = operatorOf(app, flags);
          const letters = await namedLetters(app, group, names);
          const [newId, isJson] = [flags.newId === true, flags.json === true];
          await withStandIn(app, stopping, (settler) =>
            replayLetters({ app, settler, group, letters, operator, newId, isJson }),
          );
        }),
      );
    });
}

function dropCommand(): Command {
  return newCommand(DROP)
    .usage("[options] <processor> <records...>")
    .argument("<processor>", "which refused it, by either name")
    .argument("[records...]", NAME_HELP)
    .requiredOption("--reason <text>", "why it needs no more attention")
    .option("--by <name>", "who does it (default: the system's user)")
    .option("--json", "print JSON, one object a line")
    .action((processor: string, names: string[], flags: Flags) => {
      requireRecords("drop", processor, names);
      return runWith(DROP, flags, ({ settings }) =>
        withData(settings, async (app) => {
          const group = await namedGroup(processor);
          const operator = operatorOf(app, flags);
          if (operator.reason === "") throw new UsageError("--reason must say why");
          const letters = await namedLetters(app, group, names);
          await dropLetters({ app, group, letters, operator, isJson: flags.json === true });
        }),
      );
    });
}

/** Throws UsageError. */
function operatorOf(app: App, { by, reason = "" }: Flags) {
  const operator = { actor: by ?? systemUser(), reason };
  const problem = app.deadLetters.operatorProblem(operator);
  if (problem !== null) throw new UsageError(problem);
  return operator;
}
