/**
 * `backtest`: which wallets a changed rule would have flagged, beside those that the rule in force
 * flags; nothing is touched.
 *
 *   deposit ──both rules over the whole history──> who is flagged by which, and when first
 */

import type { App } from "../app.ts";
import { formatDecimal } from "../money.ts";
import { DATA_SETTINGS, newCommand, runWith } from "./command.ts";
import { withData } from "./data.ts";
import { note, print, printJson } from "./output.ts";
import { type RuleFlags, ruleText, typedRule } from "./rule-options.ts";
import { table } from "./table.ts";
import { utcText } from "./time-text.ts";
import { CommandError, UsageError } from "./usage-error.ts";

const OPTIONS = {
  name: "backtest",
  description: "Show which wallets a changed rule would have flagged.",
  settings: DATA_SETTINGS,
  examples: [
    "backtest --window 5m --limit 8000",
    "backtest --limit 8000 --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z --json",
  ],
  remarks:
    "Both rules, the changed one and the one in force, as if each had held from the start; what\n" +
    "is left out is as in the one in force. --from and --to are times of deposits, the end\n" +
    "excluded: others are left out. It reads the log alone, whether processors run or not, and\n" +
    "holds one partition's deposits in memory, 50 bytes each, at most 8 million at once.",
} as const;

const SHOWN = 20;
/** Between two words on how far it is. */
const TELL_EVERY_MS = 5_000;

interface Flags extends RuleFlags {
  readonly from?: string;
  readonly to?: string;
  readonly all?: true;
  readonly json?: true;
}

type Result = Awaited<ReturnType<App["rules"]["backtest"]>>;
type Tested = Result["flagged"][number];
type Window = NonNullable<Tested["changed"]>;

export function backtestCommand() {
  return newCommand(OPTIONS)
    .option("--window <time>", "length of the rolling window, such as 90s, 5m or 1h")
    .option("--limit <amount>", "a window with more than this is over the limit")
    .option("--from <time>", "deposits from here on, RFC 3339 or Unix milliseconds")
    .option("--to <time>", "deposits before this")
    .option("--all", `list all wallets, not just ${SHOWN}`)
    .option("--json", "print JSON, always complete")
    .action((flags: Flags) => {
      if (flags.window === undefined && flags.limit === undefined) {
        throw new UsageError("say what is to be tested: --window, --limit or both");
      }
      return runWith(OPTIONS, flags, ({ settings, stopping: signal }) =>
        withData(settings, async (app) => {
          const request = { ...typedRule(flags, app), ...boundsOf(flags, app), signal };
          const startMs = performance.now();
          const result = await app.rules.backtest({ ...request, onProgress: progressNotes() });
          if (signal.aborted) throw new CommandError("interrupted: not all was read");
          const seconds = (performance.now() - startMs) / 1_000;
          if (flags.json) printJson(resultJson(result, { decimals: app.decimals, seconds }));
          else print(resultLines(result, { decimals: app.decimals, seconds, flags }).join("\n"));
        }),
      );
    });
}

/** Throws UsageError, and DepositError `invalid_time`. */
function boundsOf({ from, to }: Flags, { wallets }: App) {
  const fromMs = from === undefined ? null : wallets.timeMs(from);
  const toMs = to === undefined ? null : wallets.timeMs(to);
  if (fromMs !== null && toMs !== null && fromMs >= toMs) {
    throw new UsageError(`--from ${from} is not before --to ${to}`);
  }
  return { fromMs, toMs };
}

type Group = "both" | "changed rule only" | "rule in force only";

function groupOf({ current, changed }: Tested): Group {
  if (current === null) return "changed rule only";
  return changed === null ? "rule in force only" : "both";
}

function countsOf({ flagged }: Result): Record<Group, number> {
  const counts = { both: 0, "changed rule only": 0, "rule in force only": 0 };
  for (const each of flagged) counts[groupOf(each)] += 1;
  return counts;
}

function resultLines(
  result: Result,
  { decimals, seconds, flags }: { decimals: number; seconds: number; flags: Flags },
): string[] {
  const { current, changed, deposits, wallets, flagged } = result;
  const counts = countsOf(result);
  const facts = [
    ["rule in force", `version ${current.version}: ${ruleText(current, decimals)}`],
    ["changed rule", ruleText(changed, decimals)],
    ["deposits", `${numberText(deposits)} of ${numberText(wallets)} wallets`],
    ["flagged by both", numberText(counts.both)],
    ["by the changed rule only", numberText(counts["changed rule only"])],
    ["by the rule in force only", numberText(counts["rule in force only"])],
    ["seconds", seconds.toFixed(1)],
  ].map(([name = "", value = ""]) => `${name.padEnd(27)}${value}`);
  if (flagged.length === 0) return facts;
  const shown = flags.all ? flagged : flagged.slice(0, SHOWN);
  const rows = shown.map((each) => [
    each.walletId,
    groupOf(each),
    ...windowCells(each.changed, decimals),
    ...windowCells(each.current, decimals),
  ]);
  const left = flagged.length - shown.length;
  const more = left === 0 ? [] : [`... and ${numberText(left)} more: --all lists them`];
  return [...facts, "", ...table(HEAD, rows), ...more];
}

const HEAD = [
  ...["wallet", "flagged by", "changed: first window up to", "total", "deposits"],
  ...["in force: first window up to", "total", "deposits"],
];

function windowCells(window: Window | null, decimals: number): string[] {
  if (window === null) return ["-", "-", "-"];
  const { endMs, totalMinor, count } = window;
  return [utcText(endMs), formatDecimal(totalMinor, decimals), String(count)];
}

function resultJson(
  result: Result,
  { decimals, seconds }: { decimals: number; seconds: number },
): object {
  const { current, changed, flagged } = result;
  const counts = countsOf(result);
  const ruleJson = ({ windowMs, limitMinor }: typeof changed) => {
    return { window_ms: windowMs, limit: formatDecimal(limitMinor, decimals) };
  };
  return {
    rule_in_force: { version: current.version, ...ruleJson(current) },
    changed_rule: ruleJson(changed),
    records: result.records,
    deposits: result.deposits,
    wallets: result.wallets,
    flagged_by_both: counts.both,
    flagged_by_changed_rule_only: counts["changed rule only"],
    flagged_by_rule_in_force_only: counts["rule in force only"],
    flagged: flagged.map((each) => ({
      wallet_id: each.walletId,
      changed_rule: windowJson(each.changed, decimals),
      rule_in_force: windowJson(each.current, decimals),
    })),
    seconds: Number(seconds.toFixed(3)),
  };
}

function windowJson(window: Window | null, decimals: number) {
  if (window === null) return null;
  const { startMs, endMs, totalMinor, count } = window;
  return {
    window_start_ms: startMs,
    window_start: utcText(startMs),
    window_end_ms: endMs,
    window_end: utcText(endMs),
    total: formatDecimal(totalMinor, decimals),
    deposit_count: count,
  };
}

function progressNotes(): (records: number) => void {
  let lastMs = performance.now();
  let records = 0;
  return (more) => {
    records += more;
    const nowMs = performance.now();
    if (nowMs - lastMs < TELL_EVERY_MS) return;
    lastMs = nowMs;
    note(`${numberText(records)} records read`);
  };
}

function numberText(count: number): string {
  return count.toLocaleString("en");
}
