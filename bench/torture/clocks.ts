/**
 * Clocks: every process of the fleet has a clock of its own, which steps under load: back, far
 * ahead, thirty seconds apart; some processes are killed meanwhile.
 *
 *   offsets by chance ──files──> clocks of processes ──event times──> log ──oracle──> verdicts
 *
 * What holds is the published rule: the verdict goes by event times alone, and the event time is
 * that of the clock of the service that accepted the deposit.
 */

import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { below, type Random, randomFrom } from "../../src/proof/random.ts";
import type { Faults, Ground } from "./chapter.ts";
import { Crowd, crowdSummary } from "./crowd.ts";
import type { DepositLog } from "./deposit-log.ts";
import { Fleet } from "./fleet.ts";
import { folderSite } from "./site.ts";
import { judgeRun } from "./verdict.ts";
import { Witness } from "./witness.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** Between two services; across the window; across what the door takes; and all the way off. */
const OFFSETS_MS = [
  0,
  30 * SECOND_MS,
  -30 * SECOND_MS,
  121 * SECOND_MS,
  -10 * MINUTE_MS,
  10 * MINUTE_MS,
  365 * DAY_MS,
  -20 * 365 * DAY_MS,
];
const STEPS = 60;
const MOST_CALM_MS = 800;
const KILL_SHARE = 0.15;
/** Between two readings of the machine's clock. */
const CLOCK_MS = 50;

export async function clocks(ground: Ground): Promise<Faults> {
  const { seed, endMs, errors, folder, say } = ground;
  const random = randomFrom(seed);
  const clockFiles = new ClockFiles(join(folder, "clocks"), random);
  const site = folderSite(join(folder, "data"));
  const witness = new Witness({ clocksDiffer: true });
  const problem = (text: string) => void witness.problems.push(text);
  const clockOf = (number: number) => clockFiles.of(number);
  const fleet = new Fleet({ site, random, errors, problem, clockOf });
  await fleet.start();
  const { ports } = fleet;
  const startMs = Date.now();
  const crowd = new Crowd({ ports, witness, seed, flags: null, errors });
  let steps = 0;
  for (; steps < STEPS && performance.now() < endMs; steps += 1) {
    await Bun.sleep(random() * MOST_CALM_MS);
    clockFiles.step();
    if (random() < KILL_SHARE) await fleet.strike();
  }
  crowd.stop();
  await fleet.recover();
  await crowd.end();
  const span = { fromMs: startMs, toMs: Date.now() };
  say(`${steps} clocks stepped, ${fleet.kills} processes killed`);
  say(crowdSummary(witness));
  const stop = () => fleet.stop();
  const judged = await judgeRun({ site, witness, ports, stop });
  say(judged.summary);
  return [...judged.faults, ...judgeTimes(judged.log, span)];
}

/** The offset of each process's clock, in a file that the process reads. */
class ClockFiles {
  private readonly files: string[] = [];

  constructor(
    private readonly folder: string,
    private readonly random: Random,
  ) {
    mkdirSync(folder);
  }

  of(number: number): string {
    const known = this.files[number];
    if (known !== undefined) return known;
    const path = join(this.folder, String(number));
    this.files[number] = path;
    this.set(path);
    return path;
  }

  /** Of one process by chance. */
  step(): void {
    const path = this.files[below(this.random, this.files.length)];
    if (path !== undefined) this.set(path);
  }

  /** At once: no process reads half a number. */
  private set(path: string): void {
    const offsetMs = OFFSETS_MS[below(this.random, OFFSETS_MS.length)] ?? 0;
    writeFileSync(`${path}.new`, String(offsetMs));
    renameSync(`${path}.new`, path);
  }
}

/** Every event time is one that some clock showed while the run lasted. */
function judgeTimes({ byPosition }: DepositLog, span: { fromMs: number; toMs: number }): string[] {
  return [...byPosition.values()].flatMap(({ position, timeMs }) => {
    const isShown = OFFSETS_MS.some((offsetMs) => {
      const machineMs = timeMs - offsetMs;
      return machineMs >= span.fromMs - CLOCK_MS && machineMs <= span.toMs + CLOCK_MS;
    });
    return isShown ? [] : [`${position} has the event time ${timeMs}, which no clock showed`];
  });
}
