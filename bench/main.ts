/**
 * The benchmarks: `bun run bench [--only NAME,NAME] [--runs N] [--quick] [--out FILE]`.
 *
 *   bench/rows ──figures──> the README's table on stdout, JSON in bench/results
 *
 * Medians of several runs with their spread. What is a ratio has its baseline measured in the same
 * run, in turns, for a machine's speed drifts. Folders are on a real disk and are removed.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { thisMachine } from "./machine.ts";
import type { Benchmark, Figure } from "./measurement.ts";
import { jsonReport, markdownTable } from "./report.ts";
import { backlog } from "./rows/backlog.ts";
import { detectorCost } from "./rows/detector-cost.ts";
import { importing } from "./rows/importing.ts";
import { rebuild } from "./rows/rebuild.ts";
import { idle, memory, start } from "./rows/resources.ts";
import { checks, durableDeposits } from "./rows/served.ts";
import { settleTime, upLoad } from "./rows/up-load.ts";

/** In the order of the table. */
const BENCHMARKS: readonly Benchmark[] = [
  durableDeposits,
  checks,
  upLoad,
  backlog,
  detectorCost,
  settleTime,
  rebuild,
  importing,
  start,
  idle,
  memory,
];

const DEFAULT_RUNS = 5;

await main();

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: "string" },
      runs: { type: "string" },
      quick: { type: "boolean", default: false },
      out: { type: "string" },
    },
  });
  const runs = Number(values.runs ?? (values.quick ? 1 : DEFAULT_RUNS));
  const names = values.only?.split(",") ?? BENCHMARKS.map(({ name }) => name);
  const unknown = names.filter((name) => !BENCHMARKS.some((each) => each.name === name));
  if (unknown.length > 0 || !Number.isInteger(runs) || runs < 1) {
    const known = BENCHMARKS.map(({ name }) => name).join(", ");
    console.error("usage: bench [--only NAME,..] [--runs N] [--quick] [--out FILE]");
    console.error(`names: ${known}`);
    process.exit(2);
  }
  const machine = thisMachine();
  const figures: Figure[] = [];
  for (const benchmark of BENCHMARKS.filter(({ name }) => names.includes(name))) {
    const say = (text: string) => console.error(`${benchmark.name}: ${text}`);
    figures.push(...(await benchmark.run({ runs, isQuick: values.quick, say })));
  }
  const time = new Date().toISOString().replaceAll(":", "-");
  const out = values.out ?? join(import.meta.dir, "results", `${time}.json`);
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, jsonReport(figures, machine));
  console.log(markdownTable(figures, machine));
  console.error(`also in ${out}`);
}
