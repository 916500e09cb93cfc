/** Processors that die at each step of a commit of each group, or hang within one. */

import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { settleEverything } from "../../../bench/torture/findings.ts";
import { clusterSite, openCluster, type Site } from "../../../bench/torture/site.ts";
import { judgeRun } from "../../../bench/torture/verdict.ts";
import { Witness } from "../../../bench/torture/witness.ts";
import type { App, ProcessorName } from "../../../src/app.ts";
import { newDeposit } from "../../../src/deposits/deposit.ts";
import { formatPosition } from "../../../src/stream/position.ts";
import type { Processor } from "../../../src/stream/processor.ts";
import { temporaryFolder, until } from "../../end-to-end/program.ts";
import { freshPrefix, kafkaTest, kafkaTestBeside, testBrokers } from "../broker.ts";
import { CRASH_GROUPS, CRASH_STEPS, type CrashTask } from "./crash-child.ts";

const TEST_MS = 120_000;
const CHILD_MS = 60_000;
/** Few, so that each round's deposits meet every group in each. */
const PARTITIONS = 2;
const WALLETS = ["a", "b", "c", "d", "e", "f", "g", "h"];
const ALL: ProcessorName[] = ["collector", "detector", "flagger"];
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
        signal: "SIGKILL" as const,
      };
      expect([diesAt, await endOf(start(child))]).toEqual([diesAt, "SIGKILL"]);
    }
    await app.close();
    // What the last one had is taken by one with its stores.
    const next = await openCluster({ ...place, folder: join(folder.path, "killed") });
    const processors = next.startProcessors(ALL);
    const site = clusterSite({ ...place, folder: folder.path });
    expect(await faultsAtTheEnd({ site, app: next, processors, witness })).toEqual([]);
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
  const asked = emissions.map(({ key, message }) => witness.askUnkeyed(key, message.amountMinor));
  const positions = await app.deposits.emitAll(emissions);
  asked.forEach((sending, index) => {
    const position = formatPosition(positions[index] as (typeof positions)[number]);
    witness.toldUnkeyed(sending, JSON.stringify({ position }));
  });
}

// With nothing written yet, and with what would hold up whoever reads the progress.
for (const diesAt of ["transaction begun", "before commit"] as const) {
  kafkaTestBeside(`one that hangs at "${diesAt}", past its session, commits nothing`, async () => {
    using folder = temporaryFolder();
    const place = { brokers: await testBrokers(), prefix: freshPrefix() };
    const witness = new Witness();
    const own = { folder: join(folder.path, "test"), partitions: PARTITIONS };
    const app = await openCluster({ ...place, ...own });
    await deposit(app, witness);
    // It would write the same flag events as the one that takes over.
    const child = start({
      ...{ ...place, folder: join(folder.path, "hanging"), partitions: PARTITIONS },
      ...{ group: "threshold", diesAt, signal: "SIGSTOP" },
    });
    await until(() => isStopped(child.pid), () => "the child runs on");
    const processors = app.startProcessors(ALL);
    const groups = CRASH_GROUPS.map(({ name }) => name);
    const clients = async () => {
      const all = await Promise.all(groups.map((group) => app.log.owners(group)));
      return all.flat().map(({ owner }) => owner?.includes("crash"));
    };
    const isTakenOver = () => {
      const states = processors.find((each) => each.group.name === "threshold")?.state() ?? [];
      return states.filter(({ progress }) => progress !== null).length === PARTITIONS;
    };
    await until(isTakenOver, () => "its records were not done by the other");
    child.kill("SIGCONT");
    // It is a member again: what it had begun is over.
    await until(async () => (await clients()).includes(true), () => "it does not come back");
    await deposit(app, witness);
    expect(await settleEverything(app, CHILD_MS)).toBeNull();
    child.kill("SIGKILL");
    const site = clusterSite({ ...place, folder: folder.path });
    expect(await faultsAtTheEnd({ site, app, processors, witness })).toEqual([]);
  }, TEST_MS);
}

/** Once all is settled; app and processors are closed. */
async function faultsAtTheEnd(run: {
  readonly site: Site;
  readonly app: App;
  readonly processors: readonly Processor[];
  readonly witness: Witness;
}): Promise<readonly string[]> {
  const { site, app, processors, witness } = run;
  expect(await settleEverything(app, CHILD_MS)).toBeNull();
  const stop = async () => {
    for (const processor of processors) await processor.stop();
    await app.close();
  };
  return (await judgeRun({ site, witness, ports: [], stop })).faults;
}

/** As ps shows it: T. */
function isStopped(pid: number): boolean {
  return /\) T /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

function start(task: CrashTask): Bun.Subprocess {
  const program = join(import.meta.dir, "crash-child.ts");
  return Bun.spawn([process.execPath, program, JSON.stringify(task)], {
    stdio: ["ignore", "inherit", "inherit"],
    timeout: CHILD_MS,
    killSignal: "SIGKILL",
  });
}

/** The signal that ended it. */
async function endOf(child: Bun.Subprocess): Promise<string> {
  await child.exited;
  return String(child.signalCode);
}
