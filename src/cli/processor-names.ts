/**
 * The processors by either of their names: what it does (collector), or its group (balance).
 *
 *   "collector" or "balance" ──> collector; printed as "collector (balance)"
 */

import { PROCESSOR_NAMES, type ProcessorName } from "../app.ts";
import { UsageError } from "./usage-error.ts";

export const allProcessors = Object.keys(PROCESSOR_NAMES) as ProcessorName[];

/** Each once, in the order of the flow. Throws UsageError for a name that neither list has. */
export function processorsNamed(names: readonly string[]): ProcessorName[] {
  const unknown = names.find((name) => !allProcessors.some((each) => isNamed(each, name)));
  if (unknown !== undefined) {
    throw new UsageError(`there is no processor ${unknown}: name ${listOf(allProcessors)}`);
  }
  return allProcessors.filter((each) => names.some((name) => isNamed(each, name)));
}

export function listOf(names: readonly ProcessorName[]): string {
  return names
    .map((name) => {
      const group = PROCESSOR_NAMES[name];
      return name === group ? name : `${name} (${group})`;
    })
    .join(", ");
}

function isNamed(processor: ProcessorName, name: string): boolean {
  return processor === name || PROCESSOR_NAMES[processor] === name;
}
