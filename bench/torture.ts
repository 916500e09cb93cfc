/**
 * The torture run: every process on this machine that a user may run, under faults that a user may
 * meet, judged by records that the program has no part in. docs/torture.md says what each chapter
 * does.
 *
 *   command line ──> chapters, one after the other ──> faults ──> exit code 0 or 1
 *
 * The seed decides what is sent and when a fault comes; what the processes make of it, the machine
 * decides too, so a run is not repeated to the letter.
 */

import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { JVM_FOR_LOAD, KafkaCluster } from "../test/kafka/kafka-cluster.ts";
import { below } from "../src/proof/random.ts";
import { withFolder } from "./machine.ts";
import type { Chapter } from "./torture/chapter.ts";
import { clocks } from "./torture/clocks.ts";
import { disks } from "./torture/disks.ts";
import { hostile } from "./torture/hostile.ts";
import { kills } from "./torture/kills.ts";

/** In the order in which they run. */
const CHAPTERS: Readonly<Record<string, Chapter>> = { clocks, disks, hostile, kills };
/** What can run in a cluster: disks are the brokers' matter there, and clients meet the same. */
const IN_A_CLUSTER = ["kills"];

const USAGE =
  "usage: torture [--only CHAPTER,...] [--seed N] [--kills N] [--minutes N] [--connections N] " +
  "[--wallets N] [--brokers HOST:PORT,... | --kafka]; " +
  `the chapters are ${Object.keys(CHAPTERS).join(", ")}`;
const DEFAULTS = { kills: 1_000, minutes: 60, connections: 10_000, wallets: 1_000_000 };
const SHOWN_FAULTS = 40;
const SHOWN_ERRORS = 10_000;

await main();

async function main(): Promise<void> {
  const options = readOptions();
  const { seed, chapters } = options;
  const startMs = performance.now();
  const endMs = startMs + options.minutes * 60_000;
  console.log(`seed ${seed}: ${chapters.join(", ")}; at most ${options.minutes} minutes`);
  const faults: string[] = [];
  const skipped: string[] = [];
  await withFolder(async (folder) => {
    await using own = options.isOwnCluster ? await KafkaCluster.start({ jvm: JVM_FOR_LOAD }) : null;
    const brokers = own?.addresses() ?? options.brokers;
    for (const name of chapters) {
      const prefix = `torture-${name}-${seed}-${process.pid}-`;
      const cluster = brokers === null ? null : { brokers, prefix };
      const ground = { ...options, folder: join(folder, name), cluster, endMs };
      const found = await runChapter(name, ground);
      if (found === null) skipped.push(name);
      else faults.push(...found.map((fault) => `${name}: ${fault}`));
    }
  });
  for (const fault of faults.slice(0, SHOWN_FAULTS)) console.log(`FAULT ${fault}`);
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(0);
  const verdict = faults.length === 0 ? "nothing lost, nothing twice" : `${faults.length} faults`;
  const left = skipped.length === 0 ? "" : `, SKIPPED: ${skipped.join(", ")}`;
  console.log(`seed ${seed}: ${verdict}, ${seconds} s${left}`);
  process.exit(faults.length === 0 ? 0 : 1);
}

type Options = ReturnType<typeof readOptions>;

async function runChapter(
  name: string,
  options: Options & Pick<Parameters<Chapter>[0], "folder" | "cluster" | "endMs">,
) {
  const path = join(options.folder, "errors");
  mkdirSync(options.folder, { recursive: true });
  const errors = openSync(path, "a");
  const say = (line: string) => console.log(`${name}: ${line}`);
  const startMs = performance.now();
  const found = await (CHAPTERS[name] as Chapter)({ ...options, errors, say });
  closeSync(errors);
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(0);
  if (found === null) return null;
  say(`${found.length === 0 ? "clean" : `${found.length} faults`}, ${seconds} s`);
  if (found.length > 0) console.log(readFileSync(path, "utf8").slice(-SHOWN_ERRORS));
  return found;
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      only: { type: "string" },
      kills: { type: "string", default: String(DEFAULTS.kills) },
      seed: { type: "string", default: String(below(Math.random, 1_000_000)) },
      minutes: { type: "string", default: String(DEFAULTS.minutes) },
      connections: { type: "string", default: String(DEFAULTS.connections) },
      wallets: { type: "string", default: String(DEFAULTS.wallets) },
      brokers: { type: "string" },
      kafka: { type: "boolean", default: false },
    },
  });
  const brokers = values.brokers ?? null;
  const isInCluster = brokers !== null || values.kafka;
  const possible = isInCluster ? IN_A_CLUSTER : Object.keys(CHAPTERS);
  const chapters = values.only?.split(",") ?? possible;
  const { kills: killCount, seed, minutes, connections, wallets } = values;
  const numbers = [killCount, seed, minutes, connections, wallets].map(Number);
  const [kills_ = 0, seed_ = 0, minutes_ = 0, connections_ = 0, wallets_ = 0] = numbers;
  const counts = [kills_, connections_, wallets_];
  if (
    chapters.some((name) => !possible.includes(name)) ||
    (brokers !== null && !/:\d+$/.test(brokers)) ||
    counts.some((count) => !Number.isInteger(count) || count < 1) ||
    !Number.isInteger(seed_) ||
    !(minutes_ > 0)
  ) {
    console.error(USAGE);
    process.exit(2);
  }
  return {
    ...{ chapters, brokers, isOwnCluster: values.kafka },
    ...{ seed: seed_, minutes: minutes_, kills: kills_ },
    ...{ connections: connections_, wallets: wallets_ },
  };
}
