/**
 * The torture run: `bun run torture [--kills N] [--seed N] [--minutes N]`. Every way to
 * run the program at once on one data folder, each process killed with SIGKILL at random moments
 * under load; at the end every account is checked.
 *
 *   clients, commands ──> fleet (killed, started again) ──> log, tables, answers ──> judgement
 *
 * SIGKILL loses what a process has in memory, not what the system has not yet written to disk: it
 * does not show a missing fsync. The seed decides what is sent and when is killed; what the
 * processes make of it, the machine decides too, so a run is not repeated to the letter.
 */

import { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { PROCESSOR_NAMES, type ProcessorName } from "../src/app.ts";
import { openFolder } from "./history.ts";
import { below, randomFrom } from "./load/random.ts";
import { withFolder } from "./machine.ts";
import { Client, type Wallet } from "./torture/client.ts";
import { readDepositLog } from "./torture/deposit-log.ts";
import { settleEverything, walletFromService, walletInTables } from "./torture/findings.ts";
import { Fleet } from "./torture/fleet.ts";
import { expectedWallets, judgeLog, judgeWallet } from "./torture/judgement.ts";
import { Shell } from "./torture/shell.ts";
import { Witness } from "./torture/witness.ts";

const DEFAULT_KILLS = 200;
const DEFAULT_MINUTES = 20;
const CLIENTS = 12;
const WALLETS = 200;
/** Below the limit for good, near it within two minutes, above it soon, above it at once. */
const MOST_MINOR = [100, 8_000, 50_000, 700_000];
/** Between two kills, on average half of it. */
const CALM_MS = 1_200;
const SETTLES_WITHIN_MS = 60_000;
const SHOWN_FAULTS = 40;

interface Run {
  readonly folder: string;
  readonly kills: number;
  readonly seed: number;
  readonly endMs: number;
  /** A file descriptor. */
  readonly errors: number;
}

await main();

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: String(DEFAULT_KILLS) },
      seed: { type: "string", default: String(below(Math.random, 1_000_000)) },
      minutes: { type: "string", default: String(DEFAULT_MINUTES) },
    },
  });
  const [kills, seed, minutes] = [values.kills, values.seed, values.minutes].map(Number);
  if (!(kills && kills > 0) || !Number.isInteger(seed) || !(minutes && minutes > 0)) {
    console.error("usage: torture [--kills N] [--seed N] [--minutes N]");
    process.exit(2);
  }
  const startMs = performance.now();
  const endMs = startMs + minutes * 60_000;
  console.log(`seed ${seed}: ${kills} kills, at most ${minutes} minutes`);
  const faults = await withFolder(async (folder) => {
    const path = join(folder, "errors");
    const errors = openSync(path, "a");
    const data = join(folder, "data");
    const found = await torture({ folder: data, kills, seed: seed ?? 0, endMs, errors });
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

async function torture({ folder, kills, seed, endMs, errors }: Run): Promise<string[]> {
  const witness = new Witness();
  const problem = (text: string) => void witness.problems.push(text);
  const fleet = new Fleet({ folder, random: randomFrom(seed), errors, problem });
  const stopping = new AbortController();
  await fleet.start();
  const { ports } = fleet;
  const common = { ports, wallets: newWallets(seed), witness, signal: stopping.signal };
  const clients = Array.from({ length: CLIENTS }, (_, index) =>
    new Client({ ...common, name: `c${index}`, random: randomFrom(seed + 1 + index) }),
  );
  const random = randomFrom(seed - 1);
  const shell = new Shell({ ...common, name: "shell", random, folder, errors });
  const working = Promise.all([...clients, shell].map((each) => each.run()));

  const chance = randomFrom(seed + 1_000);
  while (fleet.kills < kills && performance.now() < endMs) {
    await Bun.sleep(chance() * CALM_MS);
    await fleet.strike();
  }
  stopping.abort();
  await fleet.recover();
  await working;
  console.log(
    `${fleet.kills} processes killed, and ${shell.kills} commands; ` +
      `${witness.keyed.size} deposits with a key and ${witness.unkeyed.length} without ` +
      `acknowledged, ${witness.refused.length} refused, ${witness.conflicts.length} conflicts`,
  );
  return judge(folder, fleet, witness);
}

async function judge(folder: string, fleet: Fleet, witness: Witness): Promise<string[]> {
  const faults: string[] = [];
  const app = await openFolder(folder);
  const unsettled = await settleEverything(app, SETTLES_WITHIN_MS);
  if (unsettled !== null) faults.push(unsettled);
  const log = await readDepositLog(app.log, app.partitions);
  const expected = expectedWallets(log);
  for (const port of fleet.ports) {
    for (const each of expected) {
      const found = await walletFromService(port, each.wallet);
      faults.push(...judgeWallet(each, found, `the answer of port ${port}`));
    }
  }
  for (const each of expected) {
    faults.push(...judgeWallet(each, walletInTables(app, each.wallet), "the tables"));
  }
  await fleet.stop();
  await app.close();
  faults.push(...judgeLog(log, witness));

  rmSync(join(folder, "stores"), { recursive: true });
  const rebuilt = await openFolder(folder);
  const processors = rebuilt.startProcessors(Object.keys(PROCESSOR_NAMES) as ProcessorName[]);
  const unbuilt = await settleEverything(rebuilt, SETTLES_WITHIN_MS);
  if (unbuilt !== null) faults.push(`rebuilding: ${unbuilt}`);
  for (const each of expected) {
    faults.push(...judgeWallet(each, walletInTables(rebuilt, each.wallet), "the rebuilt tables"));
  }
  for (const processor of processors) await processor.stop();
  await rebuilt.close();

  const flagged = expected.filter(({ isFlagged }) => isFlagged).length;
  const events = expected.reduce((sum, { exceeding }) => sum + exceeding.length, 0);
  console.log(
    `${log.byPosition.size} records: ${log.repeats} repeats and ${log.conflicts} conflicts not ` +
      `counted; ${expected.length} wallets, ${flagged} flagged, ${events} events`,
  );
  return faults;
}

function newWallets(seed: number): Wallet[] {
  return Array.from({ length: WALLETS }, (_, index) => ({
    name: `wallet-${seed}-${index}`,
    mostMinor: MOST_MINOR[index % MOST_MINOR.length] as number,
  }));
}
