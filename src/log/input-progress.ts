/** Where a progress stands in one of its inputs: the one look-up that everyone needs. */

import type { InputProgress, Progress } from "./event-log.ts";

/** Null where the group never ran, or has done nothing of the topic. */
export function inputProgress(progress: Progress | null, topic: string): InputProgress | null {
  return progress?.inputs.find((input) => input.topic === topic) ?? null;
}
