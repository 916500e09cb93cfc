/**
 * Kills: every way to run the program at once, on one data folder or a Kafka cluster; each process
 * killed with SIGKILL at random moments under load; at the end every account is checked.
 *
 *   clients, commands ──> fleet (killed, started again) ──> log, tables, answers ──> judgement
 *
 * SIGKILL loses what a process has in memory, not what the system has not yet written to disk: a
 * missing fsync is the disks' chapter.
 */

import { join } from "node:path";
import { randomFrom } from "../../src/proof/random.ts";
import type { Faults, Ground } from "./chapter.ts";
import { Crowd, crowdSummary } from "./crowd.ts";
import { Fleet } from "./fleet.ts";
import { clusterSite, folderSite } from "./site.ts";
import { judgeRun } from "./verdict.ts";
import { Witness } from "./witness.ts";

/** A fleet that answers nothing for so long is killed all the same: it must come back. */
const ANSWERS_WITHIN_MS = 10_000;
const POLL_MS = 20;
const TELL_EVERY_KILLS = 100;

export async function kills(ground: Ground): Promise<Faults> {
  const { seed, endMs, errors, folder, cluster, say } = ground;
  const site =
    cluster === null ? folderSite(join(folder, "data")) : clusterSite({ ...cluster, folder });
  const witness = new Witness();
  const problem = (text: string) => void witness.problems.push(text);
  const fleet = new Fleet({ site, random: randomFrom(seed), errors, problem });
  await fleet.start();
  const { ports } = fleet;
  const crowd = new Crowd({ ports, witness, seed, flags: site.flags(0), errors });
  const chance = randomFrom(seed + 1_000);
  const startMs = performance.now();
  let toldKills = 0;
  while (fleet.kills < ground.kills && performance.now() < endMs) {
    const enough = witness.answers + chance() * site.answersBetweenKills * 2;
    await Bun.sleep(chance() * site.calmMs);
    const patienceMs = Math.min(endMs, performance.now() + ANSWERS_WITHIN_MS);
    while (witness.answers < enough && performance.now() < patienceMs) await Bun.sleep(POLL_MS);
    await fleet.strike();
    if (fleet.kills - toldKills < TELL_EVERY_KILLS) continue;
    toldKills = fleet.kills;
    say(`${fleet.kills} killed after ${((performance.now() - startMs) / 1_000).toFixed(0)} s`);
  }
  crowd.stop();
  await fleet.recover();
  await crowd.end();
  say(`${fleet.kills} processes killed (${fleet.killsByName()}), and ${crowd.kills} commands`);
  say(crowdSummary(witness));
  const faults = fleet.kills < ground.kills ? [`only ${fleet.kills} kills in the time given`] : [];
  const judged = await judgeRun({ site, witness, ports, stop: () => fleet.stop() });
  say(judged.summary);
  return [...faults, ...judged.faults];
}
