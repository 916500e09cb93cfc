/**
 * `status [--watch]`: who runs what, and what is left to do.
 *
 *   owners, progress, ends, dead letters ──look──> a line for each partition ──--watch──> again
 */

import type { App } from "../app.ts";
import { DATA_SETTINGS, newCommand, runWith } from "./command.ts";
import { withData } from "./data.ts";
import { type NamedGroup, namedGroups } from "./dead-letter-names.ts";
import { print, printJson } from "./output.ts";
import { delay } from "./stopping.ts";
import { table } from "./table.ts";
import { utcText } from "./time-text.ts";

type Status = Awaited<ReturnType<App["statuses"]["look"]>>[number];

/** Owners that hang are told from living ones by who asks regularly, too. */
const WATCH_EVERY_MS = 1_000;
/** How fast a table is built shows between two looks; 16 in turn take some seconds to move. */
const MORE_LOOKS = 4;

const OPTIONS = {
  name: "status",
  description: "Show who runs each partition of each group, and what is left to do.",
  settings: DATA_SETTINGS,
  examples: ["status", "status --watch", "status --json"],
  remarks:
    "It asks the log, not a server. lag counts records between what is done and the end; behind\n" +
    "is how long the oldest of them has waited. rows are counted where the tables lie in the\n" +
    "data folder, and recovery is what a table there lacks while it is built, and how long that\n" +
    "takes. late counts deposits that came after a newer one of their wallet, ever. dead counts\n" +
    "dead letters that nobody has dealt with, and behind the slash those that somebody has. A\n" +
    "hung owner is told from a living one by --watch, within 5 s. --json prints one object a\n" +
    "partition; with --watch all of them again each second.",
} as const;

interface Flags {
  readonly watch?: true;
  readonly json?: true;
}

export function statusCommand() {
  return newCommand(OPTIONS)
    .option("--watch", "look again each second, until Ctrl-C")
    .option("--json", "print JSON")
    .action((flags: Flags) =>
      runWith(OPTIONS, flags, ({ settings, stopping }) =>
        withData(settings, async (app) => {
          const groups = await namedGroups([]);
          for (let isFirst = true; !stopping.aborted; isFirst = false) {
            const statuses = isFirst ? await firstLook(app, stopping) : await app.statuses.look();
            if (flags.json) statuses.forEach((status) => printJson(statusJson(app, status)));
            else show(app, { groups, statuses, isFirst, isWatching: flags.watch === true });
            if (flags.watch !== true) return;
            await delay(WATCH_EVERY_MS, stopping);
          }
        }),
      ),
    );
}

/** A table that is built is looked at until it is known how fast, within reason. */
async function firstLook(app: App, stopping: AbortSignal): Promise<readonly Status[]> {
  let statuses = await app.statuses.look();
  for (let look = 0; look < MORE_LOOKS && isBuilt(statuses); look += 1) {
    await delay(WATCH_EVERY_MS, stopping);
    statuses = await app.statuses.look();
  }
  return statuses;
}

const HEAD = [
  ...["group", "partition", "owner", "done", "end", "lag", "behind", "rows", "recovery"],
  ...["late", "dead"],
];

interface Shown {
  readonly groups: readonly NamedGroup[];
  readonly statuses: readonly Status[];
  readonly isFirst: boolean;
  readonly isWatching: boolean;
}

function show(app: App, { groups, statuses, isFirst, isWatching }: Shown): void {
  const titles = new Map(groups.map(({ name, title }) => [name, title]));
  const rows = statuses.map((status) => [
    titles.get(status.group) ?? status.group,
    String(status.partition),
    status.owner ?? "nobody",
    status.inputs.map(({ nextOffset }) => nextOffset ?? "-").join(" "),
    status.inputs.map(({ end }) => end).join(" "),
    String(status.lagRecords),
    status.lagMs === null ? "-" : durationText(status.lagMs),
    status.rows === null ? "-" : String(status.rows),
    recoveryText(status),
    String(status.counts?.["late"] ?? "-"),
    `${status.dead.open}/${status.dead.handled}`,
  ]);
  const clear = isWatching && process.stdout.isTTY ? "\x1b[H\x1b[2J" : "";
  const gap = isFirst || clear !== "" ? [] : [""];
  const time = isWatching ? [utcText(app.nowMs())] : [];
  const lines = [...gap, ...time, ...table(HEAD, rows), "", ...sums(groups, statuses)];
  print(`${clear}${lines.join("\n")}`);
}

/** One line a group. */
function sums(groups: readonly NamedGroup[], statuses: readonly Status[]): string[] {
  return groups.map(({ name, title }) => {
    const own = statuses.filter(({ group }) => group === name);
    const lag = own.reduce((sum, { lagRecords }) => sum + lagRecords, 0n);
    const behindMs = Math.max(...own.map(({ lagMs }) => lagMs ?? 0));
    const dead = own.reduce((sum, status) => sum + status.dead.open, 0);
    const late = own.reduce((sum, { counts }) => sum + (counts?.["late"] ?? 0), 0);
    const left = own.reduce((sum, { recovery }) => sum + (recovery?.left ?? 0), 0);
    const unowned = own.filter(({ owner }) => owner === null).length;
    return [
      `${title}: ${lag === 0n ? "all is done" : `${lag} to do`}`,
      ...(behindMs === 0 ? [] : [`${durationText(behindMs)} behind`]),
      ...(left === 0 ? [] : [`tables lack ${left} records`]),
      ...(late === 0 ? [] : [`${late} came late`]),
      ...(unowned === 0 ? [] : [`nobody runs ${unowned} of ${own.length} partitions`]),
      ...(dead === 0 ? [] : [`${dead} dead letter${dead === 1 ? "" : "s"} open`]),
    ].join(", ");
  });
}

/** Whether somebody builds a table, and it is not known yet how fast. */
function isBuilt(statuses: readonly Status[]): boolean {
  const built = statuses.filter(({ owner, recovery }) => owner !== null && recovery !== null);
  return built.length > 0 && built.every(({ recovery }) => recovery?.etaMs === null);
}

function recoveryText({ recovery }: Status): string {
  if (recovery === null) return "-";
  const { left, etaMs } = recovery;
  return etaMs === null ? `${left} left` : `${left} left, ${durationText(Math.ceil(etaMs))}`;
}

/** "250 ms", "12 s", "3 min 5 s", "4 h 10 min", "2 d 3 h". */
function durationText(ms: number): string {
  if (ms < 1_000) return `${ms} ms`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function statusJson({ nowMs }: App, status: Status): object {
  return {
    group: status.group,
    partition: status.partition,
    owner: status.owner,
    inputs: status.inputs.map(({ topic, nextOffset, end }) => ({
      topic,
      next_offset: nextOffset === null ? null : Number(nextOffset),
      end: Number(end),
    })),
    lag_records: Number(status.lagRecords),
    lag_ms: status.lagMs,
    rows: status.rows,
    recovery:
      status.recovery === null
        ? null
        : { left: status.recovery.left, eta_ms: roundedUp(status.recovery.etaMs) },
    late: status.counts?.["late"] ?? null,
    counts: status.counts,
    dead_letters: status.dead,
    at_ms: nowMs(),
  };
}

function roundedUp(ms: number | null): number | null {
  return ms === null ? null : Math.ceil(ms);
}
