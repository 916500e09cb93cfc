/** What every log asks of a topic that is declared. */

import { LogError, type TopicSpec } from "./event-log.ts";

const NAME = /^[a-zA-Z0-9._-]{1,200}$/;
const MAX_PARTITIONS = 1_024;

/** Throws `topic_mismatch`. */
export function checkTopicSpec({ name, partitions }: TopicSpec): void {
  const isCountGood =
    Number.isInteger(partitions) && partitions >= 1 && partitions <= MAX_PARTITIONS;
  if (NAME.test(name) && isCountGood) return;
  throw new LogError(
    "topic_mismatch",
    `topic "${name}" with ${partitions} partitions cannot be made: 1 to 200 of ` +
      `a-z, A-Z, 0-9, '.', '_', '-', and 1 to ${MAX_PARTITIONS} partitions`,
  );
}
