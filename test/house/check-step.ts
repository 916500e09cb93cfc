/**
 * One step of the check: a name and what came of it.
 */

export type Outcome = "passed" | "failed" | "skipped";

export interface StepResult {
  readonly outcome: Outcome;
  /** Empty when there is nothing to say; the reason of a skip; what a failed tool said. */
  readonly detail: string;
}

export interface CheckStep {
  /** As shown, and as given to `run test <name>`. */
  readonly name: string;
  run(): Promise<StepResult>;
}

export const PASSED: StepResult = { outcome: "passed", detail: "" };

export function failed(detail: string): StepResult {
  return { outcome: "failed", detail };
}

export function skipped(reason: string): StepResult {
  return { outcome: "skipped", detail: reason };
}
