/**
 * A backlog: a million deposits over 10,000 wallets that no group has seen, through all groups by
 * one `process --all`, from its start until all is settled; then what they take on disk.
 */

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Child, startProgram } from "../children.ts";
import { appendHistory, DAY, type History, openFolder, settleAll } from "../history.ts";
import { withFolder } from "../machine.ts";
import {
  atLeast,
  type Benchmark,
  type BenchmarkOptions,
  type Figure,
  timed,
} from "../measurement.ts";

const DEPOSITS = 1_000_000;
const QUICK_DEPOSITS = 2_000;
const WALLETS = 10_000;

export const backlog: Benchmark = {
  name: "backlog",
  async run(options) {
    const size = { deposits: options.isQuick ? QUICK_DEPOSITS : DEPOSITS, wallets: WALLETS };
    const remark = "one `process --all`, one deposit in 100 exceeds";
    return [
      ...(await measure(options, {
        what: "backlog of 1M deposits over 10k wallets through all groups",
        remark,
        wanted: 50_000,
        history: { ...size, ...DAY, hasIds: false },
      })),
      ...(await measure(options, {
        what: "the same, an id each",
        remark,
        wanted: 30_000,
        history: { ...size, ...DAY, hasIds: true },
      })),
    ];
  },
};

interface Case {
  readonly what: string;
  readonly remark: string;
  readonly wanted: number;
  readonly history: History;
}

async function measure(
  options: BenchmarkOptions,
  { what, remark, wanted, history }: Case,
): Promise<readonly Figure[]> {
  const perSecond: number[] = [];
  const bytesPerDeposit: number[] = [];
  for (let run = 1; run <= options.runs; run += 1) {
    await withFolder(async (folder) => {
      const app = await openFolder(folder);
      await appendHistory(app, history);
      let child: Child | null = null;
      const tookMs = await timed(() => {
        child = startProgram(["process", "--all", "--data", folder]);
        return settleAll(app);
      });
      await (child as Child | null)?.stop();
      await app.close();
      perSecond.push((history.deposits / tookMs) * 1_000);
      bytesPerDeposit.push(bytesIn(folder) / history.deposits);
      options.say(`${what}: ${Math.round(perSecond.at(-1) ?? 0)}/s`);
    });
  }
  return [
    { what, unit: "/s", samples: perSecond, target: atLeast(wanted), remark },
    {
      what: `bytes on disk a deposit${history.hasIds ? ", an id each" : ""}`,
      unit: "bytes",
      samples: bytesPerDeposit,
      target: null,
      remark: "log and stores of that backlog",
    },
  ];
}

function bytesIn(folder: string): number {
  return readdirSync(folder, { recursive: true })
    .map((name) => statSync(join(folder, String(name))))
    .reduce((sum, entry) => sum + (entry.isFile() ? entry.size : 0), 0);
}
