/**
 * Deposits over HTTP on a cluster. Without a key one is answered when it is durable; with a key,
 * when the collector has decided, so that processors run beside the server.
 */

import { generateLoad, runToReport } from "../children.ts";
import type { LoadPlan } from "../load-plan.ts";
import {
  atLeast,
  atMost,
  type Benchmark,
  type BenchmarkOptions,
  median,
} from "../measurement.ts";
import { makeTopic, startServe, withDeployment, withRunning } from "./deployment.ts";
import type { RawProducePlan, RawProduceReport } from "./raw-produce.ts";

const WALLETS = 10_000;
const QUICK_WALLETS = 500;
const CONNECTIONS = 64;

export function deposits(brokers: string): Benchmark {
  return {
    name: "post",
    run: (options) =>
      withDeployment(brokers, async (deployment) => {
        const topic = await makeTopic(deployment, "raw");
        const rates: number[] = [];
        const p99s: number[] = [];
        const rawRates: number[] = [];
        const server = await startServe(deployment);
        for (let run = 0; run < options.runs; run += 1) {
          const raw = await runToReport<RawProduceReport>("kafka/raw-produce.ts", {
            ...{ brokers, topic, wallets: walletCount(options) },
            ...times(options),
          } satisfies RawProducePlan);
          const report = await load(options, { port: server.port, kind: "deposit", seed: run });
          rates.push(report.requestsPerSecond);
          p99s.push(report.latencyMs.p99);
          rawRates.push(raw.recordsPerSecond);
          options.say(
            `${Math.round(report.requestsPerSecond)}/s, p99 ${report.latencyMs.p99} ms; ` +
              `raw ${Math.round(raw.recordsPerSecond)}/s`,
          );
        }
        await server.stop();
        const what = "`serve`: POST /deposit, c=64, acks=all";
        const raw = "kafkajs's own produce of the same bytes, 1,000 a batch";
        return [
          { what, unit: "/s", samples: rates, target: atLeast(12_000), remark: p99Of(p99s) },
          { what: raw, unit: "/s", samples: rawRates, target: null, remark: "in the same run" },
        ];
      }),
  };
}

/** A broker that was just started is slow until its code for transactions is compiled. */
const COMPILED_MS = 60_000;

export function keyedDeposits(brokers: string): Benchmark {
  return {
    name: "post-key",
    run: (options) =>
      withRunning(brokers, walletCount(options), async ({ server }) => {
        const rates: number[] = [];
        const p50s: number[] = [];
        const p99s: number[] = [];
        for (let run = 0; run < options.runs; run += 1) {
          const isCold = run === 0 && !options.isQuick;
          const own = { port: server.port, kind: "keyed", seed: run } as const;
          const report = await load(options, isCold ? { ...own, warmUpMs: COMPILED_MS } : own);
          const { p50, p99 } = report.latencyMs;
          rates.push(report.requestsPerSecond);
          p50s.push(p50);
          p99s.push(p99);
          options.say(`${Math.round(report.requestsPerSecond)}/s, p50 ${p50} ms, p99 ${p99} ms`);
        }
        const what = "`serve`, `process --all`: POST /deposit with a key, c=64";
        const remark = `${p99Of(p99s)}; after ${COMPILED_MS / 1_000} s of it`;
        return [
          { what, unit: "/s", samples: rates, target: atLeast(2_000), remark },
          { what: "the same: p50", unit: "ms", samples: p50s, target: atMost(40), remark: "" },
        ];
      }),
  };
}

async function load(
  options: BenchmarkOptions,
  own: Pick<LoadPlan, "port" | "kind" | "seed"> & Partial<Pick<LoadPlan, "warmUpMs">>,
) {
  const report = await generateLoad({
    ...times(options),
    ...own,
    wallets: walletCount(options),
    connections: CONNECTIONS,
    ratePerSecond: null,
  });
  if (report.failures > 0) throw new Error(`${report.failures}: ${report.firstFailure}`);
  return report;
}

function walletCount({ isQuick }: BenchmarkOptions): number {
  return isQuick ? QUICK_WALLETS : WALLETS;
}

function times({ isQuick }: BenchmarkOptions) {
  return isQuick ? { warmUpMs: 500, durationMs: 500 } : { warmUpMs: 3_000, durationMs: 6_000 };
}

function p99Of(samples: readonly number[]): string {
  return `p99 ${median(samples).toFixed(1)} ms`;
}
