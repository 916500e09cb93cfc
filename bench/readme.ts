/**
 * What the README shows of the results: its two tables and the picture, from docs/bench.
 *
 *   figures ──row by row──> docs/bench/<log>.json ──> README table, docs/bench/speed.svg
 */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pictureOf } from "./picture.ts";
import { markdownTable } from "./report.ts";
import { merged, readResults, type Results, writeResults } from "./results.ts";

export type LogName = "embedded" | "kafka";

const ROOT = join(import.meta.dir, "..");

/** What was measured takes the place of what stood there; `names`: all benchmarks in order. */
export function updateReadme(log: LogName, now: Results, names: readonly string[]): void {
  const file = resultsFile(log);
  const old = existsSync(file) ? readResults(file).figures : [];
  const figures = merged(old, now.figures, names);
  writeResults(file, { machine: now.machine, figures });
  writeFileSync(join(ROOT, "docs", "bench", "speed.svg"), picture());
  const readme = join(ROOT, "README.md");
  writeFileSync(readme, withTable(readFileSync(readme, "utf8"), log, markdownTable(figures)));
}

/** Throws an Error where the text has no place for the table. */
export function withTable(text: string, log: LogName, table: string): string {
  const [begin, end] = [`<!-- bench ${log} -->\n`, `\n<!-- bench end -->`];
  const from = text.indexOf(begin);
  const to = text.indexOf(end, from);
  if (from < 0 || to < 0) throw new Error(`the README has no place for the results on ${log}`);
  return `${text.slice(0, from)}${begin}\n${table}\n${text.slice(to)}`;
}

/** Of both logs, as far as they were measured. */
function picture(): string {
  const rowsOf = (log: LogName) => {
    const file = resultsFile(log);
    return existsSync(file) ? readResults(file).figures : [];
  };
  return pictureOf([
    ["", rowsOf("embedded")],
    ["Kafka: ", rowsOf("kafka")],
  ]);
}

function resultsFile(log: LogName): string {
  return join(ROOT, "docs", "bench", `${log}.json`);
}
