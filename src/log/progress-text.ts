/** A group's progress as text, so that `sqlite3` shows an operator what stands there. */

import type { Counts, Progress } from "./event-log.ts";

interface Stored {
  readonly inputs: readonly (readonly [string, number, number | null])[];
  readonly outputs: readonly (readonly [string, number, number])[];
  readonly changelog: number | null;
  readonly counts?: Counts;
}

export function encodeProgress(progress: Progress): string {
  const { counts } = progress;
  return JSON.stringify({ ...placeOf(progress), ...(counts === undefined ? {} : { counts }) });
}

/**
 * Where it stands, without what was counted on the way: what a store is at, and what two progresses
 * are the same by. A program that does not count writes the same.
 */
export function placeText(progress: Progress): string {
  return JSON.stringify(placeOf(progress));
}

function placeOf(progress: Progress): Omit<Stored, "counts"> {
  return {
    inputs: progress.inputs.map((i) => [i.topic, Number(i.nextOffset), i.checksum]),
    outputs: progress.outputs.map((o) => [o.topic, o.partition, Number(o.lastOffset)]),
    changelog: progress.changelogOffset === null ? null : Number(progress.changelogOffset),
  };
}

/** Do they stand at the same place, whatever was counted on the way? */
export function isSamePlace(a: Progress | null, b: Progress | null): boolean {
  if (a === null || b === null) return a === b;
  return placeText(a) === placeText(b);
}

export function decodeProgress(text: string): Progress {
  const stored = JSON.parse(text) as Stored;
  return {
    inputs: stored.inputs.map(([topic, next, checksum]) => ({
      topic,
      nextOffset: BigInt(next),
      checksum,
    })),
    outputs: stored.outputs.map(([topic, partition, last]) => ({
      topic,
      partition,
      lastOffset: BigInt(last),
    })),
    changelogOffset: stored.changelog === null ? null : BigInt(stored.changelog),
    ...(stored.counts === undefined ? {} : { counts: stored.counts }),
  };
}
