/**
 * How large topics are, as their leaders have them on disk.
 *
 *   topics ──each partition's leader──DescribeLogDirs──> bytes of one copy, indexes left out
 *
 * kafkajs knows the request's name and no more. Version 1 is the newest without flexible fields.
 */

import type Broker from "kafkajs/src/broker/index.js";
import { ByteWriter } from "./bytes.ts";
import type { Connections } from "./connections.ts";
import { type PartitionPlace, readByTopic, send, writeByTopic } from "./wire.ts";

const DESCRIBE_LOG_DIRS = { apiKey: 35, apiVersion: 1, apiName: "DescribeLogDirs" };

/**
 * By topic; one is left out when a partition has no leader now, or when this user may not ask (it
 * takes Describe on the cluster).
 */
export async function topicBytes(
  connections: Connections,
  topics: readonly { readonly name: string; readonly partitions: number }[],
): Promise<ReadonlyMap<string, number>> {
  const places = topics.flatMap(({ name: topic, partitions }) =>
    Array.from({ length: partitions }, (_, partition) => ({ topic, partition })),
  );
  const led = await Promise.all(
    places.map(async (place) => {
      const leader = await connections.leader(place.topic, place.partition).catch(() => null);
      return { ...place, leader };
    }),
  );
  const sizes = new Map<string, number>();
  for (const [leader, own] of Map.groupBy(led, (each) => each.leader)) {
    if (leader === null) continue;
    const told = await describe(leader, own).catch(() => []); // what is not told is left out
    for (const { topic, partition, bytes } of told) sizes.set(`${partition}/${topic}`, bytes);
  }
  const whole = topics.flatMap(({ name, partitions }) => {
    let bytes = 0;
    for (let partition = 0; partition < partitions; partition += 1) {
      const size = sizes.get(`${partition}/${name}`);
      if (size === undefined) return [];
      bytes += size;
    }
    return [[name, bytes] as const];
  });
  return new Map(whole);
}

interface PartitionSize extends PartitionPlace {
  readonly bytes: number;
}

function describe(
  broker: Broker,
  places: readonly PartitionPlace[],
): Promise<readonly PartitionSize[]> {
  const body = new ByteWriter();
  writeByTopic(body, places, ({ partition }) => body.int32(partition));
  return send(broker, { ...DESCRIBE_LOG_DIRS, body }, (answer) => {
    answer.int32(); // throttle time
    const folders = answer.array(() => {
      answer.int16(); // the folder's own error: nothing of it is told then
      answer.string(); // its path
      return readByTopic(answer, (topic) => {
        const size = { topic, partition: answer.int32(), bytes: Number(answer.int64()) };
        answer.int64(); // how far a copy that is moved is behind
        const isMoving = answer.int8() !== 0;
        return { ...size, isMoving };
      });
    });
    return folders.flat().filter(({ isMoving }) => !isMoving);
  });
}
