/**
 * What a load came to: a table for people, JSON for programs.
 *
 *   report ──> lines | JSON value
 */

import type { KindReport, LoadPlan, LoadReport, Verified } from "../proof/load/load-plan.ts";

const COLUMNS = ["requests", "per second", "p50", "p90", "p99", "p99.9", "max"] as const;
/** As many are told one by one; the last line says how many more there are. */
const MAX_WRONG = 20;

export function loadText(plan: LoadPlan, report: LoadReport): string {
  const kinds = Object.entries(report.kinds);
  const rows = kinds.length > 1 ? [...kinds, ["all", report] as const] : kinds;
  return [
    heading(plan, report),
    "",
    ...table([["", ...COLUMNS], ...rows.map(([name, own]) => [name, ...cells(own)])]),
    "",
    ...errorLines(report),
    ...(report.verified === null ? [] : verifiedLines(report.verified)),
  ].join("\n");
}

export function loadJson(plan: LoadPlan, report: LoadReport): Record<string, unknown> {
  const { verified, errors } = report;
  return {
    url: plan.url.origin,
    workers: plan.workers,
    rate: plan.ratePerSecond,
    seed: plan.seed,
    duration_ms: report.durationMs,
    ...kindJson(report),
    kinds: Object.fromEntries(
      Object.entries(report.kinds).map(([kind, own]) => [kind, kindJson(own)]),
    ),
    failures: report.failures,
    errors: Object.fromEntries(errors),
    unsent: report.unsent,
    verified: verified === null ? null : verifiedJson(verified),
  };
}

function heading({ url, workers, ratePerSecond }: LoadPlan, { durationMs }: LoadReport): string {
  const pace = ratePerSecond === null ? "each asks again when answered" : `${ratePerSecond}/s due`;
  return `${url.origin}: ${workers} workers, ${pace}, measured for ${seconds(durationMs)}`;
}

function cells({ requests, requestsPerSecond, latencyMs }: KindReport): string[] {
  const { p50, p90, p99, p999, max } = latencyMs;
  const times = [p50, p90, p99, p999, max].map(timeText);
  return [grouped(requests), grouped(requestsPerSecond), ...times];
}

/** The first column to the left, the others to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join("  "),
  );
}

function errorLines({ failures, errors, unsent }: LoadReport): string[] {
  const late = `never sent  ${grouped(unsent)} that were due: the service fell behind`;
  const lines = [...errors].map(
    ([code, { count, example }]) => `error       ${grouped(count)} ${code}: ${example}`,
  );
  return [
    ...(failures === 0 ? ["errors      none"] : lines),
    ...(unsent === 0 ? [] : [late]),
  ];
}

function verifiedLines({ acknowledged, wallets, sentAgain, unknown, wrong }: Verified): string[] {
  const what = `${grouped(acknowledged)} acknowledged deposits in ${grouped(wallets)} wallets`;
  const open = [
    ...(sentAgain === 0 ? [] : [`${grouped(sentAgain)} were sent again under their keys`]),
    ...(unknown === 0 ? [] : [`${grouped(unknown)} without a key had no clear answer`]),
  ];
  const aside = open.length === 0 ? "" : ` (${open.join("; ")})`;
  const all = `${what}, warm-up included`;
  if (wrong.length === 0) return [`verified    ${all}: each is counted once${aside}`];
  const listed = wrong.slice(0, MAX_WRONG).map(({ wallet, atLeast, atMost, found }) => {
    const expected = atLeast === atMost ? atLeast : `${atLeast} to ${atMost}`;
    return `wrong       ${wallet} has ${found}, not ${expected}`;
  });
  const more = wrong.length - listed.length;
  return [...listed, ...(more === 0 ? [] : [`wrong       and ${grouped(more)} more wallets`])];
}

function kindJson({ requests, requestsPerSecond, latencyMs }: KindReport) {
  const { p50, p90, p99, p999, max } = latencyMs;
  return {
    requests,
    requests_per_second: requestsPerSecond,
    latency_ms: { p50, p90, p99, p99_9: p999, max },
  };
}

function verifiedJson({ acknowledged, wallets, sentAgain, unknown, wrong }: Verified) {
  return {
    acknowledged,
    wallets,
    sent_again: sentAgain,
    unknown,
    wrong: wrong.map(({ wallet, atLeast, atMost, found }) => ({
      wallet_id: wallet,
      at_least: atLeast,
      at_most: atMost,
      found,
    })),
  };
}

function timeText(ms: number): string {
  return ms < 999.5 ? `${ms.toPrecision(3)} ms` : `${(ms / 1_000).toPrecision(3)} s`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

function grouped(count: number): string {
  return Math.round(count).toLocaleString("en");
}
