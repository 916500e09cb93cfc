/**
 * A million rows of a changelog: into a new view of `serve`, and into the collector's lost stores,
 * from a process's start until its rows stand where the group has committed.
 */

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { balanceGroup } from "../../src/collector/collector.ts";
import { tableName } from "../../src/stream/group.ts";
import type { Store } from "../../src/stream/store.ts";
import { Stores } from "../../src/stream/stores.ts";
import type { Child } from "../children.ts";
import { appendHistory, DAY } from "../history.ts";
import { atLeast, type Benchmark, type BenchmarkOptions, type Figure } from "../measurement.ts";
import {
  type Deployment,
  startProcess,
  startServe,
  whenDone,
  withDeployment,
} from "./deployment.ts";

const ROWS = 1_000_000;
const QUICK_ROWS = 2_000;
const WITHIN_MS = 5 * 60 * 1_000;
const POLL_MS = 10;
const WANTED = atLeast(100_000);

export function viewCatchUp(brokers: string): Benchmark {
  return {
    name: "view",
    run: (options) =>
      measure(brokers, options, {
        what: "catch-up of a new view of 1M rows",
        kept: "views",
        start: startServe,
      }),
  };
}

export function storeRecovery(brokers: string): Benchmark {
  return {
    name: "store",
    run: (options) =>
      measure(brokers, options, {
        what: "recovery of the collector's lost stores, 1M rows",
        kept: "stores",
        start: async (deployment) => startProcess(deployment, "collector"),
      }),
  };
}

interface Case {
  readonly what: string;
  /** The folder in a process's place. */
  readonly kept: "views" | "stores";
  readonly start: (deployment: Deployment) => Promise<Child>;
}

function measure(
  brokers: string,
  options: BenchmarkOptions,
  { what, kept, start }: Case,
): Promise<readonly Figure[]> {
  return withDeployment(brokers, async (deployment) => {
    const rows = options.isQuick ? QUICK_ROWS : ROWS;
    await makeRows(deployment, rows);
    const samples: number[] = [];
    for (let run = 0; run < options.runs; run += 1) {
      rmSync(deployment.folder, { recursive: true });
      mkdirSync(deployment.folder);
      const startMs = performance.now();
      const starting = start(deployment);
      await whenInStep(deployment, kept);
      samples.push((rows / (performance.now() - startMs)) * 1_000);
      options.say(`${Math.round(samples.at(-1) ?? 0)}/s`);
      await (await starting).stop();
    }
    const remark = "one row a wallet, from the process's start";
    return [{ what, unit: "/s", samples, target: WANTED, remark }];
  });
}

/** One wallet a row: the collector has done a deposit for each. */
async function makeRows(deployment: Deployment, rows: number): Promise<void> {
  const history = { ...DAY, deposits: rows, wallets: rows, hasIds: false };
  await appendHistory(deployment.app, history);
  const collector = startProcess(deployment, "collector");
  await whenDone(deployment, [balanceGroup.name]);
  await collector.stop();
}

/** Until the files of the only process say so. */
async function whenInStep(deployment: Deployment, kept: Case["kept"]): Promise<void> {
  const { log, partitions } = deployment.app;
  const deadlineMs = performance.now() + WITHIN_MS;
  const wait = async () => {
    if (performance.now() > deadlineMs) throw new Error("the rows are not there in 5 minutes");
    await Bun.sleep(POLL_MS);
  };
  for (let partition = 0; partition < partitions; partition += 1) {
    const wanted = (await log.progress(balanceGroup.name, partition))?.changelogOffset ?? null;
    if (wanted === null) throw new Error(`partition ${partition} has no rows`);
    let store: Store | null = null;
    while ((store = open(deployment, kept, partition)) === null) await wait();
    while (store.progress()?.changelogOffset !== wanted) await wait();
    store.close();
  }
}

function open({ folder, app }: Deployment, kept: string, partition: number): Store | null {
  const [place] = new Bun.Glob(`kafka/*/*/*/${kept}`).scanSync({ cwd: folder, onlyFiles: false });
  if (place === undefined) return null;
  const stores = new Stores(join(folder, place), app.log.incarnation);
  return stores.openForReading(tableName(balanceGroup), partition);
}
