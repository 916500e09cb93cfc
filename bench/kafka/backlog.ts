/**
 * A backlog of 200,000 deposits on a cluster that no group has seen, exactly once: collector and
 * detector together, and each alone against a raw loop of kafkajs, from a process's start until
 * all is committed.
 */

import { depositStream } from "../../src/deposits/deposit.ts";
import { runToReport } from "../children.ts";
import { appendHistory, DAY, type History } from "../history.ts";
import {
  atLeast,
  type Benchmark,
  type BenchmarkOptions,
  type Figure,
  median,
  timed,
} from "../measurement.ts";
import {
  type Deployment,
  makeTopic,
  startProcess,
  whenDone,
  withDeployment,
} from "./deployment.ts";
import type { RawLoopPlan, RawLoopReport } from "./raw-loop.ts";

const DEPOSITS = 200_000;
const QUICK_DEPOSITS = 2_000;
const WALLETS = 10_000;
const HOT_WALLETS = 100;
/** All within one window of the detector; their sums stay about the limit. */
const DENSE = { spanMs: 100_000, exceedingEvery: Number.POSITIVE_INFINITY } as const;
const GROUPS = { collector: "balance", detector: "threshold" } as const;

type Name = keyof typeof GROUPS;

export function backlog(brokers: string): Benchmark {
  return {
    name: "backlog",
    async run(options) {
      const samples = new Samples();
      for (let run = 0; run < options.runs; run += 1) await runOnce(brokers, options, samples);
      return samples.figures();
    },
  };
}

class Samples {
  readonly together: number[] = [];
  readonly dense: number[] = [];
  readonly raw: number[] = [];
  readonly alone: Record<Name, number[]> = { collector: [], detector: [] };

  figures(): readonly Figure[] {
    const what = "backlog of 200k deposits over 10k wallets: collector and detector, exactly once";
    const remark = "one `process collector detector`, from its start";
    const denseRatios = this.dense.map((rate, run) => rate / (this.together[run] ?? rate));
    const raw = "raw kafkajs loop in transactions over the same deposits";
    return [
      { what, unit: "/s", samples: this.together, target: atLeast(25_000), remark },
      {
        what: "the same, all deposits of 100 wallets within one window",
        unit: "×",
        samples: denseRatios,
        target: atLeast(1),
        remark: `${shown(this.dense)} against ${shown(this.together)}`,
      },
      { what: raw, unit: "/s", samples: this.raw, target: null, remark: "computes nothing" },
      this.aloneFigure("collector"),
      this.aloneFigure("detector"),
    ];
  }

  private aloneFigure(name: Name): Figure {
    const rates = this.alone[name];
    return {
      what: `the ${name} alone, against the raw loop`,
      unit: "×",
      samples: rates.map((rate, run) => rate / (this.raw[run] ?? rate)),
      target: atLeast(0.5),
      remark: `${shown(rates)} against ${shown(this.raw)}`,
    };
  }
}

async function runOnce(
  brokers: string,
  options: BenchmarkOptions,
  samples: Samples,
): Promise<void> {
  const deposits = options.isQuick ? QUICK_DEPOSITS : DEPOSITS;
  const sparse = { deposits, wallets: WALLETS, hasIds: false, ...DAY };
  const dense = { deposits, wallets: HOT_WALLETS, hasIds: false, ...DENSE };
  const say = (what: string, rate: number) => options.say(`${what}: ${Math.round(rate)}/s`);
  await withBacklog(brokers, sparse, async (deployment) => {
    samples.raw.push(perSecond(deposits, await rawLoop(deployment, deposits)));
    say("raw loop", samples.raw.at(-1) ?? 0);
    for (const name of ["collector", "detector"] as const) {
      const rate = perSecond(deposits, await processing(deployment, [name]));
      samples.alone[name].push(rate);
      say(`${name} alone`, rate);
    }
  });
  for (const [history, rates] of [[sparse, samples.together], [dense, samples.dense]] as const) {
    await withBacklog(brokers, history, async (deployment) => {
      rates.push(perSecond(deposits, await processing(deployment, ["collector", "detector"])));
    });
    say(`both, ${history.wallets} wallets`, rates.at(-1) ?? 0);
  }
}

function withBacklog(
  brokers: string,
  history: History,
  run: (deployment: Deployment) => Promise<void>,
): Promise<void> {
  return withDeployment(brokers, async (deployment) => {
    await appendHistory(deployment.app, history);
    await run(deployment);
  });
}

/** Milliseconds from the process's start until its groups have committed all. */
async function processing(deployment: Deployment, names: readonly Name[]): Promise<number> {
  const startMs = performance.now();
  const child = startProcess(deployment, ...names);
  await whenDone(deployment, names.map((name) => GROUPS[name]));
  const tookMs = performance.now() - startMs;
  await child.stop();
  return tookMs;
}

/** Milliseconds from the program's start to its end. */
async function rawLoop(deployment: Deployment, records: number): Promise<number> {
  const { brokers, prefix, app } = deployment;
  const { partitions } = app;
  const from = `${prefix}${depositStream.topic}`;
  const to = await makeTopic(deployment, "raw");
  const plan: RawLoopPlan = { brokers, from, to, partitions, records };
  return timed(() => runToReport<RawLoopReport>("kafka/raw-loop.ts", plan));
}

function perSecond(deposits: number, tookMs: number): number {
  return (deposits / tookMs) * 1_000;
}

function shown(rates: readonly number[]): string {
  return `${Math.round(median(rates)).toLocaleString("en-US")}/s`;
}
