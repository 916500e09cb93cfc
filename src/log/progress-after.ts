/** What a commit makes of its group's progress: the same on every log. */

import type { Commit, Counts, OutputProgress, Progress } from "./event-log.ts";

export function progressAfter(
  before: Progress | null,
  commit: Pick<Commit, "inputs" | "outputs" | "counts">,
  /** Where the outputs came to stand, in their order; and the last changed row, if any. */
  written: { readonly offsets: readonly bigint[]; readonly lastRow: bigint | null },
): Progress {
  const outputs = new Map<string, OutputProgress>();
  const keep = (output: OutputProgress) =>
    outputs.set(`${output.partition}/${output.topic}`, output);
  before?.outputs.forEach(keep);
  commit.outputs.forEach(({ topic, partition }, index) => {
    keep({ topic, partition, lastOffset: written.offsets[index] as bigint });
  });
  const hasMoved = (topic: string) => commit.inputs.some((input) => input.topic === topic);
  const rest = (before?.inputs ?? []).filter(({ topic }) => !hasMoved(topic));
  const counts = countsAfter(before, commit.counts);
  return {
    inputs: [...rest, ...commit.inputs].sort((a, b) => (a.topic < b.topic ? -1 : 1)),
    outputs: [...outputs.values()],
    changelogOffset: written.lastRow ?? before?.changelogOffset ?? null,
    ...(counts === undefined ? {} : { counts }),
  };
}

/** Sums that began half-way would be taken for all. */
function countsAfter(before: Progress | null, more: Counts | undefined): Counts | undefined {
  if (before === null || more === undefined) return before === null ? more : before.counts;
  if (before.counts === undefined) return undefined;
  const counts: Record<string, number> = { ...before.counts };
  for (const [name, count] of Object.entries(more)) counts[name] = (counts[name] ?? 0) + count;
  return counts;
}
