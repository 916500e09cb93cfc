/**
 * `up` under load: deposits over HTTP with all groups keeping up, and how long one takes from its
 * answer until it is settled.
 *
 *   load generator ──POST──> up ──> groups      lag: GET /readyz, while it runs and afterwards
 */

import { generateLoad, type Server, startServer } from "../children.ts";
import { DAY, makeHistory } from "../history.ts";
import { lagOf, settleServer } from "../lag.ts";
import type { LoadPlan, LoadReport } from "../load-plan.ts";
import { withFolder } from "../machine.ts";
import {
  atLeast,
  atMost,
  type Benchmark,
  type BenchmarkOptions,
  type Figure,
  timed,
} from "../measurement.ts";

const WALLETS = 10_000;
const QUICK_WALLETS = 500;
const CONNECTIONS = 64;
const SAMPLE_EVERY_MS = 500;
/** Bounded is what a second of work catches up with. */
const LAG_SETTLES_MS = 1_000;

export const upLoad: Benchmark = {
  name: "up",
  async run(options) {
    const rates: number[] = [];
    const p99s: number[] = [];
    const highestLags: number[] = [];
    const settledMs: number[] = [];
    await eachRun(options, async (server, seed) => {
      const report = await loadWatchingLag(server, {
        ...plan(options, seed),
        kind: "deposit",
        durationMs: options.isQuick ? 200 : 20_000,
        ratePerSecond: null,
      });
      rates.push(report.requestsPerSecond);
      p99s.push(report.latencyMs.p99);
      highestLags.push(report.highestLag);
      settledMs.push(report.settledAfterMs);
      options.say(
        `${Math.round(report.requestsPerSecond)}/s, p99 ${report.latencyMs.p99} ms, ` +
          `lag ${report.highestLag}, settled after ${Math.round(report.settledAfterMs)} ms`,
      );
    });
    const what = "`up`: deposits over HTTP, c=64, 10k wallets, 20 s, all groups";
    const remark = "closed loop";
    return [
      { what, unit: "/s", samples: rates, target: atLeast(18_000), remark },
      { what: "the same: p99", unit: "ms", samples: p99s, target: atMost(15), remark: "" },
      {
        what: "the same: after the last answer, until all is settled",
        unit: "ms",
        samples: settledMs,
        target: atMost(LAG_SETTLES_MS),
        remark: "lag is bounded",
      },
      {
        what: "the same: highest lag of a group, sampled",
        unit: "records",
        samples: highestLags,
        target: null,
        remark: "",
      },
    ];
  },
};

export const settleTime: Benchmark = {
  name: "settle",
  async run(options) {
    const p50s: number[] = [];
    const p99s: number[] = [];
    await eachRun(options, async (server, seed) => {
      const report = await generateLoad({
        ...plan(options, seed),
        port: server.port,
        kind: "settle",
        durationMs: options.isQuick ? 200 : 10_000,
        ratePerSecond: options.isQuick ? 100 : 1_000,
      });
      if (report.failures > 0) throw new Error(`${report.failures}: ${report.firstFailure}`);
      p50s.push(report.latencyMs.p50);
      p99s.push(report.latencyMs.p99);
      options.say(`p50 ${report.latencyMs.p50} ms, p99 ${report.latencyMs.p99} ms`);
    });
    const what = "deposit answered → settled, 1,000/s open loop";
    const remark = "by GET /check?after=position";
    const figure = (name: string, samples: number[], most: number): Figure => ({
      what: `${what}: ${name}`,
      unit: "ms",
      samples,
      target: atMost(most),
      remark,
    });
    return [figure("p50", p50s, 10), figure("p99", p99s, 50)];
  },
};

function plan(options: BenchmarkOptions, seed: number) {
  const warmUpMs = options.isQuick ? 50 : 3_000;
  return { connections: CONNECTIONS, warmUpMs, wallets: walletCount(options), seed };
}

function walletCount({ isQuick }: BenchmarkOptions): number {
  return isQuick ? QUICK_WALLETS : WALLETS;
}

/** Each run has a folder and a process of its own. */
async function eachRun(
  options: BenchmarkOptions,
  run: (server: Server, seed: number) => Promise<void>,
): Promise<void> {
  for (let seed = 0; seed < options.runs; seed += 1) {
    await withFolder(async (folder) => {
      const wallets = walletCount(options);
      await makeHistory(folder, { ...DAY, deposits: wallets, wallets, hasIds: false });
      const server = await startServer("up", { folder });
      await run(server, seed);
      await server.stop();
    });
  }
}

async function loadWatchingLag(
  server: Server,
  load: Omit<LoadPlan, "port">,
): Promise<LoadReport & { readonly highestLag: number; readonly settledAfterMs: number }> {
  let highestLag = 0;
  const over = new AbortController();
  const watching = (async () => {
    while (!over.signal.aborted) {
      highestLag = Math.max(highestLag, await lagOf(server));
      await Bun.sleep(SAMPLE_EVERY_MS);
    }
  })();
  const report = await generateLoad({ ...load, port: server.port });
  const settledAfterMs = await timed(() => settleServer(server));
  over.abort();
  await watching;
  if (report.failures > 0) throw new Error(`${report.failures} failures: ${report.firstFailure}`);
  return { ...report, highestLag, settledAfterMs };
}
