/**
 * What reads the whole log again: `verify` and `backtest` of a million deposits of a million
 * wallets, from the command's start to its end.
 */

import { startProgram } from "../children.ts";
import { millionWallets } from "../history.ts";
import { memoryMb } from "../machine.ts";
import {
  atLeast,
  atMost,
  type Benchmark,
  type BenchmarkOptions,
  type Figure,
  median,
  timed,
} from "../measurement.ts";

/** What a command takes last is seen only that exactly. */
const POLL_MS = 20;

export const verify: Benchmark = {
  name: "verify",
  async run(options) {
    const { folder } = await millionWallets(options);
    return [await verifying(options, ["--data", folder])];
  },
};

export const backtest: Benchmark = {
  name: "backtest",
  async run(options) {
    const { folder, deposits } = await millionWallets(options);
    const command = ["backtest", "--window", "5m", "--limit", "8000", "--data", folder];
    const samples: number[] = [];
    for (let run = 0; run < options.runs; run += 1) {
      const { tookMs } = await runToEnd(command);
      samples.push((deposits / tookMs) * 1_000);
      options.say(`${Math.round(samples.at(-1) ?? 0)}/s`);
    }
    const what = "`backtest` of 1M deposits of 1M wallets";
    const remark = "`--window 5m --limit 8000`, the command's start included";
    return [{ what, unit: "/s", samples, target: atLeast(200_000), remark }];
  },
};

/** `place`: the arguments that say where a million deposits are that groups have done. */
export async function verifying(
  options: BenchmarkOptions,
  place: readonly string[],
): Promise<Figure> {
  const samples: number[] = [];
  const peaksMb: number[] = [];
  for (let run = 0; run < options.runs; run += 1) {
    const { tookMs, peakMb } = await runToEnd(["verify", ...place]);
    samples.push(tookMs / 1_000);
    peaksMb.push(peakMb);
    options.say(`${(tookMs / 1_000).toFixed(1)} s, ${peakMb} MB`);
  }
  const remark = `nothing differs; memory at most ${median(peaksMb).toFixed(0)} MB`;
  const what = "`verify` of 1M deposits of 1M wallets";
  return { what, unit: "s", samples, target: atMost(30), remark };
}

/** Throws when it fails, as `verify` does when anything differs. */
async function runToEnd(
  args: readonly string[],
): Promise<{ readonly tookMs: number; readonly peakMb: number }> {
  let peakMb = 0;
  const tookMs = await timed(async () => {
    const child = startProgram(args);
    while (child.isAlive) {
      peakMb = Math.max(peakMb, memoryMb(child.pid, "VmHWM") || 0);
      await Promise.race([child.exited, Bun.sleep(POLL_MS)]);
    }
    if ((await child.exited) !== 0) throw new Error(`${args[0]} failed`);
  });
  return { tookMs, peakMb };
}
