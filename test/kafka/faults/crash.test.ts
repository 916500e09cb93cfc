/** Processors that die at each step of a commit of each group. */

import { expect } from "bun:test";
import { join } from "node:path";
import { settleEverything } from "../../../bench/torture/findings.ts";
import { clusterSite, openCluster } from "../../../bench/torture/site.ts";
import { judgeRun } from "../../../bench/torture/verdict.ts";
import { Witness } from "../../../bench/torture/witness.ts";
import type { App } from "../../../src/app.ts";
import { newDeposit } from "../../../src/deposits/deposit.ts";
import { formatPosition } from "../../../src/stream/position.ts";
import { temporaryFolder } from "../../end-to-end/program.ts";
import { freshPrefix, kafkaTest, testBrokers } from "../broker.ts";
import { CRASH_GROUPS, CRASH_STEPS, type CrashTask } from "./crash-child.ts";

const TEST_MS = 120_000;
const CHILD_MS = 30_000;
/** Few, so that each round's deposits meet every group in each. */
const PARTITIONS = 2;
const WALLETS = ["a", "b", "c", "d", "e", "f", "g", "h"];
const SMALL = 100n;
const OVER_LIMIT = 1_000_001n;

for (const { name: group } of CRASH_GROUPS) {
  kafkaTest(`whatever step of a commit of ${group} it dies at, all is counted once`, async () => {
    using folder = temporaryFolder();
    const place = { brokers: await testBrokers(), prefix: freshPrefix() };
    const witness = new Witness();
    const app = await openCluster({
      ...place,
      folder: join(folder.path, "test"),
      partitions: PARTITIONS,
    });
    for (const diesAt of CRASH_STEPS) {
      await deposit(app, witness);
      const child = {
        ...place,
        ...{ folder: join(folder.path, "killed"), partitions: PARTITIONS, group, diesAt },
      };
      expect([diesAt, await endOf(child)]).toEqual([diesAt, "SIGKILL"]);
    }
    await app.close();
    // What the last one had is taken by one with its stores.
    const next = await openCluster({ ...place, folder: join(folder.path, "killed") });
    const processors = next.startProcessors(["collector", "detector", "flagger"]);
    expect(await settleEverything(next, CHILD_MS)).toBeNull();
    const { faults } = await judgeRun({
      site: clusterSite({ ...place, folder: folder.path }),
      witness,
      ports: [],
      stop: async () => {
        for (const processor of processors) await processor.stop();
        await next.close();
      },
    });
    expect(faults).toEqual([]);
  }, TEST_MS);
}

/** Two into every wallet: each group has something to commit in every partition. */
async function deposit(app: App, witness: Witness): Promise<void> {
  const emissions = WALLETS.flatMap((key) =>
    [SMALL, OVER_LIMIT].map((amountMinor) => ({
      key,
      message: newDeposit({ amountMinor, acceptedAtMs: app.nowMs() }),
    })),
  );
  const positions = await app.deposits.emitAll(emissions);
  emissions.forEach(({ key, message }, index) => {
    const attempt = { wallet: key, key: null, amountMinor: message.amountMinor };
    const position = formatPosition(positions[index] as (typeof positions)[number]);
    witness.askUnkeyed(key, message.amountMinor);
    witness.toldUnkeyed(attempt, JSON.stringify({ position }));
  });
}

/** The signal that ended it. */
async function endOf(task: CrashTask): Promise<string> {
  const program = join(import.meta.dir, "crash-child.ts");
  const child = Bun.spawn([process.execPath, program, JSON.stringify(task)], {
    stdio: ["ignore", "inherit", "inherit"],
    timeout: CHILD_MS,
  });
  await child.exited;
  return String(child.signalCode);
}
