/**
 * `bun run simulate [--minutes N] [--seed S] [--steps N]`: simulated runs, one seed after another,
 * until the time or the steps are over or a promise is broken.
 *
 *   seeds ──> runs ──> a line now and then; at a failure: seed, step, promise, shrunk plan, exit 1
 *
 * --seed S runs that seed alone; with --steps N only so far, and shows the last steps.
 */

import { parseArgs } from "node:util";
import { planOf } from "./plan.ts";
import { failureText, sizeText } from "./report.ts";
import { shrink } from "./shrink.ts";
import { type Result, simulate } from "./simulation.ts";

const DEFAULT_MINUTES = 1;
const LINE_EVERY_MS = 10_000;
/** Long enough for a plan that a person can read. */
const SHRINK_WITHIN_MS = 60_000;
const SHOWN_STEPS = 100;

main();

function main(): void {
  const { minutes, seed, steps } = readOptions();
  if (seed !== null) return runOne(seed, steps);
  const first = crypto.getRandomValues(new Uint32Array(1))[0] as number;
  const startMs = performance.now();
  const endMs = startMs + minutes * 60_000;
  const tally = { runs: 0, steps: 0, simulatedMs: 0, seen: new Map<string, number>() };
  console.log(`seeds from ${first}, ${steps === null ? `${minutes} minutes` : `${steps} steps`}`);
  let lineMs = startMs + LINE_EVERY_MS;
  const isOver = () => (steps === null ? performance.now() >= endMs : tally.steps >= steps);
  for (let next = first; !isOver(); next = (next + 1) >>> 0) {
    const result = simulate(planOf(next));
    if (result.violation !== null) return fail(result);
    tally.runs += 1;
    tally.steps += result.steps;
    tally.simulatedMs += result.simulatedMs;
    for (const [name, count] of Object.entries(result.seen)) {
      tally.seen.set(name, (tally.seen.get(name) ?? 0) + count);
    }
    if (performance.now() < lineMs) continue;
    lineMs += LINE_EVERY_MS;
    say(tally, startMs);
  }
  say(tally, startMs);
  console.log("every promise held");
}

function say(
  tally: { runs: number; steps: number; simulatedMs: number; seen: Map<string, number> },
  startMs: number,
): void {
  const seconds = (performance.now() - startMs) / 1_000;
  // Of this process's own time: other programs on the machine do not count.
  const { user, system } = process.cpuUsage();
  const perSecond = Math.round(tally.steps / ((user + system) / 1e6)).toLocaleString("en");
  const seen = (name: string) => (tally.seen.get(name) ?? 0).toLocaleString("en");
  console.log(
    `${seconds.toFixed(0)} s: ${tally.runs.toLocaleString("en")} runs, ` +
      `${tally.steps.toLocaleString("en")} steps (${perSecond} a second of CPU), ` +
      `${(tally.simulatedMs / 3_600_000).toFixed(1)} h simulated; ` +
      `${seen("commits")} commits, ${seen("writes")} writes of stores, ` +
      `${seen("settledReads")} settled reads judged`,
  );
}

function runOne(seed: number, steps: number | null): void {
  const plan = planOf(seed);
  const cut = steps === null ? {} : { maxSteps: steps };
  const result = simulate(plan, { ...cut, traceSteps: SHOWN_STEPS });
  if (result.violation !== null) return fail(result);
  for (const line of steps === null ? [] : result.trace) console.log(line);
  console.log(
    `seed ${seed}: ${sizeText(plan)}, log: ${plan.log}; ` +
      `${result.steps} steps, digest ${result.digest}: every promise held`,
  );
}

function fail(result: Result): void {
  const { plan, steps, violation } = result;
  console.log(`FAULT seed ${plan.seed}, step ${steps}: ${violation?.message}`);
  console.log(`shrinking, for ${SHRINK_WITHIN_MS / 1_000} s at most`);
  const nowMs = () => performance.now();
  const shrunk = shrink(result, { nowMs, withinMs: SHRINK_WITHIN_MS });
  console.log(failureText(result, shrunk.result));
  process.exitCode = 1;
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: String(DEFAULT_MINUTES) },
      seed: { type: "string" },
      steps: { type: "string" },
    },
  });
  const number = (text: string | undefined) => (text === undefined ? null : Number(text));
  const minutes = Number(values.minutes);
  const [seed, steps] = [number(values.seed), number(values.steps)];
  const isSeed = seed === null || (Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32);
  const isCount = steps === null || (Number.isInteger(steps) && steps > 0);
  if (!(minutes > 0) || !isSeed || !isCount) {
    console.error("usage: simulate [--minutes N] [--seed S] [--steps N]");
    process.exit(2);
  }
  return { minutes, seed, steps };
}
