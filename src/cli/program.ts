/**
 * The program: its commands, and the one table from what went wrong to exit codes.
 *
 *   argv ──commander──> command ──> 0 done, 1 failed, 2 wrong usage
 */

import { Command, CommanderError } from "commander";
import { note, OutputClosed } from "./output.ts";
import { startedAs } from "./started-as.ts";
import { VERSION } from "./version.ts";

const DONE = 0;
const FAILED = 1;
const WRONG_USAGE = 2;

/** Errors whose message is for the user. Any other is a fault of the program: with its stack. */
const SPOKEN = new Set(["LogError", "StreamError", "CommandError", "DoorError", "ImportError"]);
/** Those that say that what was typed or set is wrong. */
const USAGE = new Set(["UsageError", "MoneyError"]);

/** Resolves with the exit code; never rejects. */
export async function runProgram(commands: readonly Command[], argv: string[]): Promise<number> {
  const program = new Command("depositaja")
    .description(
      "Takes wallet deposits, keeps exact balances, and flags a wallet whose deposits exceed\n" +
        "10,000.00 in any rolling two minutes.",
    )
    .usage("<command> [options]")
    .version(VERSION, "--version", "print the version")
    .helpOption("-h, --help", "how to use it")
    .helpCommand("help [command]", "how to use a command")
    .addHelpText("after", () => `\nExample:\n  ${startedAs()} up`);
  for (const command of commands) {
    program.addCommand(command.helpOption("-h, --help", "how to use it"));
  }
  for (const command of [program, ...commands]) {
    command.exitOverride().showSuggestionAfterError().configureOutput({
      writeErr: (text) => note(text.trimEnd()),
    });
  }
  try {
    await program.parseAsync(argv, { from: "user" });
    return DONE;
  } catch (error) {
    return report(error as Error);
  }
}

/** Says what went wrong, for the one who can do something about it, and gives the exit code. */
export function report(error: Error): number {
  if (error instanceof OutputClosed) return DONE;
  if (error instanceof CommanderError) return error.exitCode === 0 ? DONE : WRONG_USAGE;
  if (USAGE.has(error.name)) {
    note(`error: ${error.message}`);
    return WRONG_USAGE;
  }
  note(SPOKEN.has(error.name) ? `error: ${error.message}` : `error: ${Bun.inspect(error)}`);
  return FAILED;
}
