/**
 * `rules` and `rules set`: the versions of the detector's rule, and a new one.
 *
 *   settled up to now ──> versions             set ──> control records ──settled──> in force
 */

import type { Command } from "commander";
import type { App } from "../app.ts";
import { formatDecimal } from "../money.ts";
import { DATA_SETTINGS, newCommand, runWith } from "./command.ts";
import { settleBefore, type Settler, withData, withStandIn } from "./data.ts";
import { durationText } from "./duration.ts";
import { tellOfAction } from "./operator-log.ts";
import { note, print, printJson } from "./output.ts";
import { type RuleFlags, ruleText, typedRule } from "./rule-options.ts";
import { startedAs } from "./started-as.ts";
import { systemUser } from "./system-user.ts";
import { table } from "./table.ts";
import { utcText } from "./time-text.ts";
import { UsageError } from "./usage-error.ts";

const LIST = {
  name: "rules",
  description: "List the versions of the rule by which wallets are flagged, or set a new one.",
  settings: DATA_SETTINGS,
  examples: ["rules", "rules --json", 'rules set --window 5m --limit 8000 --reason "case 17"'],
  remarks:
    "The last version is in force. Each holds for the deposits behind its record in the log, of\n" +
    "which every partition has one: the position is that in partition 0.",
} as const;

const SET = {
  name: "set",
  description: "Set window and limit from here on: a new version of the rule.",
  settings: DATA_SETTINGS,
  examples: [
    'rules set --window 5m --limit 8000 --reason "asked for by compliance"',
    'rules set --limit 5000 --reason "holidays" --by ann',
    "rules set --complete",
  ],
  remarks:
    "What is left out stays as it is. A wallet is flagged when a deposit comes in that lies in\n" +
    "a window over the limit: nothing that was counted before is judged again (`backtest` tells\n" +
    "whom that leaves out). A window is from 1s to 24h. If it is interrupted, the next `rules\n" +
    "set` or `rules set --complete` writes the version into the partitions that lack it.",
} as const;

interface Flags extends RuleFlags {
  readonly reason?: string;
  readonly by?: string;
  readonly complete?: true;
  readonly json?: true;
}

type Versions = ReturnType<App["rules"]["standing"]>;
type Version = Versions[number];

export function rulesCommand(): Command {
  return newCommand(LIST)
    .option("--json", "print JSON")
    .action(list)
    .addCommand(listCommand())
    .addCommand(setCommand());
}

/** What `rules` alone does, for whoever writes it as `keys list` is written. */
function listCommand(): Command {
  return newCommand({ ...LIST, name: "list", description: "The same as `rules` alone." })
    .option("--json", "print JSON")
    .action((_own: Flags, command: Command) => list(command.optsWithGlobals<Flags>()));
}

function list(flags: Flags): Promise<void> {
  return runWith(LIST, flags, ({ settings, stopping }) =>
    withData(settings, async (app) => {
      const ends = await app.ends();
      await withStandIn(app, stopping, ({ settle }) => settle(ends, null));
      const versions = app.rules.standing();
      if (flags.json) return printJson(rulesJson(versions, app.decimals));
      print(ruleLines(versions, app.decimals).join("\n"));
      tellOfIncomplete(versions);
    }),
  );
}

function setCommand(): Command {
  return newCommand(SET)
    .option("--window <time>", "length of the rolling window, such as 90s, 5m or 1h")
    .option("--limit <amount>", "a window with more than this is over the limit")
    .option("--reason <text>", "why")
    .option("--by <name>", "who does it (default: the system's user)")
    .option("--complete", "only complete a version whose setting was interrupted")
    .option("--json", "print JSON")
    .action((own: Flags, command: Command) => {
      const flags: Flags = { ...own, ...command.optsWithGlobals<Flags>() };
      checkFlags(flags);
      return runWith(SET, flags, ({ settings, stopping }) =>
        withData(settings, (app) =>
          withStandIn(app, stopping, async ({ settle }) => {
            if (flags.complete) await complete(app, settle, flags);
            else await set(app, settle, flags);
          }),
        ),
      );
    });
}

/** Throws UsageError. */
function checkFlags({ window, limit, reason, by, complete: isCompleting }: Flags): void {
  const given = [window, limit, reason, by].some((each) => each !== undefined);
  if (isCompleting && given) throw new UsageError("--complete sets nothing new: give it alone");
  if (isCompleting) return;
  if (window === undefined && limit === undefined) {
    throw new UsageError("say what the rule is to be: --window, --limit or both");
  }
  if (reason === undefined) throw new UsageError("say why with --reason: it stands in the log");
}

async function set(app: App, settle: Settler["settle"], flags: Flags): Promise<void> {
  const { reason = "", by: actor = systemUser() } = flags;
  const rule = typedRule(flags, app);
  app.rules.check({ actor, reason });
  await settleBefore(settle, await app.ends(), "set the rule again");
  const request = {
    ...{ ...rule, actor, reason, atMs: app.nowMs() },
    onCompleted: (version: number) => tellOfCompleted(version, actor),
    onDecided: (decided: Version) => {
      const values = { version: decided.version, rule: ruleText(decided, app.decimals), reason };
      tellOfAction("set version {version} of the rule: {rule} (reason: {reason})", values, actor);
    },
  };
  const telling = tellingOfUnsettled(settle, actor);
  const { standing, outcome, completed } = await app.rules.set(request, telling);
  const { version } = standing;
  const text = ruleText(standing, app.decimals);
  if (flags.json) return printJson({ outcome, completed, ...versionJson(standing, app.decimals) });
  if (outcome === "set") print(`version ${version} is in force: ${text}`);
  else print(`version ${version} is so already: ${text}`);
}

async function complete(app: App, settle: Settler["settle"], flags: Flags): Promise<void> {
  await settleBefore(settle, await app.ends(), "complete it again");
  const completed = await app.rules.complete(tellingOfUnsettled(settle, systemUser()));
  if (completed !== null) tellOfCompleted(completed, systemUser());
  if (flags.json) return printJson({ completed });
  print(completed === null ? "every version is complete" : `version ${completed} is complete`);
}

/** What is written stands: it may come into force when nobody waits for it any more. */
function tellingOfUnsettled(settle: Settler["settle"], actor: string) {
  return async (positions: Parameters<typeof settle>[0], written: string) => {
    try {
      await settle(positions, written);
    } catch (error) {
      tellOfAction("wrote {written}: it has not settled", { written }, actor);
      throw error;
    }
  };
}

function tellOfCompleted(completed: number, actor: string): void {
  tellOfAction("completed version {completed} of the rule", { completed }, actor);
  note(`version ${completed} had been interrupted: it is in every partition now`);
}

function tellOfIncomplete(versions: Versions): void {
  const newest = versions.at(-1);
  for (const partition of newest?.differsIn ?? []) {
    note(
      `partition ${partition} holds another version ${newest?.version}, which this program never ` +
        `writes: \`${startedAs()} rules set\` makes a new one, the same for all`,
    );
  }
  const incomplete = versions.find(({ offsets }) => offsets.includes(null));
  if (incomplete === undefined) return;
  const { version, offsets } = incomplete;
  const done = offsets.filter((offset) => offset !== null).length;
  note(
    `version ${version} is in force in ${done} of ${offsets.length} partitions alone: its ` +
      `setting was interrupted, or goes on; \`${startedAs()} rules set --complete\` completes it`,
  );
}

const HEAD = ["version", "position", "set at (UTC)", "window", "limit", "set by", "reason"];

function ruleLines(versions: Versions, decimals: number): string[] {
  const rows = versions.map(({ version, windowMs, limitMinor, set: by, offsets }) => [
    String(version),
    positionText(offsets[0] ?? null, 0) ?? "-",
    by === null ? "from the start" : utcText(by.atMs),
    durationText(windowMs),
    formatDecimal(limitMinor, decimals),
    by?.actor ?? "-",
    by?.reason ?? "-",
  ]);
  return table(HEAD, rows);
}

function rulesJson(versions: Versions, decimals: number): object {
  return { versions: versions.map((version) => versionJson(version, decimals)) };
}

function versionJson(standing: Version, decimals: number) {
  const { version, windowMs, limitMinor, set: by, offsets, isComplete } = standing;
  return {
    version,
    window_ms: windowMs,
    limit: formatDecimal(limitMinor, decimals),
    set_by: by?.actor ?? null,
    reason: by?.reason ?? null,
    set_at_ms: by?.atMs ?? null,
    set_at: by === null ? null : utcText(by.atMs),
    complete: isComplete,
    positions: offsets.map(positionText),
  };
}

function positionText(offset: bigint | null, partition: number): string | null {
  return offset === null ? null : `${partition}-${offset}`;
}
