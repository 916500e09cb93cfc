/**
 * A lost store: one group's stores are deleted, and `process` builds them anew by running their
 * inputs again, from its start until they stand where the group has committed.
 */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { type App, PROCESSOR_NAMES, type ProcessorName } from "../../src/app.ts";
import { type Child, startProgram } from "../children.ts";
import { DAY, makeHistory, openFolder } from "../history.ts";
import { withFolder } from "../machine.ts";
import { atLeast, type Benchmark, type Figure, timed } from "../measurement.ts";

const DEPOSITS = 1_000_000;
const QUICK_DEPOSITS = 2_000;
const WALLETS = 10_000;
const REBUILT_WITHIN_MS = 10 * 60 * 1_000;
const POLL_MS = 10;

export const rebuild: Benchmark = {
  name: "rebuild",
  run: (options) =>
    withFolder(async (folder) => {
      const deposits = options.isQuick ? QUICK_DEPOSITS : DEPOSITS;
      await makeHistory(folder, { ...DAY, deposits, wallets: WALLETS, hasIds: false });
      const figures: Figure[] = [];
      for (const name of Object.keys(PROCESSOR_NAMES) as ProcessorName[]) {
        const samples: number[] = [];
        for (let run = 0; run < options.runs; run += 1) {
          const tookMs = await rebuildOnce(folder, name);
          samples.push((deposits / tookMs) * 1_000);
          options.say(`${name}: ${Math.round(samples.at(-1) ?? 0)}/s`);
        }
        const what = `rebuilding the ${name}'s lost stores, 1M deposits`;
        const remark = name === "flagger" ? "deposits whose flags are read, one in 100" : "";
        figures.push({ what, unit: "/s", samples, target: atLeast(50_000), remark });
      }
      return figures;
    }),
};

async function rebuildOnce(folder: string, name: ProcessorName): Promise<number> {
  const group = PROCESSOR_NAMES[name];
  rmSync(join(folder, "stores", `${group}-table`), { recursive: true });
  const app = await openFolder(folder);
  let child: Child | null = null;
  const tookMs = await timed(async () => {
    child = startProgram(["process", name, "--data", folder]);
    const deadlineMs = performance.now() + REBUILT_WITHIN_MS;
    while (!(await isRebuilt(app, group))) {
      if (performance.now() > deadlineMs) throw new Error(`${name} is not rebuilt in 10 minutes`);
      await Bun.sleep(POLL_MS);
    }
  });
  await (child as Child | null)?.stop();
  await app.close();
  return tookMs;
}

async function isRebuilt(app: App, group: string): Promise<boolean> {
  for (let partition = 0; partition < app.partitions; partition += 1) {
    const committed = await app.log.progress(group, partition);
    const wanted = committed?.inputs[0]?.nextOffset ?? 0n;
    if (wanted > (app.progressOf(group, partition)?.inputs[0]?.nextOffset ?? 0n)) return false;
  }
  return true;
}
