/**
 * Disks: the fleet on a small disk of its own, which fails in every way that a disk can.
 *
 *   full, fsync or write answered EIO, read-only, cut off, kill -9 ──> 503 or a stop ──> mended
 *
 * What was acknowledged before, between and after must be there in the end, and what was refused
 * must not. A server whose fsync has failed must answer no deposit with 200 before a restart.
 */

import { join } from "node:path";
import { LoopDisk, whyNoLoopDisk } from "../../test/end-to-end/loop-disk.ts";
import { whilePaused } from "../../test/end-to-end/paused.ts";
import { Trace, whyUntraceable } from "../../test/end-to-end/traced-program.ts";
import { below, type Random, randomFrom } from "../../src/proof/random.ts";
import type { Faults, Ground } from "./chapter.ts";
import { Crowd, crowdSummary } from "./crowd.ts";
import { Fleet } from "./fleet.ts";
import { folderSite } from "./site.ts";
import { judgeRun } from "./verdict.ts";
import { Witness } from "./witness.ts";

/** Log and stores of the run take a tenth of it. */
const MEGABYTES = 192;
const ROUNDS = 40;
const MOST_CALM_MS = 1_500;
/** So long a disk is bad. */
const MOST_BAD_MS = 1_500;
/** A round within which nothing was acknowledged again by then is a fault of its own. */
const MENDS_WITHIN_MS = 30_000;
const POLL_MS = 20;
const PROBED_WALLET = "probed";

interface Scene {
  readonly disk: LoopDisk;
  readonly fleet: Fleet;
  readonly random: Random;
  readonly witness: Witness;
}

const FAULTS = { full, failingSync, failingWrite, readOnly, cutOff, kill };

export async function disks(ground: Ground): Promise<Faults> {
  const { seed, endMs, errors, folder, say } = ground;
  const missing = whyNoLoopDisk() ?? whyUntraceable();
  if (missing !== null) {
    say(`SKIPPED, nothing of it was run: ${missing}`);
    return null;
  }
  using disk = new LoopDisk({ path: folder, [Symbol.dispose]: () => {} }, MEGABYTES);
  const site = folderSite(join(disk.path, "data"));
  const witness = new Witness();
  const problem = (text: string) => void witness.problems.push(text);
  const random = randomFrom(seed);
  const fleet = new Fleet({ site, random, errors, problem, mayGiveUp: true });
  await fleet.start();
  const { ports } = fleet;
  const crowd = new Crowd({ ports, witness, seed, flags: null, errors });
  const counts = new Map<string, number>();
  const scene = { disk, fleet, random, witness };
  const kinds = Object.entries(FAULTS);
  let rounds = 0;
  for (; rounds < ROUNDS && performance.now() < endMs; rounds += 1) {
    await Bun.sleep(random() * MOST_CALM_MS);
    // Each in turn first, so that a short run has all of them.
    const at = rounds < kinds.length ? rounds : below(random, kinds.length);
    const [name, happen] = kinds[at] as (typeof kinds)[number];
    await happen(scene);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    await mended(scene, name);
  }
  crowd.stop();
  await fleet.recover();
  await crowd.end();
  const told = [...counts].map(([name, count]) => `${name} ${count}`).join(", ");
  say(`${rounds} faults (${told}); ${fleet.givenUp} times a process gave up`);
  say(crowdSummary(witness));
  const { faults, summary } = await judgeRun({ site, witness, ports, stop: () => fleet.stop() });
  say(summary);
  return faults;
}

/** Deposits are acknowledged again. */
async function mended({ witness }: Scene, name: string): Promise<void> {
  const { answers } = witness;
  const endMs = performance.now() + MENDS_WITHIN_MS;
  while (witness.answers === answers && performance.now() < endMs) await Bun.sleep(POLL_MS);
  if (witness.answers > answers) return;
  witness.problems.push(`no deposit was acknowledged for ${MENDS_WITHIN_MS} ms after ${name}`);
}

/** There is room again, and it must go on by itself. */
async function full({ disk, random }: Scene): Promise<void> {
  disk.fill();
  await Bun.sleep(random() * MOST_BAD_MS);
  disk.empty();
}

function failingSync(scene: Scene): Promise<void> {
  return failing(scene, "fdatasync,fsync");
}

function failingWrite(scene: Scene): Promise<void> {
  return failing(scene, "pwrite64");
}

/** From one call by chance on, for a while, for one process; then that is started again. */
async function failing({ fleet, random, witness }: Scene, calls: string): Promise<void> {
  const post = fleet.living[below(random, fleet.living.length)];
  const pid = post?.child?.pid;
  if (post === undefined || pid === undefined) return;
  const trace = await Trace.attach(pid, calls, `${calls}:error=EIO:when=${below(random, 20) + 1}+`);
  await Bun.sleep(random() * MOST_BAD_MS);
  const told = await trace.stop();
  await trace[Symbol.asyncDispose]();
  // SQLite's own calls are fsync; this one is the writer's, before it answers.
  const isUnsure = told.some(
    ({ name, args, result }) =>
      name === "fdatasync" && args.includes("/log.db-wal>") && result.includes("EIO"),
  );
  // `up` has a second writer, in a thread of its own, which may be the one that failed.
  if (isUnsure && post.args[0] === "serve") await mustRefuse(post.port, witness);
  await fleet.restart(post);
}

/** A disk that failed once is not trusted again before a restart. */
async function mustRefuse(port: number | null, witness: Witness): Promise<void> {
  const sending = witness.askUnkeyed(PROBED_WALLET, 1n);
  const body = `{"wallet_id": "${PROBED_WALLET}", "amount": 0.01}`;
  const url = `http://127.0.0.1:${port}/deposit`;
  const answer = await fetch(url, { method: "POST", body }).catch(() => null);
  const text = await answer?.text();
  if (answer?.status === 503) return witness.refusedUnkeyed(sending);
  if (answer?.status === 200) witness.toldUnkeyed(sending, text ?? "");
  witness.problems.push(`its fsync had failed, and then a server answered ${text}`);
}

async function readOnly(scene: Scene): Promise<void> {
  await whilePaused(scene.fleet.pids, () => scene.disk.makeReadOnly());
  await mountAgain(scene);
}

/** What was not synced is gone. */
async function cutOff(scene: Scene): Promise<void> {
  await whilePaused(scene.fleet.pids, () => scene.disk.cut());
  await mountAgain(scene);
}

async function mountAgain({ disk, fleet, random }: Scene): Promise<void> {
  await Bun.sleep(random() * MOST_BAD_MS);
  await fleet.fell();
  await disk.mountAgain();
  fleet.raise();
}

async function kill({ fleet }: Scene): Promise<void> {
  await fleet.strike();
}
