/**
 * `import <file|->`: history from a file, counted when the command ends.
 *
 *   file or pipe ──> app.importDeposits ──settled──> how many were new, repeats and conflicts
 */

import { accessSync, constants, statSync } from "node:fs";
import { resolve } from "node:path";
import type { App } from "../app.ts";
import { formatDecimal } from "../money.ts";
import { CREATION_SETTINGS, newCommand, runWith } from "./command.ts";
import {
  type DataSettings,
  describeData,
  openUnlessStopped,
  refuseUnusable,
  stoppedLine,
  withStandIn,
} from "./data.ts";
import { newImportBar } from "./import-bar.ts";
import { print, printJson } from "./output.ts";
import { CommandError, UsageError } from "./usage-error.ts";

type Request = Parameters<App["importDeposits"]>[0];
type Result = Awaited<ReturnType<App["importDeposits"]>>;
type Progress = Parameters<Request["onProgress"]>[0];
type Conflict = Parameters<Request["onConflict"]>[0];
type FileRequest = Omit<Request, "settle" | "onConflict">;

/** As many as one JSON value may hold; it says how many more there are. */
const MAX_JSON_CONFLICTS = 1_000;

const OPTIONS = {
  name: "import",
  description: "Import a history of deposits from a file, or from a pipe as -.",
  settings: CREATION_SETTINGS,
  examples: ["import history.csv", "zcat history.ndjson.gz | depositaja import -"],
  remarks:
    "The file is NDJSON or CSV with a header, plain or gzip: a deposit a line, in any order,\n" +
    "with wallet_id, amount, accepted_at (RFC 3339 or Unix milliseconds) and optionally id.\n" +
    "Every line is checked before the first is imported. Importing a file again changes nothing.",
} as const;

interface Flags {
  readonly skipBad?: string;
  readonly json?: true;
}

export function importCommand() {
  return newCommand(OPTIONS)
    .argument("<file>", "the file; - for a pipe")
    .option("--skip-bad <file>", "write bad lines to this file and import the others")
    .option("--json", "print JSON")
    .action((path: string, flags: Flags) =>
      runWith(OPTIONS, flags, async ({ settings, stopping }) => {
        if (flags.skipBad === "") {
          throw new UsageError('--skip-bad is "": it must be the path of a file');
        }
        const unusable = path === "-" ? null : fileProblem(path);
        if (unusable !== null) {
          throw new CommandError(`${resolve(path)} ${unusable}: name a file, or - for a pipe`);
        }
        const bar = newImportBar();
        const request = {
          path,
          pipe: standardInput(),
          skipBad: flags.skipBad ?? null,
          signal: stopping,
          onProgress: (progress: Progress) => bar.show(progress),
          onBadLine: (line: number, problem: string) => bar.note(`line ${line}: ${problem}`),
        };
        const checked = await checkBeforeLog(request, settings).finally(() => bar.clear());
        const { decimals } = checked?.rules ?? settings;
        const at = { ...settings, decimals };
        const app = await openUnlessStopped(at, { create: true }, stopping);
        if (app === null) throw new CommandError(stoppedLine(settings));
        try {
          if (app.log.wasCreated) bar.note(`data: ${describeData(app, settings)}`);
          await importInto(app, { request: { ...request, checked }, flags, bar });
        } finally {
          await app.close();
        }
      }),
    );
}

/** Asked before a folder is made for the data. Null when it can be read, or seems so. */
function fileProblem(path: string): string | null {
  try {
    if (statSync(path).isDirectory()) return "is a folder";
    accessSync(path, constants.R_OK);
    return null;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return code === "ENOENT" ? "is not there" : `cannot be read (${message})`;
  }
}

/** Bad lines make no data folder. Null where there is a log, whose decimals count, or a cluster. */
async function checkBeforeLog(
  request: FileRequest,
  { data, kafka, decimals }: DataSettings,
): Promise<NonNullable<Request["checked"]> | null> {
  if (kafka !== null) return null;
  refuseUnusable(data);
  const { checkFirstImport } = await import("../administration/first-import.ts");
  return checkFirstImport(request, { folder: data, decimals: decimals ?? null, nowMs: Date.now });
}

async function importInto(
  app: App,
  run: { request: FileRequest; flags: Flags; bar: ReturnType<typeof newImportBar> },
): Promise<void> {
  const { request, flags, bar } = run;
  const { path, signal: stopping } = request;
  const name = path === "-" ? "the pipe" : path;
  const conflicting: Record<string, string>[] = [];
  let listed = 0;
  const onConflict = (conflict: Conflict) => {
    const fields = conflictFields(conflict, app.decimals);
    if (flags.json !== true) {
      bar.clear();
      print(conflictLine(fields));
    } else if (listed < MAX_JSON_CONFLICTS) conflicting.push(fields);
    else return;
    listed += 1;
  };
  try {
    const result = await withStandIn(app, stopping, ({ settle }) =>
      app.importDeposits({
        ...request,
        settle: async (positions) => {
          bar.clear();
          await settle(positions, `what ${name} held`);
        },
        onConflict,
      }),
    );
    bar.clear();
    const unlisted = result.conflicts - listed;
    if (flags.json === true) {
      const conflicts = { conflicting, unlisted_conflicts: unlisted };
      printJson({ file: path, ...jsonOf(result), ...conflicts });
    } else print(summary(name, result, flags.skipBad));
    const faults = [
      ...(result.conflicts > 0 ? [conflictsMessage(result, unlisted)] : []),
      ...(result.leftOutRows > 0 ? [leftOutMessage(result)] : []),
    ];
    if (faults.length > 0) throw new CommandError(faults.join("\n"));
  } finally {
    bar.clear();
  }
}

async function* standardInput(): AsyncGenerator<Uint8Array> {
  yield* Bun.stdin.stream();
}

function summary(name: string, result: Result, skipBad: string | undefined): string {
  const { rows, repeats, conflicts, skippedLines, doneBeforeAtMs } = result;
  const aside =
    skippedLines === 0 ? "" : `; ${counted(skippedLines, "bad line")} written to ${skipBad}`;
  if (doneBeforeAtMs !== null) {
    const time = new Date(doneBeforeAtMs).toISOString();
    return `${name}: ${counted(rows, "row")}, imported before (${time}): nothing changed${aside}`;
  }
  return (
    `${name}: ${counted(rows, "row")} imported: ${result.new.toLocaleString("en")} new, ` +
    `${counted(repeats, "repeat")}, ${counted(conflicts, "conflict")}${aside}`
  );
}

function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

function jsonOf(result: Result): Record<string, unknown> {
  const { doneBeforeAtMs } = result;
  return {
    sha256: result.sha256,
    rows: result.rows,
    new: result.new,
    repeats: result.repeats,
    conflicts: result.conflicts,
    skipped_lines: result.skippedLines,
    left_out_rows: result.leftOutRows,
    imported_before_at: doneBeforeAtMs === null ? null : new Date(doneBeforeAtMs).toISOString(),
  };
}

function conflictFields(conflict: Conflict, decimals: number): Record<string, string> {
  const { walletId, id, position, countedPosition } = conflict;
  return {
    wallet_id: walletId,
    id,
    position: `${position.partition}-${position.offset}`,
    amount: formatDecimal(conflict.amountMinor, decimals),
    counted_position: `${countedPosition.partition}-${countedPosition.offset}`,
    counted_amount: formatDecimal(conflict.countedAmountMinor, decimals),
  };
}

function conflictLine(fields: Record<string, string>): string {
  return (
    `conflict: ${fields["position"]} id "${fields["id"]}" of ${fields["wallet_id"]} has ` +
    `${fields["amount"]}, was counted at ${fields["counted_position"]} with ` +
    `${fields["counted_amount"]}`
  );
}

function conflictsMessage({ conflicts }: Result, unlisted: number): string {
  const rows = `${counted(conflicts, "row")} ${conflicts === 1 ? "has" : "have"}`;
  const where = unlisted === 0 ? "listed above" : `the first ${conflicts - unlisted} listed above`;
  return (
    `${rows} an id that was counted with another amount: not counted, ${where}, kept among the ` +
    "collector's dead letters"
  );
}

function leftOutMessage({ leftOutRows }: Result): string {
  const [rows, were] = [counted(leftOutRows, "row"), leftOutRows === 1 ? "was" : "were"];
  return (
    `${rows} ${were} ahead in time when this file was imported, and written aside then: not ` +
    "imported now, for importing a file again changes nothing; import the file that they were " +
    "written to"
  );
}
