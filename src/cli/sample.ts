/**
 * `sample`: a realistic history of deposits to try it all with, and which wallets it must flag.
 *
 *   seed ──> CSV for `import` to stdout        the rule, recomputed ──> answers to a file
 */

import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import type { Answer } from "../proof/sample/answers.ts";
import { MAX_WALLETS, type SamplePlan } from "../proof/sample/sample-plan.ts";
import { answerJson } from "./answer-json.ts";
import { newPlainCommand } from "./command.ts";
import { note, print } from "./output.ts";
import { CommandError, UsageError } from "./usage-error.ts";
import { wholeNumber } from "./whole-number.ts";

/** Some 60 GB of text. */
const MAX_DEPOSITS = 1_000_000_000;
const MAX_SEED = 4_294_967_295;

const OPTIONS = {
  name: "sample",
  description: "Print a realistic history of deposits as CSV, for import.",
  examples: [
    "sample > deposits.csv",
    "sample --deposits 5000 --wallets 500 --answers answers.ndjson > deposits.csv",
  ],
  remarks:
    "Four weeks of a few busy and many quiet wallets, by day and by night: bursts, amounts\n" +
    "just under the limit, deposits at the same time, rows that come hours late or twice. The\n" +
    "same seed gives the same file. Amounts have two decimals, as a new log has. The answers\n" +
    "have one JSON object for each wallet that must be flagged, like `flags <wallet> --json`\n" +
    "but for what depends on the log. They hold for a file that is imported as it is, into a\n" +
    "log of its own.",
} as const;

interface Flags {
  readonly deposits: string;
  readonly wallets: string;
  readonly seed: string;
  readonly answers?: string;
}

export function sampleCommand() {
  return newPlainCommand(OPTIONS)
    .option("--deposits <count>", "rows of the file, repeats included", "1000000")
    .option("--wallets <count>", "how many wallets", "100000")
    .option("--seed <number>", "another one gives another history", "1")
    .option("--answers <file>", "write to this file which wallets must be flagged, and when")
    .action(async (flags: Flags) => {
      const plan = planOf(flags);
      const answers = flags.answers === undefined ? null : openAnswers(flags.answers);
      try {
        const { sampleText } = await import("../proof/sample/sample-file.ts");
        for (const text of sampleText(plan)) print(text.slice(0, -1));
        if (answers === null) return;
        const { answersTo } = await import("../proof/sample/answers.ts");
        const count = answers.write(answersTo(plan));
        note(`${count} wallet${count === 1 ? "" : "s"} must be flagged: ${flags.answers}`);
      } catch (error) {
        answers?.remove(); // of a file that was not printed to its end
        throw error;
      } finally {
        answers?.close();
      }
    });
}

/** Throws UsageError. */
function planOf({ deposits, wallets, seed }: Flags): SamplePlan {
  return {
    deposits: wholeNumber("--deposits", deposits, 1, MAX_DEPOSITS),
    wallets: wholeNumber("--wallets", wallets, 1, MAX_WALLETS),
    seed: wholeNumber("--seed", seed, 0, MAX_SEED),
  };
}

interface AnswerFile {
  /** How many there were. */
  write(answers: Iterable<Answer>): number;
  remove(): void;
  close(): void;
}

/** Before the first row is printed, so that nobody waits for nothing. Throws CommandError. */
function openAnswers(path: string): AnswerFile {
  if (path === "") throw new UsageError('--answers is "": it must be the path of a file');
  const file = attempt(path, () => openSync(path, "w"));
  return {
    write: (answers) => {
      let count = 0;
      for (const answer of answers) {
        count += 1;
        attempt(path, () => writeAll(file, `${JSON.stringify(answerJson(answer))}\n`));
      }
      return count;
    },
    remove: () => rmSync(path, { force: true }),
    close: () => closeSync(file),
  };
}

function writeAll(file: number, text: string): void {
  const bytes = Buffer.from(text, "utf8");
  for (let from = 0; from < bytes.length; ) from += writeSync(file, bytes, from);
}

function attempt<T>(path: string, write: () => T): T {
  try {
    return write();
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    const reason = code === "ENOENT" ? "its folder is not there" : message;
    throw new CommandError(`the answers cannot be written to ${path}: ${reason}`, { cause: error });
  }
}
