/**
 * An import of a million lines: from the command's start until all are appended, the check of the
 * whole file included; and until they are counted, which is when the command ends.
 */

import { join } from "node:path";
import type { App } from "../../src/app.ts";
import { depositStream } from "../../src/deposits/deposit.ts";
import { startProgram } from "../children.ts";
import { openFolder } from "../history.ts";
import { walletName } from "../load-plan.ts";
import { below, randomFrom } from "../../src/proof/random.ts";
import { withFolder } from "../machine.ts";
import { atLeast, type Benchmark, type BenchmarkOptions, timed } from "../measurement.ts";

const LINES = 1_000_000;
const QUICK_LINES = 2_000;
const WALLETS = 10_000;
const POLL_MS = 10;

export const importing: Benchmark = {
  name: "import",
  async run(options) {
    const appended: number[] = [];
    const counted: number[] = [];
    const lines = options.isQuick ? QUICK_LINES : LINES;
    for (let run = 0; run < options.runs; run += 1) {
      await withFolder(async (folder) => {
        const path = join(folder, "history.ndjson");
        await Bun.write(path, historyText(lines));
        const app = await openFolder(join(folder, "data"));
        const { appendedMs, countedMs } = await importOnce(app, { folder, path, lines });
        await app.close();
        appended.push((lines / appendedMs) * 1_000);
        counted.push((lines / countedMs) * 1_000);
        tell(options, appended.at(-1) ?? 0, counted.at(-1) ?? 0);
      });
    }
    const what = "import of 1M lines until appended, check of the file included";
    const remark = "NDJSON, 10k wallets";
    return [
      { what, unit: "/s", samples: appended, target: atLeast(50_000), remark },
      {
        what: "the same until counted by all groups",
        unit: "/s",
        samples: counted,
        target: null,
        remark: "the command stands in for them",
      },
    ];
  },
};

async function importOnce(
  app: App,
  { folder, path, lines }: { folder: string; path: string; lines: number },
) {
  const startMs = performance.now();
  const child = startProgram(["import", path, "--data", join(folder, "data")]);
  const appendedMs = await timed(async () => {
    while ((await depositsIn(app)) < lines && child.isAlive) await Bun.sleep(POLL_MS);
  });
  if ((await child.exited) !== 0) throw new Error("the import failed");
  return { appendedMs, countedMs: performance.now() - startMs };
}

async function depositsIn(app: App): Promise<number> {
  let count = 0;
  for (let partition = 0; partition < app.partitions; partition += 1) {
    count += Number((await app.log.bounds(depositStream.topic, partition)).end);
  }
  return count;
}

function historyText(lines: number): string {
  const random = randomFrom(1);
  const startMs = Date.now() - lines * 100;
  const rows: string[] = [];
  for (let index = 0; index < lines; index += 1) {
    const wallet = walletName(below(random, WALLETS));
    const amount = `${below(random, 9)}.${10 + below(random, 90)}`;
    const acceptedAt = new Date(startMs + index * 100).toISOString();
    rows.push(`{"wallet_id":"${wallet}","amount":"${amount}","accepted_at":"${acceptedAt}"}`);
  }
  return `${rows.join("\n")}\n`;
}

function tell(options: BenchmarkOptions, appended: number, counted: number): void {
  options.say(`${Math.round(appended)}/s appended, ${Math.round(counted)}/s counted`);
}
