/**
 * What a processor does, in plain numbers: counted where it happens, by increments, and read by
 * whoever asks. They can be sent to another thread as they are.
 *
 *   task ──commit: outcome, size──> numbers        store, while caught up ──> recovery
 */

import { LogError, type Progress } from "../log/event-log.ts";
import { inputProgress } from "../log/input-progress.ts";

/** Since the processor was started. */
export interface ProcessorNumbers {
  readonly group: string;
  readonly commits: CommitCounts;
  /** Of each partition that this process has, in order. */
  readonly tasks: readonly TaskNumbers[];
}

export interface TaskNumbers {
  readonly partition: number;
  readonly phase: "catching_up" | "running" | "stopped";
  readonly recovery: Recovery | null;
}

/**
 * Of a store that is brought to its group's progress: records of the inputs or, where the log
 * keeps changelogs, changed rows. By offsets, so no fewer than there are.
 */
export interface Recovery {
  readonly done: number;
  readonly left: number;
}

export interface CommitCounts {
  readonly done: number;
  /** Another owned the partition. */
  readonly fenced: number;
  /** Nobody said whether it was written: the partition is claimed again. */
  readonly unknown: number;
  /** Nothing was written; most are tried again. */
  readonly refused: number;
  /** Input records of those that are done. */
  readonly records: number;
  /** Of those that are done: how many had so many records, up to COMMIT_SIZES; the last: more. */
  readonly sizes: readonly number[];
}

/** Records in a commit: a task takes 2,048 at most, and one that keeps up takes a few. */
export const COMMIT_SIZES = [1, 4, 16, 64, 256, 1_024, 2_048] as const;

export class CommitTally implements CommitCounts {
  done = 0;
  fenced = 0;
  unknown = 0;
  refused = 0;
  records = 0;
  readonly sizes: number[] = [...COMMIT_SIZES, 0].map(() => 0);

  committed(records: number): void {
    this.done += 1;
    this.records += records;
    let size = 0;
    while (size < COMMIT_SIZES.length && records > (COMMIT_SIZES[size] as number)) size += 1;
    this.sizes[size] = (this.sizes[size] as number) + 1;
  }

  failed(error: unknown): void {
    const code = error instanceof LogError ? error.code : "outcome_unknown";
    if (code === "fenced") this.fenced += 1;
    else if (code === "outcome_unknown") this.unknown += 1;
    else this.refused += 1;
  }
}

/** What a store that stands at `from` lacks; see `Recovery`. */
export function missingBetween(
  from: Progress | null,
  to: Progress | null,
  keepsChangelogs: boolean,
): number {
  if (to === null) return 0;
  if (keepsChangelogs) {
    return Math.max(0, Number((to.changelogOffset ?? -1n) - (from?.changelogOffset ?? -1n)));
  }
  let missing = 0n;
  for (const { topic, nextOffset } of to.inputs) {
    const done = inputProgress(from, topic)?.nextOffset ?? 0n;
    if (nextOffset > done) missing += nextOffset - done;
  }
  return Number(missing);
}
