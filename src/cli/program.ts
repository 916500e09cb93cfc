/**
 * The program: its commands, and the one table from what went wrong to exit codes.
 *
 *   argv ──commander──> command ──> 0 done, 1 failed, 2 wrong usage
 */

import { Command, CommanderError } from "commander";
import { excessAdvice } from "./excess-arguments.ts";
import { note, OutputClosed, print } from "./output.ts";
import { startedAs } from "./started-as.ts";
import { VERSION } from "./version.ts";

const DONE = 0;
const FAILED = 1;
const WRONG_USAGE = 2;

/**
 * Errors whose message is for the user, and which of their codes say that what was typed is wrong.
 * Any other error is a fault of the program: printed with its stack.
 */
const SPOKEN: Readonly<Record<string, "all" | "invalid_*" | "none">> = {
  UsageError: "all",
  AccessError: "invalid_*",
  MoneyError: "all",
  DepositError: "invalid_*",
  OperatorError: "invalid_*",
  RuleError: "invalid_*",
  AdministrationError: "none",
  CommandError: "none",
  ImportError: "none",
  LoadError: "none",
  LogError: "none",
  ServerError: "none",
  StreamError: "none",
};

/** Resolves with the exit code; never rejects. */
export async function runProgram(commands: readonly Command[], argv: string[]): Promise<number> {
  const program = new Command("depositaja")
    .description(
      "Takes wallet deposits, keeps exact balances, and flags a wallet whose deposits exceed " +
        "10,000.00 in any rolling two minutes.",
    )
    .usage("<command> [options]")
    .version(VERSION, "--version", "print the version")
    .helpOption("-h, --help", "how to use it")
    .helpCommand("help [command]", "how to use a command")
    .addHelpText("after", () => `\nExample:\n  ${startedAs()} up`)
    .showHelpAfterError(`${startedAs()} --help lists the commands`);
  for (const command of commands) program.addCommand(command);
  const all = [...commands, ...commands.flatMap((command) => command.commands)];
  for (const command of all) command.helpOption("-h, --help", "how to use it");
  for (const command of [program, ...all]) {
    command.exitOverride().showSuggestionAfterError().configureOutput({
      writeOut: (text) => print(text.trimEnd()),
      writeErr: (text) => note(text.trimEnd()),
      outputError: (text, write) => write(`${text.trimEnd()}${excessAdvice(command, text)}\n`),
    });
  }
  try {
    await program.parseAsync(helpOf(argv, commands), { from: "user" });
    return DONE;
  } catch (error) {
    return report(error as Error);
  }
}

/** `help chek` is `chek`, which is told to be unknown: commander would print the whole help. */
function helpOf(argv: string[], commands: readonly Command[]): string[] {
  const [help, name] = argv;
  if (help !== "help" || name === undefined || name.startsWith("-")) return argv;
  return commands.some((command) => command.name() === name) ? argv : [name];
}

/** Says what went wrong, for the one who can do something about it, and gives the exit code. */
export function report(error: Error): number {
  if (error instanceof OutputClosed) return DONE;
  if (error instanceof CommanderError) return error.exitCode === 0 ? DONE : WRONG_USAGE;
  const usageCodes = SPOKEN[error.name];
  note(usageCodes === undefined ? `error: ${Bun.inspect(error)}` : `error: ${error.message}`);
  const isInvalid = (error as { code?: unknown }).code?.toString().startsWith("invalid_") === true;
  return usageCodes === "all" || (usageCodes === "invalid_*" && isInvalid) ? WRONG_USAGE : FAILED;
}
