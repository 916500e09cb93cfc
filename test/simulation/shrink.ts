/**
 * Shrinks a plan that fails: fewer operations, faults, processes and partitions, calmer conditions,
 * for as long as the same promise is broken.
 *
 *   plan ──without a part──> still broken? keep it so : put it back ──> until no part can go
 *
 * What is left runs under its own seed; where a part decides what chance does to all that follows,
 * a few other seeds are tried for the smaller plan.
 */

import { CALM } from "./conditions.ts";
import type { Plan } from "./plan.ts";
import { type Result, simulate } from "./simulation.ts";

/** Of the smaller plan, beside its own. */
const SEEDS_TO_TRY = 3;

export interface Shrunk {
  readonly result: Result;
  readonly runs: number;
}

/** The smallest found before the time is up; `nowMs` is a real clock. */
export function shrink(
  failed: Result,
  options: { readonly nowMs: () => number; readonly withinMs: number },
): Shrunk {
  const endMs = options.nowMs() + options.withinMs;
  const invariant = failed.violation?.invariant;
  let best = failed;
  let runs = 0;
  const isOver = () => options.nowMs() >= endMs;
  const tryPlan = (plan: Plan): boolean => {
    for (let other = 0; other <= SEEDS_TO_TRY && !isOver(); other += 1) {
      runs += 1;
      const result = simulate({ ...plan, seed: plan.seed + other * 1_000_003 });
      if (result.violation?.invariant !== invariant) continue;
      best = result;
      return true;
    }
    return false;
  };
  for (let isSmaller = true; isSmaller && !isOver(); ) {
    const before = sizeOf(best.plan);
    withoutParts(() => best.plan, "operations", tryPlan);
    withoutParts(() => best.plan, "faults", tryPlan);
    withoutParts(() => best.plan, "processes", tryPlan);
    for (const simpler of simplerPlans(best.plan)) tryPlan(simpler);
    isSmaller = sizeOf(best.plan) < before;
  }
  return { result: best, runs };
}

/** Halves, quarters and so on are left out, down to single parts. */
function withoutParts(
  plan: () => Plan,
  name: "operations" | "faults" | "processes",
  tryPlan: (plan: Plan) => boolean,
): void {
  for (let size = Math.ceil(plan()[name].length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let from = 0; from < plan()[name].length; ) {
      const current = plan();
      const rest = [...current[name].slice(0, from), ...current[name].slice(from + size)];
      const smaller = { ...current, [name]: rest };
      if (!canSettle(smaller) || !tryPlan(smaller)) from += size;
    }
  }
}

/** Somebody serves, and each group has somebody who runs it. */
function canSettle({ processes }: Plan): boolean {
  const groups = new Set(processes.flatMap((each) => each.groups));
  return groups.size === 3 && processes.some(({ serves }) => serves);
}

/** Each in one way. */
function* simplerPlans(plan: Plan): Generator<Plan> {
  if (plan.partitions > 1) yield { ...plan, partitions: 1 };
  for (const [name, value] of Object.entries(CALM)) {
    const conditions = plan.conditions as Readonly<Record<string, unknown>>;
    if (name === "isDown" || conditions[name] === value) continue;
    yield { ...plan, conditions: { ...plan.conditions, [name]: value } };
  }
}

function sizeOf(plan: Plan): number {
  const { operations, faults, processes, partitions, conditions } = plan;
  const calm = CALM as unknown as Readonly<Record<string, unknown>>;
  const uneasy = Object.entries(conditions).filter(([name, value]) => calm[name] !== value);
  return operations.length + faults.length + processes.length + partitions + uneasy.length;
}
