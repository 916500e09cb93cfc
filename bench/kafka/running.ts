/**
 * `serve` and `process --all` on a cluster, side by side: how long a deposit takes from its answer
 * until it is settled, and what both take while nothing happens.
 */

import { generateLoad } from "../children.ts";
import { cpuMs } from "../machine.ts";
import { atMost, type Benchmark, type BenchmarkOptions, type Figure } from "../measurement.ts";
import { withRunning } from "./deployment.ts";

const WALLETS = 10_000;
const QUICK_WALLETS = 500;
const CONNECTIONS = 64;
const RATE_PER_SECOND = 500;
/** What a start leaves to be done is done by then. */
const SETTLES_MS = 5_000;
const IDLE_MS = 10_000;

export function settleTime(brokers: string): Benchmark {
  return {
    name: "settle",
    run: (options) =>
      withRunning(brokers, walletCount(options), async ({ server }) => {
        const p50s: number[] = [];
        const p99s: number[] = [];
        for (let run = 0; run < options.runs; run += 1) {
          const report = await generateLoad({
            ...{ port: server.port, kind: "settle", connections: CONNECTIONS, seed: run },
            ...{ wallets: walletCount(options), warmUpMs: options.isQuick ? 100 : 3_000 },
            durationMs: options.isQuick ? 500 : 10_000,
            ratePerSecond: options.isQuick ? 50 : RATE_PER_SECOND,
          });
          if (report.failures > 0) throw new Error(`${report.failures}: ${report.firstFailure}`);
          const { p50, p99 } = report.latencyMs;
          p50s.push(p50);
          p99s.push(p99);
          options.say(`p50 ${p50} ms, p99 ${p99} ms`);
        }
        const figure = (name: string, samples: number[], most: number): Figure => ({
          what: `deposit answered → settled, 500/s open loop: ${name}`,
          unit: "ms",
          samples,
          target: atMost(most),
          remark: "by GET /check?after=position",
        });
        return [figure("p50", p50s, 40), figure("p99", p99s, 150)];
      }),
  };
}

export function idle(brokers: string): Benchmark {
  return {
    name: "idle",
    run: (options) =>
      withRunning(brokers, walletCount(options), async ({ server, processors }) => {
        const used = () => [server, processors].map(({ pid }) => cpuMs(pid));
        const idleMs = options.isQuick ? 200 : IDLE_MS;
        const samples: number[] = [];
        await Bun.sleep(options.isQuick ? 100 : SETTLES_MS);
        for (let run = 0; run < options.runs; run += 1) {
          const before = used();
          await Bun.sleep(idleMs);
          const shares = used().map((ms, index) => ((ms - (before[index] ?? 0)) / idleMs) * 100);
          samples.push(shares.reduce((sum, share) => sum + share, 0));
          options.say(`serve, process: ${shares.map((share) => share.toFixed(1)).join(", ")} %`);
        }
        const what = "idle `serve` and `process --all`: CPU of both over 10 s";
        return [{ what, unit: "% of a core", samples, target: atMost(3), remark: "" }];
      }),
  };
}

function walletCount({ isQuick }: BenchmarkOptions): number {
  return isQuick ? QUICK_WALLETS : WALLETS;
}
