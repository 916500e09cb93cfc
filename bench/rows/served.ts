/**
 * What `serve` answers, against a bare hono server in the same run: the same load generator, the
 * same requests, in turns.
 */

import { generateLoad, type Server, startBareServer, startServer } from "../children.ts";
import { DAY, makeHistory } from "../history.ts";
import type { LoadPlan } from "../load-plan.ts";
import { withFolder } from "../machine.ts";
import { atLeast, type Benchmark, type BenchmarkOptions, median } from "../measurement.ts";

const CONNECTIONS = 64;
const CHECK_WALLETS = 100_000;
const QUICK_WALLETS = 1_000;

export const durableDeposits: Benchmark = {
  name: "post",
  run: (options) =>
    compared(options, {
      what: "`serve`: POST /deposit, durable, c=64, against a bare JSON echo",
      kind: "deposit",
      wallets: 10_000,
      wanted: 0.4,
      prepare: async () => {},
    }),
};

export const checks: Benchmark = {
  name: "check",
  run: (options) => {
    const wallets = options.isQuick ? QUICK_WALLETS : CHECK_WALLETS;
    return compared(options, {
      what: "GET /check with 100k wallets, c=64, against a bare JSON answer",
      kind: "check",
      wallets,
      wanted: 0.8,
      prepare: (folder) =>
        makeHistory(folder, { ...DAY, deposits: wallets, wallets, hasIds: false }),
    });
  },
};

interface Comparison extends Pick<LoadPlan, "kind" | "wallets"> {
  readonly what: string;
  readonly wanted: number;
  prepare(folder: string): Promise<void>;
}

function compared(options: BenchmarkOptions, { what, kind, wallets, wanted, prepare }: Comparison) {
  const ratios: number[] = [];
  const rates: number[] = [];
  const bareRates: number[] = [];
  const p99s: number[] = [];
  return withFolder(async (folder) => {
    await prepare(folder);
    const bare = await startBareServer();
    const server = await startServer("serve", { folder });
    for (let run = 0; run < options.runs; run += 1) {
      const load = ({ port }: Server) =>
        generateLoad({
          port,
          kind,
          wallets,
          connections: CONNECTIONS,
          warmUpMs: options.isQuick ? 50 : 2_000,
          durationMs: options.isQuick ? 200 : 6_000,
          seed: run,
          ratePerSecond: null,
        });
      const of = await load(bare);
      const ours = await load(server);
      if (ours.failures > 0) throw new Error(`${ours.failures} failures: ${ours.firstFailure}`);
      ratios.push(ours.requestsPerSecond / of.requestsPerSecond);
      rates.push(ours.requestsPerSecond);
      bareRates.push(of.requestsPerSecond);
      p99s.push(ours.latencyMs.p99);
      options.say(`${Math.round(rates.at(-1) ?? 0)}/s of ${Math.round(bareRates.at(-1) ?? 0)}/s`);
    }
    await server.stop();
    await bare.stop();
    const rate = (samples: number[]) => Math.round(median(samples)).toLocaleString("en-US");
    const remark = `${rate(rates)}/s, p99 ${median(p99s).toFixed(1)} ms, of ${rate(bareRates)}/s`;
    return [{ what, unit: "×" as const, samples: ratios, target: atLeast(wanted), remark }];
  });
}
