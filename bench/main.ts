/**
 * The benchmarks: `bun run bench [--brokers HOST:PORT] [--only NAME,NAME] [--runs N] [--quick]
 * [--out FILE] [--compare FILE] [--readme]`. With `--brokers` those on a Kafka cluster; `own`
 * starts a broker for the run.
 *
 *   bench/rows, bench/kafka ──figures──> a table on stdout, JSON in bench/results
 *   --compare: what has changed since an older JSON    --readme: tables, pictures, docs/bench
 *
 * Medians of several runs with their spread. What is a ratio has its baseline measured in the same
 * run, in turns, for a machine's speed drifts. Folders are on a real disk and are removed.
 */

import { join } from "node:path";
import { parseArgs } from "node:util";
import { PROGRAM, PROGRAM_VARIABLE, SOURCE } from "../test/end-to-end/program.ts";
import { JVM_FOR_LOAD, KafkaCluster } from "../test/kafka/kafka-cluster.ts";
import { comparisonTable } from "./compare.ts";
import { kafkaBenchmarks } from "./kafka/benchmarks.ts";
import { thisMachine } from "./machine.ts";
import type { Benchmark } from "./measurement.ts";
import { updateReadme } from "./readme.ts";
import { machineLine, markdownTable } from "./report.ts";
import { readResults, type Row, writeResults } from "./results.ts";
import { backlog } from "./rows/backlog.ts";
import { detectorCost } from "./rows/detector-cost.ts";
import { importing } from "./rows/importing.ts";
import { backtest, verify } from "./rows/proof.ts";
import { rebuild } from "./rows/rebuild.ts";
import { idle, memory, metrics, start } from "./rows/resources.ts";
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
  verify,
  backtest,
  start,
  idle,
  metrics,
  memory,
];

const DEFAULT_RUNS = 5;
/** In the place of addresses: a broker of this run's own. */
const OWN_BROKER = "own";

const USAGE =
  "usage: bench [--brokers HOST:PORT|own] [--only NAME,..] [--runs N] [--quick] [--out FILE] " +
  "[--compare FILE] [--readme]";

await main();

async function main(): Promise<void> {
  const { values, old } = readArguments();
  const { brokers = null } = values;
  // Names are the same whatever the addresses are.
  const known = (brokers === null ? BENCHMARKS : kafkaBenchmarks("")).map(({ name }) => name);
  const runs = Number(values.runs ?? (values.quick ? 1 : DEFAULT_RUNS));
  const names = values.only?.split(",") ?? known;
  if (!names.every((name) => known.includes(name)) || !Number.isInteger(runs) || runs < 1) {
    refuse(`${USAGE}\nnames: ${known.join(", ")}`);
  }
  if (values.readme && PROGRAM !== SOURCE) {
    refuse(`the README's figures are of the source: unset ${PROGRAM_VARIABLE}`);
  }
  const machine = thisMachine();
  const cluster =
    brokers === OWN_BROKER ? await KafkaCluster.start({ jvm: JVM_FOR_LOAD }) : null;
  const figures: Row[] = [];
  try {
    const addresses = cluster?.addresses() ?? brokers;
    const benchmarks = addresses === null ? BENCHMARKS : kafkaBenchmarks(addresses);
    for (const benchmark of benchmarks.filter(({ name }) => names.includes(name))) {
      const say = (text: string) => console.error(`${benchmark.name}: ${text}`);
      try {
        const found = await benchmark.run({ runs, isQuick: values.quick, say });
        figures.push(...found.map((figure) => ({ benchmark: benchmark.name, ...figure })));
      } catch (error) {
        say(`failed: ${(error as Error).message}`); // the others' figures are worth having
        process.exitCode = 1;
      }
    }
  } finally {
    await cluster?.close();
  }
  const time = new Date().toISOString().replaceAll(":", "-");
  const out = values.out ?? join(import.meta.dir, "results", `${time}.json`);
  writeResults(out, { machine, figures });
  const beside = cluster === null ? "" : ", and the Kafka broker";
  console.log(`${machineLine(machine, beside)}\n\n${markdownTable(figures)}`);
  if (old !== null) console.log(`\n${comparisonTable(old.figures, figures)}`);
  const log = brokers === null ? "embedded" : "kafka";
  if (values.readme) updateReadme(log, { machine, figures }, known);
  console.error(`also in ${out}`);
}

/** Before minutes of measuring: what is wrong is told at once. */
function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        brokers: { type: "string" },
        only: { type: "string" },
        runs: { type: "string" },
        quick: { type: "boolean", default: false },
        out: { type: "string" },
        compare: { type: "string" },
        readme: { type: "boolean", default: false },
      },
    });
    return { values, old: values.compare === undefined ? null : readResults(values.compare) };
  } catch (error) {
    return refuse(`${(error as Error).message}\n${USAGE}`);
  }
}

function refuse(text: string): never {
  console.error(text);
  process.exit(2);
}
