/**
 * How much a topic holds, counted in the file: offsets tell no more than a bound, and no bytes.
 *
 *   rows of its partitions ──> records, bytes
 */

import type { Database } from "bun:sqlite";
import { reading } from "./log-fault.ts";

export interface TopicSize {
  readonly records: number;
  /** Of keys, values and headers; the file has some 40 more a record. */
  readonly bytes: number;
}

const COUNT =
  "SELECT count(*) AS records, " +
  "coalesce(sum(length(key) + coalesce(length(value), 0) + coalesce(length(headers), 0)), 0) " +
  "AS bytes FROM records WHERE partition_id IN (SELECT partitions.id FROM partitions " +
  "JOIN topics ON topics.id = partitions.topic_id WHERE topics.name = ?)";

/** Reads all of it: a second for a few million records. Throws `corrupt`. */
export function topicSize(database: Database, topic: string): TopicSize {
  return reading(database, () => {
    const { records, bytes } = database.query(COUNT).get(topic) as Record<keyof TopicSize, number>;
    return { records: Number(records), bytes: Number(bytes) };
  });
}
