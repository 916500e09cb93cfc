/**
 * What a group has refused between two of its progresses, for a store that is caught up by running
 * records again: what was refused stays refused, also when a codec or a validation has been mended
 * since. Otherwise a record that was replayed from the dead letters would be counted twice.
 *
 *   `<group>-dead-letters`, backwards until a letter is older ──> offsets by topic
 */

import type { EventLog, Progress } from "../log/event-log.ts";
import { inputProgress } from "../log/input-progress.ts";
import { isDeadLetter, readDeadLetter } from "./dead-letter.ts";
import { deadLetterTopic } from "./group.ts";

/** Read in one step: most often there is not one letter in the range. */
const STEP_RECORDS = 1_024n;

export type RefusedBefore = ReadonlyMap<string, ReadonlySet<bigint>>;

export async function refusedBetween(options: {
  readonly log: Pick<EventLog, "read" | "bounds">;
  readonly group: string;
  readonly partition: number;
  /** Null: from the start. */
  readonly from: Progress | null;
  readonly to: Progress;
}): Promise<RefusedBefore> {
  const { log, partition, from } = options;
  const refused = new Map<string, Set<bigint>>();
  const topic = deadLetterTopic({ name: options.group });
  const isLetters = (each: Progress["outputs"][number]) =>
    each.topic === topic && each.partition === partition;
  const last = options.to.outputs.find(isLetters)?.lastOffset;
  if (last === undefined) return refused;
  const { start } = await log.bounds(topic, partition);
  let hasOlder = false;
  for (let until = last + 1n; until > start && !hasOlder; until -= STEP_RECORDS) {
    const stepFrom = until - STEP_RECORDS > start ? until - STEP_RECORDS : start;
    for await (const records of log.read({ topic, partition, from: stepFrom, until })) {
      for (const record of records) {
        if (!isDeadLetter(record)) continue;
        const letter = readDeadLetter(record);
        // Letters stand in the order in which their records were run.
        if (letter.offset < (inputProgress(from, letter.topic)?.nextOffset ?? 0n)) hasOlder = true;
        else refused.set(letter.topic, (refused.get(letter.topic) ?? new Set()).add(letter.offset));
      }
    }
  }
  return refused;
}
