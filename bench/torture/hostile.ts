/**
 * Hostile clients beside an honest one: connections that say nothing, that say it a byte a second,
 * that say what no client says, that fill the log with wallets, and that take every descriptor.
 *
 *   attack, in a process of its own ──> `up` <── honest client ──how long it waited──> faults
 *
 * What holds: the server closes what does not speak, answers no 5xx, stays within its memory, and
 * the honest client is served all the while; what it was told counts, and nothing else.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cpuMs } from "../machine.ts";
import { type Child, firstAnswer, freePort, runToReport, startProgram } from "../children.ts";
import type { Faults, Ground } from "./chapter.ts";
import type { AttackPlan, AttackReport } from "./hostile/attack.ts";
import { HonestClient } from "./hostile/honest-client.ts";
import { walletFromService } from "./findings.ts";

/** The parser gives a head 12 s and all else 30 s, whatever comes meanwhile. */
const CLOSED_WITHIN_MS = 60_000;
const DRIPPING = 1_000;
const SHAPES = 20_000;
/** For honest clients, files, and the attacker's own. */
const SPARE_DESCRIPTORS = 500;
/** `up` takes up to 490 MB with a million wallets at full load; a fifth for another machine's. */
const MOST_MEMORY_MIB = 590;
const MEMORY_EVERY_MS = 250;
const CALM_MS = 3_000;
/** Of the wallets of the flood, so many are looked up. */
const SAMPLES = 500;
/** So few descriptors, and so many connections that want one. */
const FEW_DESCRIPTORS = 400;
const TOO_MANY = 800;
/** Of a core, without a descriptor left and nothing to do. */
const MOST_CORE = 0.5;
const SETTLES_WITHIN_MS = 120_000;
const POLL_MS = 50;

export async function hostile(ground: Ground): Promise<Faults> {
  const faults: string[] = [];
  faults.push(...(await withServer(ground, "clients", null, (scene) => clients(ground, scene))));
  faults.push(
    ...(await withServer(ground, "few", FEW_DESCRIPTORS, (scene) => descriptors(ground, scene))),
  );
  return faults;
}

interface Scene {
  readonly child: Child;
  readonly port: number;
  readonly honest: HonestClient;
}

async function withServer(
  { folder, seed, errors }: Ground,
  name: string,
  most: number | null,
  run: (scene: Scene) => Promise<readonly string[]>,
): Promise<string[]> {
  const port = freePort();
  const args = ["up", "--port", String(port), "--data", join(folder, name)];
  const child = startProgram(args, { errors, ...(most === null ? {} : { descriptors: most }) });
  await firstAnswer(child, port, "/healthz");
  const honest = new HonestClient(port, `honest-${seed}`);
  const faults = [...(await run({ child, port, honest }))];
  await honest.end();
  if (!child.isAlive) faults.push("the server has ended");
  faults.push(...honest.faults, ...(await judgeHonest(honest, port)));
  await child.stop();
  if ((await child.exited) !== 0) faults.push("the server did not stop with success");
  return faults;
}

async function clients(ground: Ground, { child, port, honest }: Scene): Promise<string[]> {
  const { seed, say, wallets } = ground;
  const faults: string[] = [];
  const limit = descriptorLimit();
  const connections = Math.min(ground.connections, limit - SPARE_DESCRIPTORS);
  if (connections < ground.connections) {
    say(`ONLY ${connections} of ${ground.connections} connections: ulimit -Hn is ${limit}`);
  }
  await Bun.sleep(CALM_MS);
  say(`nobody else: ${honest.report("calm")}; ${memoryMib(child)} MiB`);
  const attack = async (kind: AttackPlan["kind"], count: number) => {
    const memory = watchMemory(child);
    const plan: AttackPlan = { kind, port, count, seed, withinMs: CLOSED_WITHIN_MS };
    const report = await runToReport<AttackReport>("torture/hostile/attack.ts", plan);
    const most = memory.stop();
    if (most > MOST_MEMORY_MIB) faults.push(`${kind}: ${most} MiB, over ${MOST_MEMORY_MIB}`);
    const bad = Object.entries(report.statuses).filter(([status]) => /^5(?!05)/.test(status));
    for (const [status, times] of bad) faults.push(`${kind}: ${times} answers of ${status}`);
    return { ...report, most, honestly: honest.report(kind) };
  };
  for (const [kind, count] of [["idle", connections], ["drip", DRIPPING]] as const) {
    const { made, closed, lastClosedMs, most, honestly } = await attack(kind, count);
    const seconds = (lastClosedMs / 1_000).toFixed(0);
    say(`${kind}: ${made} connections, the last closed after ${seconds} s; ${most} MiB`);
    say(`${kind}: the honest client waited ${honestly}`);
    if (made < count) faults.push(`${kind}: only ${made} of ${count} connections came about`);
    if (closed < made) faults.push(`${kind}: ${made - closed} of ${made} were not closed`);
  }
  const odd = await attack("shapes", SHAPES);
  say(`shapes: ${odd.made} requests, ${JSON.stringify(odd.statuses)}; ${odd.most} MiB`);
  say(`shapes: the honest client waited ${odd.honestly}`);
  const flood = await attack("flood", wallets);
  const rate = (flood.made / (flood.ms / 1_000)).toFixed(0);
  say(`flood: ${flood.made} new wallets, ${rate} a second; at most ${flood.most} MiB`);
  say(`flood: the honest client waited ${flood.honestly}`);
  const taken = flood.statuses["200"] ?? 0;
  if (taken < wallets) faults.push(`flood: only ${taken} of ${wallets} deposits were taken`);
  faults.push(...(await judgeFlood(ground, port)));
  return faults;
}

/** A wallet of the flood has its one deposit, once the processors have come so far. */
async function judgeFlood({ seed, wallets }: Ground, port: number): Promise<string[]> {
  const faults: string[] = [];
  const endMs = performance.now() + SETTLES_WITHIN_MS;
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    const wallet = `flood-${seed}-${Math.floor((sample * wallets) / SAMPLES)}`;
    let found = await walletFromService(port, wallet);
    while (found.totalMinor === 0n && performance.now() < endMs) {
      await Bun.sleep(POLL_MS);
      found = await walletFromService(port, wallet);
    }
    if (found.totalMinor !== 1n) faults.push(`${wallet} has ${found.totalMinor}, not 1`);
  }
  return faults;
}

/** Nobody new comes in, who is in is served, and all comes back with the descriptors. */
async function descriptors(ground: Ground, { child, port, honest }: Scene): Promise<string[]> {
  const faults: string[] = [];
  await Bun.sleep(CALM_MS);
  honest.report("calm");
  const startCpuMs = cpuMs(child.pid);
  const startMs = performance.now();
  const plan: AttackPlan = {
    ...{ kind: "idle", port, count: TOO_MANY, seed: ground.seed, withinMs: CLOSED_WITHIN_MS },
  };
  const report = await runToReport<AttackReport>("torture/hostile/attack.ts", plan);
  const core = (cpuMs(child.pid) - startCpuMs) / (performance.now() - startMs);
  ground.say(
    `descriptors: ${TOO_MANY} connections where there are ${FEW_DESCRIPTORS} descriptors, ` +
      `the last closed after ${(report.lastClosedMs / 1_000).toFixed(0)} s; ` +
      `${(core * 100).toFixed(0)} % of a core`,
  );
  ground.say(`descriptors: the honest client waited ${honest.report("descriptors")}`);
  if (core > MOST_CORE) faults.push(`without descriptors it took ${core.toFixed(2)} of a core`);
  const { made, closed } = report;
  if (closed < made) faults.push(`descriptors: ${made - closed} of ${made} were not closed`);
  const ready = await fetch(`http://127.0.0.1:${port}/readyz`);
  if (ready.status !== 200) faults.push(`descriptors: not ready afterwards, ${ready.status}`);
  return faults;
}

/** Everything that it was told, once, and nothing else. */
async function judgeHonest(honest: HonestClient, port: number): Promise<string[]> {
  const { totalMinor } = await walletFromService(port, honest.wallet);
  const told = BigInt(honest.acknowledged);
  return totalMinor === told ? [] : [`${honest.wallet}: ${totalMinor} counted, ${told} told`];
}

function memoryMib({ pid }: Child): number {
  const [, kib = "0"] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Math.round(Number(kib) / 1_024);
}

function watchMemory(child: Child): { stop(): number } {
  let most = 0;
  const timer = setInterval(() => (most = Math.max(most, memoryMib(child))), MEMORY_EVERY_MS);
  return {
    stop: () => {
      clearInterval(timer);
      return most;
    },
  };
}

/** Of this process, and of those that it starts. */
function descriptorLimit(): number {
  const limits = readFileSync("/proc/self/limits", "utf8");
  return Number(/Max open files\s+(\d+)/.exec(limits)?.[1] ?? 1_024);
}
