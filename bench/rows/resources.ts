/**
 * What `up` takes of the machine: the executable's start to its first answer, an idle process's
 * share of a core, what a scrape takes of it, and memory with a million wallets. CPU and memory
 * are read from /proc.
 */

import { join } from "node:path";
import {
  firstAnswer,
  freePort,
  generateLoad,
  type Server,
  startProgram,
  startServer,
} from "../children.ts";
import { DAY, makeHistory, millionWallets } from "../history.ts";
import { settleServer } from "../lag.ts";
import { walletName } from "../load-plan.ts";
import { cpuMs, memoryMb, withFolder } from "../machine.ts";
import { atMost, type Benchmark, timed } from "../measurement.ts";

const WALLETS = 10_000;
const QUICK_WALLETS = 500;
/** Deposits a second that all groups keep up with. */
const STEADY_RATE = 5_000;
const STARTS_A_RUN = 5;
/** What a start leaves to be done is done by then. */
const SETTLES_MS = 3_000;
const IDLE_MS = 10_000;
const SCRAPES = 200;
/** Four times as often as Prometheus does unless told. */
const SCRAPED_EVERY_MS = 15_000;

export const start: Benchmark = {
  name: "start",
  run: (options) =>
    withFolder(async (folder) => {
      const data = join(folder, "data");
      const executable = await build(join(folder, "depositaja"));
      const wallets = options.isQuick ? QUICK_WALLETS : WALLETS;
      await makeHistory(data, { ...DAY, deposits: wallets, wallets, hasIds: false });
      const samples: number[] = [];
      for (let run = 0; run < options.runs * STARTS_A_RUN; run += 1) {
        const port = freePort();
        const path = `/check/${walletName(0)}`;
        let stop = async () => {};
        samples.push(
          await timed(async () => {
            const child = startProgram(["up", "--data", data, "--port", `${port}`], { executable });
            ({ stop } = child);
            await firstAnswer(child, port, path);
          }),
        );
        await stop();
      }
      const what = "executable: `up` on a folder of 10k wallets, to the first answer";
      return [{ what, unit: "ms" as const, samples, target: atMost(150), remark: "" }];
    }),
};

export const idle: Benchmark = {
  name: "idle",
  run: (options) =>
    withFolder(async (folder) => {
      const wallets = options.isQuick ? QUICK_WALLETS : WALLETS;
      await makeHistory(folder, { ...DAY, deposits: wallets, wallets, hasIds: false });
      const server = await startServer("up", { folder });
      const idleMs = options.isQuick ? 200 : IDLE_MS;
      const samples: number[] = [];
      await Bun.sleep(options.isQuick ? 100 : SETTLES_MS);
      for (let run = 0; run < options.runs; run += 1) {
        const before = cpuMs(server.pid);
        await Bun.sleep(idleMs);
        samples.push(((cpuMs(server.pid) - before) / idleMs) * 100);
      }
      await server.stop();
      const what = "idle `up`: CPU over 10 s";
      return [{ what, unit: "% of a core" as const, samples, target: atMost(1), remark: "" }];
    }),
};

export const metrics: Benchmark = {
  name: "metrics",
  async run(options) {
    const { folder } = await millionWallets(options);
    const server = await startServer("up", { folder });
    await scrape(server); // what it is made of is loaded with the first
    await Bun.sleep(options.isQuick ? 100 : SETTLES_MS);
    const samples: number[] = [];
    const count = options.isQuick ? 2 : SCRAPES;
    for (let run = 0; run < options.runs; run += 1) {
      const before = cpuMs(server.pid);
      for (let index = 0; index < count; index += 1) await scrape(server);
      samples.push(((cpuMs(server.pid) - before) / count / SCRAPED_EVERY_MS) * 100);
    }
    await server.stop();
    const what = "GET /metrics of `up` with 1M wallets, every 15 s: CPU";
    const remark = `the process's time for ${SCRAPES} in a row, divided: one in 15 s`;
    return [{ what, unit: "% of a core", samples, target: atMost(1), remark }];
  },
};

async function scrape({ port }: Server): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  if (!response.ok) throw new Error(`GET /metrics: ${response.status}`);
  await response.text();
}

export const memory: Benchmark = {
  name: "memory",
  /** After all other rows on that folder: it adds to it. */
  async run(options) {
    const { folder, deposits: wallets } = await millionWallets(options);
    const idles: number[] = [];
    const steady: number[] = [];
    const full: number[] = [];
    for (let run = 0; run < options.runs; run += 1) {
      const server = await startServer("up", { folder });
      await Bun.sleep(options.isQuick ? 100 : SETTLES_MS);
      idles.push(memoryMb(server.pid, "VmRSS"));
      for (const [peaks, ratePerSecond] of [[steady, STEADY_RATE], [full, null]] as const) {
        await generateLoad({
          ...{ port: server.port, kind: "deposit", connections: 64, warmUpMs: 0, wallets },
          ...{ durationMs: options.isQuick ? 200 : 20_000, seed: run, ratePerSecond },
        });
        peaks.push(memoryMb(server.pid, "VmHWM"));
        options.say(`${peaks.at(-1)} MB at most at ${ratePerSecond ?? "full"} load`);
      }
      await settleServer(server);
      await server.stop();
    }
    const what = "memory of `up` with 1M wallets";
    const figure = { what, unit: "MB" as const, target: atMost(400) };
    return [
      { ...figure, samples: steady, remark: "at most, 20 s of 5,000 deposits/s over all" },
      { ...figure, what: "the same: c=64, closed loop, after that", samples: full, remark: "" },
      { ...figure, what: "the same: idle before", samples: idles, remark: "" },
    ];
  },
};

/** As `bun run build` does, to another place. */
async function build(path: string): Promise<string> {
  const root = join(import.meta.dir, "..", "..");
  const { scripts } = (await Bun.file(join(root, "package.json")).json()) as {
    scripts: { build: string };
  };
  const command = scripts.build.split("&&").at(-1)?.trim().split(/\s+/) ?? [];
  const outfile = command.indexOf("--outfile") + 1;
  const args = command.slice(1).with(outfile - 1, path);
  const child = Bun.spawn([process.execPath, ...args], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  });
  if ((await child.exited) !== 0) throw new Error("the executable could not be built");
  return path;
}
