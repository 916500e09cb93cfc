/**
 * `verify`: recomputes everything from the streams and compares it with what the processors made.
 *
 *   app.verify ──> a summary and 0, or the first differences and 1
 */

import type { App } from "../app.ts";
import { DATA_SETTINGS, newCommand, runWith } from "./command.ts";
import { withData, withStandIn } from "./data.ts";
import { note, print, printJson } from "./output.ts";
import { CommandError, UsageError } from "./usage-error.ts";

const OPTIONS = {
  name: "verify",
  description: "Recompute everything from the log's streams, and compare every row with it.",
  settings: DATA_SETTINGS,
  examples: ["verify", "verify --json", "verify --differences 1000"],
  remarks:
    "Reads every record with its checksum, and compares every row of every table, every flag\n" +
    "event and every dead letter with what deposits and operators' actions alone give. It takes\n" +
    "part in nothing and changes nothing, so that it may run while everything else does: each\n" +
    "table is compared as of what its processor had done. Exit code 1 where anything differs.\n" +
    "A large log needs room in SQLITE_TMPDIR or /var/tmp, as much as its largest partition has.",
} as const;

const DEFAULT_DIFFERENCES = 20;
/** Between two words on how far it is. */
const TELL_EVERY_MS = 5_000;

type Result = Awaited<ReturnType<App["verify"]>>;
type Difference = Result["differences"][number];

interface Flags {
  readonly differences?: string;
  readonly json?: true;
}

export function verifyCommand() {
  return newCommand(OPTIONS)
    .option("--differences <count>", `show so many differences (default: ${DEFAULT_DIFFERENCES})`)
    .option("--json", "print JSON")
    .action((flags: Flags) =>
      runWith(OPTIONS, flags, ({ settings, stopping: signal }) => {
        const limit = limitOf(flags);
        return withData(settings, async (app) => {
          await buildMissing(app, signal);
          const onProgress = progressNotes(app.partitions);
          const result = await app.verify({ limit, signal, onProgress });
          if (flags.json) printJson(resultJson(result));
          else print(resultLines(result).join("\n"));
          if (result.wasStopped) throw new CommandError("stopped: the rest was not looked at");
          if (result.differenceCount === 0) return;
          throw new CommandError(`${countOf(result.differenceCount, "difference")} found`);
        });
      }),
    );
}

/** A restored folder has no tables yet: there would be nothing to compare. */
async function buildMissing(app: App, signal: AbortSignal): Promise<void> {
  const partitions = await app.partitionsWithoutTable();
  if (partitions.length === 0) return;
  note("there are no tables yet for all that was done: building them first");
  const ends = (await app.ends()).filter(({ partition }) => partitions.includes(partition));
  try {
    await withStandIn(app, signal, ({ settle }) => settle(ends, null));
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    note(`they could not be built: ${error.message}`); // the comparison says which, and why
  }
}

/** Throws UsageError. */
function limitOf({ differences }: Flags): number {
  if (differences === undefined) return DEFAULT_DIFFERENCES;
  if (/^\d{1,7}$/.test(differences)) return Number(differences);
  throw new UsageError(`--differences is "${differences}": it must be a number from 0 to 9999999`);
}

function resultLines(result: Result): string[] {
  const { compared, flaggedWallets, differences, differenceCount, seconds } = result;
  const lines = differences.flatMap(differenceLines);
  const unshown = differenceCount - differences.length;
  if (unshown > 0) lines.push(`... and ${countOf(unshown, "more difference")}`, "");
  return [
    ...lines,
    ...[
      ["records", `${numberText(compared.records)}, each with its checksum`],
      ["deposits", `${numberText(compared.deposits)}${leftText(result)}`],
      ["wallets", `${numberText(compared.wallets)}, ${numberText(flaggedWallets)} flagged`],
      ["rows", numberText(compared.rows)],
      ["flag events", numberText(compared.flagEvents)],
      ["dead letters", numberText(compared.deadLetters)],
      ["differences", numberText(differenceCount)],
      ["seconds", seconds.toFixed(1)],
    ].map(([name = "", value = ""]) => `${name.padEnd(14)}${value}`),
  ];
}

function differenceLines({ kind, where, partition, wallet, position, ...two }: Difference) {
  const place = partition === null ? where : `${where} partition ${partition}`;
  const named = [
    `${kind.replace("_", " ")} in ${place}`,
    ...(wallet === null ? [] : [`wallet ${wallet}`]),
    ...(position === null ? [] : [position]),
  ];
  return [named.join(", "), `  expected  ${two.expected}`, `  found     ${two.found}`, ""];
}

/** What is not counted yet is no difference, and is said. */
function leftText({ left }: Result): string {
  const behind = Object.entries(left).filter(([, count]) => count > 0);
  if (behind.length === 0) return "";
  const texts = behind.map(([group, count]) => `${group} has ${numberText(count)} to do`);
  return ` (${texts.join(", ")})`;
}

function resultJson(result: Result): object {
  const { compared, left, differences } = result;
  return {
    ok: result.differenceCount === 0 && !result.wasStopped,
    records: compared.records,
    deposits: compared.deposits,
    wallets: compared.wallets,
    flagged_wallets: result.flaggedWallets,
    rows: compared.rows,
    flag_events: compared.flagEvents,
    dead_letters: compared.deadLetters,
    records_to_do: left,
    difference_count: result.differenceCount,
    differences,
    seconds: Number(result.seconds.toFixed(3)),
  };
}

function progressNotes(partitions: number) {
  let lastMs = performance.now();
  return (done: { readonly partitions: number }) => {
    const nowMs = performance.now();
    if (nowMs - lastMs < TELL_EVERY_MS) return;
    lastMs = nowMs;
    note(`${done.partitions} of ${partitions} partitions compared`);
  };
}

function countOf(count: number, what: string): string {
  return `${numberText(count)} ${what}${count === 1 ? "" : "s"}`;
}

function numberText(count: number): string {
  return count.toLocaleString("en");
}
