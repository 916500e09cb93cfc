/**
 * The torture run: `bun run torture [--kills N] [--seed N] [--minutes N] [--brokers HOST:PORT]`.
 * Every way to run the program at once, on one data folder or, with --brokers or with --kafka (a
 * broker of its own), on a Kafka cluster; each process killed with SIGKILL at random moments under
 * load; at the end every account is checked.
 *
 *   clients, commands ──> fleet (killed, started again) ──> log, tables, answers ──> judgement
 *
 * SIGKILL loses what a process has in memory, not what the system has not yet written to disk: it
 * does not show a missing fsync. The seed decides what is sent and when is killed; what the
 * processes make of it, the machine decides too, so a run is not repeated to the letter.
 */

import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { JVM_FOR_LOAD, KafkaCluster } from "../test/kafka/kafka-cluster.ts";
import { below, randomFrom } from "../src/proof/random.ts";
import { withFolder } from "./machine.ts";
import { Client, newWallets } from "./torture/client.ts";
import { Fleet } from "./torture/fleet.ts";
import { Shell } from "./torture/shell.ts";
import { clusterSite, folderSite, type Site } from "./torture/site.ts";
import { judgeRun } from "./torture/verdict.ts";
import { Witness } from "./torture/witness.ts";

const DEFAULT_KILLS = 200;
const DEFAULT_MINUTES = 20;
const CLIENTS = 12;
const WALLETS = 200;
/** A fleet that answers nothing for so long is killed all the same: it must come back. */
const ANSWERS_WITHIN_MS = 10_000;
const POLL_MS = 20;
const SHOWN_FAULTS = 40;

interface Run {
  readonly site: Site;
  readonly kills: number;
  readonly seed: number;
  readonly endMs: number;
  /** A file descriptor. */
  readonly errors: number;
}

await main();

async function main(): Promise<void> {
  const { kills, seed, minutes, brokers, isOwnCluster } = readOptions();
  const startMs = performance.now();
  const endMs = startMs + minutes * 60_000;
  console.log(`seed ${seed}: ${kills} kills, at most ${minutes} minutes`);
  const faults = await withFolder(async (folder) => {
    await using own = isOwnCluster ? await KafkaCluster.start({ jvm: JVM_FOR_LOAD }) : null;
    const given = own?.addresses() ?? brokers;
    const path = join(folder, "errors");
    const errors = openSync(path, "a");
    const prefix = `torture-${seed}-${process.pid}-`;
    const site =
      given === null
        ? folderSite(join(folder, "data"))
        : clusterSite({ brokers: given, prefix, folder });
    const found = await torture({ site, kills, seed, endMs, errors });
    closeSync(errors);
    if (found.length > 0) console.log(readFileSync(path, "utf8").slice(-10_000));
    return found;
  });
  for (const fault of faults.slice(0, SHOWN_FAULTS)) console.log(`FAULT ${fault}`);
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(0);
  const verdict = faults.length === 0 ? "nothing lost, nothing twice" : `${faults.length} faults`;
  console.log(`seed ${seed}: ${verdict}, ${seconds} s`);
  process.exit(faults.length === 0 ? 0 : 1);
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: String(DEFAULT_KILLS) },
      seed: { type: "string", default: String(below(Math.random, 1_000_000)) },
      minutes: { type: "string", default: String(DEFAULT_MINUTES) },
      brokers: { type: "string" },
      kafka: { type: "boolean", default: false },
    },
  });
  const numbers = [values.kills, values.seed, values.minutes].map(Number);
  const [kills = 0, seed = 0, minutes = 0] = numbers;
  if (!(kills > 0) || !Number.isInteger(seed) || !(minutes > 0)) {
    console.error(
      "usage: torture [--kills N] [--seed N] [--minutes N] [--brokers HOST:PORT,... | --kafka]",
    );
    process.exit(2);
  }
  return { kills, seed, minutes, brokers: values.brokers ?? null, isOwnCluster: values.kafka };
}

async function torture({ site, kills, seed, endMs, errors }: Run): Promise<readonly string[]> {
  const witness = new Witness();
  const problem = (text: string) => void witness.problems.push(text);
  const fleet = new Fleet({ site, random: randomFrom(seed), errors, problem });
  const stopping = new AbortController();
  await fleet.start();
  const { ports } = fleet;
  const wallets = newWallets(`wallet-${seed}`, WALLETS);
  const common = { ports, wallets, witness, signal: stopping.signal };
  const clients = Array.from({ length: CLIENTS }, (_, index) =>
    new Client({ ...common, name: `c${index}`, random: randomFrom(seed + 1 + index) }),
  );
  const random = randomFrom(seed - 1);
  const shell = new Shell({ ...common, name: "shell", random, flags: site.flags(0), errors });
  const working = Promise.all([...clients, shell].map((each) => each.run()));

  const chance = randomFrom(seed + 1_000);
  while (fleet.kills < kills && performance.now() < endMs) {
    const enough = witness.answers + chance() * site.answersBetweenKills * 2;
    await Bun.sleep(chance() * site.calmMs);
    const patienceMs = Math.min(endMs, performance.now() + ANSWERS_WITHIN_MS);
    while (witness.answers < enough && performance.now() < patienceMs) await Bun.sleep(POLL_MS);
    await fleet.strike();
  }
  stopping.abort();
  await fleet.recover();
  await working;
  console.log(
    `${fleet.kills} processes killed (${fleet.processorKills} ran groups), and ` +
      `${shell.kills} commands; ` +
      `${witness.keyed.size} deposits with a key and ${witness.unkeyed.length} without ` +
      `acknowledged, ${witness.refused.length} refused, ${witness.conflicts.length} conflicts`,
  );
  const { faults, summary } = await judgeRun({ site, witness, ports, stop: () => fleet.stop() });
  console.log(summary);
  return faults;
}
