/** What a failed run says: which promise, where, how to have it again, and the steps before. */

import type { Plan } from "./plan.ts";
import type { Result } from "./simulation.ts";

/** Of a shrunk plan, what a person reads. */
const SHOWN_STEPS = 40;

export function failureText(failed: Result, shrunk: Result): string {
  const { plan, steps, violation } = failed;
  return [
    `seed ${plan.seed}, step ${steps}: ${violation?.message}`,
    `  again: bun run simulate --seed ${plan.seed}`,
    `shrunk to ${sizeText(shrunk.plan)}, step ${shrunk.steps}: ${shrunk.violation?.message}`,
    ...shrunk.trace.slice(-SHOWN_STEPS).map((line) => `  ${line}`),
    "to keep it, put this plan into test/simulation/regressions.json:",
    JSON.stringify(shrunk.plan),
  ].join("\n");
}

export function sizeText({ operations, faults, processes, partitions }: Plan): string {
  const parts = [
    counted(operations.length, "operation"),
    counted(faults.length, "fault"),
    counted(processes.length, "process", "es"),
    counted(partitions, "partition"),
  ];
  return parts.join(", ");
}

function counted(count: number, name: string, plural = "s"): string {
  return `${count} ${name}${count === 1 ? "" : plural}`;
}
