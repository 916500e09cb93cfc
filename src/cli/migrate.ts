/**
 * `migrate --from DATA --to-brokers ...`: the log moves from its data folder to a cluster.
 *
 *   folder ──sealed, copied──> cluster ──> what to type next
 *      └─────────── `--give-up`: in use again, unless all is there
 */

import { resolve } from "node:path";
import type { MigrationResult } from "../administration/migration.ts";
import { newCommand, runWith } from "./command.ts";
import { tellOfAction } from "./operator-log.ts";
import { note, print, printJson } from "./output.ts";
import { quote, startedAs } from "./started-as.ts";
import { CommandError, UsageError } from "./usage-error.ts";

const OPTIONS = {
  name: "migrate",
  description: "Move the log from a data folder to a Kafka cluster.",
  settings: ["logLevel"],
  examples: [
    "migrate --from ./depositaja-data --to-brokers kafka1:9092,kafka2:9092",
    "migrate --from ./depositaja-data --to-brokers kafka:9092 --prefix live- --json",
    "migrate --from ./depositaja-data --give-up",
  ],
  remarks:
    "Stop what runs on the folder first; the target must be empty. The folder is sealed before\n" +
    "anything is copied: from then on it takes nothing. Each deposit keeps its position, its id\n" +
    "and its answer; operators' records come along, and what processors have made is made again\n" +
    "by `process` on the cluster. If it is interrupted, run it again: it goes on where it\n" +
    "ended. Until all is there, --give-up takes the folder back into use.",
  hidesBrokers: true,
} as const;

/** Between two words on how far it is. */
const TELL_EVERY_MS = 5_000;

interface Flags {
  readonly from: string;
  readonly toBrokers?: string;
  readonly brokers?: string;
  readonly giveUp?: true;
  readonly json?: true;
}

export function migrateCommand() {
  return newCommand(OPTIONS)
    .requiredOption("--from <folder>", "the data folder")
    .option("--to-brokers <list>", "host:port,... of the cluster")
    .option("--give-up", "take the folder into use again; only while the move is not done")
    .option("--json", "print JSON")
    .action((flags: Flags) => {
      if (flags.giveUp) return runWith(OPTIONS, flags, () => giveUp(flags));
      const brokers = brokersOf(flags);
      const known = { ...flags, ...(brokers === undefined ? {} : { brokers }) };
      return runWith(OPTIONS, known, async ({ settings: { kafka }, stopping }) => {
        if (kafka === null) {
          throw new UsageError("name the brokers of the cluster to move to with --to-brokers");
        }
        const folder = resolve(flags.from);
        const { migrate } = await import("../administration/migration.ts");
        const progress = new ProgressNotes();
        const result = await migrate({
          folder,
          kafka,
          signal: stopping,
          nowMs: Date.now,
          onProgress: (each) => progress.tell(each),
        }).catch((error: unknown) => {
          throw isNotThere(error) ? noData(folder, error) : error;
        });
        const { movedTo: cluster, wasDone } = result;
        if (!wasDone) tellOfAction("moved {folder} to {cluster}", { folder, cluster });
        if (flags.json) return printJson(resultJson(folder, result));
        print(resultLines({ folder, result, kafka }).join("\n"));
      });
    });
}

async function giveUp({ from, toBrokers, json }: Flags): Promise<void> {
  if (toBrokers !== undefined) {
    throw new UsageError("--give-up is about the folder alone: leave --to-brokers out");
  }
  const folder = resolve(from);
  const { giveUpMove } = await import("../administration/migration-give-up.ts");
  const { movedTo, leftTopics } = await giveUpMove({ folder, nowMs: Date.now }).catch((error) => {
    throw isNotThere(error) ? noData(folder, error) : error;
  });
  if (movedTo !== null) {
    tellOfAction("gave up the move of {folder} to {cluster}", { folder, cluster: movedTo });
  }
  if (json) return printJson({ from: folder, given_up: movedTo, left_topics: leftTopics });
  if (movedTo === null) return print(`${folder} is not being moved: nothing was to be given up`);
  const lines = [
    `the move to ${movedTo} is given up: ${folder} takes deposits again`,
    "",
    "what was copied stays there, and nothing starts on it. The same `migrate` goes on with it;",
    "for anything else, delete these topics first, those that are there:",
    ...leftTopics.map((name) => `  ${name}`),
  ];
  print(lines.join("\n"));
}

function resultJson(folder: string, { movedTo, deposits, wasDone }: MigrationResult): object {
  return { from: folder, moved_to: movedTo, deposits: Number(deposits), was_done: wasDone };
}

function resultLines(options: {
  readonly folder: string;
  readonly result: MigrationResult;
  readonly kafka: { readonly brokers: readonly string[]; readonly prefix: string };
}): string[] {
  const { folder, result, kafka } = options;
  const { movedTo, deposits, wasDone } = result;
  const count = `${deposits.toLocaleString("en")} deposit${deposits === 1n ? "" : "s"}`;
  const before = wasDone ? " before: nothing was left to do" : "";
  const named = kafka.prefix === "" ? "" : ` --prefix ${quote(kafka.prefix)}`;
  const cluster = `--brokers ${kafka.brokers.join(",")}${named}`;
  return [
    `${count} moved to ${movedTo}${before}`,
    `${folder} is sealed: it takes nothing any more`,
    "",
    "next, wherever it is to run:",
    `  ${startedAs()} process --all ${cluster}`,
    `  ${startedAs()} serve ${cluster}`,
  ];
}

/** Throws UsageError. */
function brokersOf({ toBrokers, brokers }: Flags): string | undefined {
  if (toBrokers === undefined || brokers === undefined) return toBrokers ?? brokers;
  if (toBrokers === brokers) return brokers;
  throw new UsageError("--to-brokers and --brokers name two clusters: leave --brokers out");
}

function isNotThere(error: unknown): boolean {
  return (error as { readonly code?: unknown }).code === "not_found";
}

function noData(folder: string, cause: unknown): CommandError {
  const message = `there is no data in ${folder}: name its folder with --from`;
  return new CommandError(message, { cause });
}

/** One line now and then, for copies that take longer. */
class ProgressNotes {
  private lastMs: number | null = null;

  tell({ done, total }: { readonly done: bigint; readonly total: bigint }): void {
    const nowMs = performance.now();
    this.lastMs ??= nowMs;
    if (nowMs - this.lastMs < TELL_EVERY_MS) return;
    this.lastMs = nowMs;
    note(`copied ${done.toLocaleString("en")} of ${total.toLocaleString("en")} records`);
  }
}
