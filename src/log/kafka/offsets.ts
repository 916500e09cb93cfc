/** Where a partition begins and ends, and its newest record. Markers and gaps are no records. */

import type { Bounds, LogRecord } from "../event-log.ts";
import type { Connections } from "./connections.ts";
import type { Place } from "./cursor.ts";
import type { Fetcher } from "./fetcher.ts";
import { OUTDATED_WITHIN_MS, REQUEST_MS, RETRY_LAST_MS } from "./limits.ts";
import { atMost, pause, retrying, typeOf, unavailable } from "./retry.ts";

const EARLIEST = -2;
const LATEST = -1;
const READ_COMMITTED = 1;
/** The newest record is looked for at the very end, then so many times further back each time. */
const LOOK_BACK = 4n;

/** A partition of the topic that has the name now, and of none that is made under it later. */
export async function placeNow(
  connections: Connections,
  { topic, partition }: Place,
): Promise<Place> {
  const ask = () => connections.topicNow(topic);
  const { id } = await retrying(ask, { withinMs: REQUEST_MS, what: `look up topic ${topic}` });
  return { topic, partition, topicId: id };
}

/** `end` is the last stable offset: it counts markers, and hides what is not yet committed. */
export async function stableBounds(connections: Connections, place: Place): Promise<Bounds> {
  const [start, end] = await Promise.all([
    listOffset(connections, place, EARLIEST),
    listOffset(connections, place, LATEST),
  ]);
  return { start, end };
}

/**
 * Those bounds, asked for again while an offset lies outside: a leader that hung and was replaced
 * tells for a moment where the partition ended before.
 */
export async function boundsAround(
  connections: Connections,
  place: Place,
  offset: bigint,
): Promise<Bounds> {
  const endMs = performance.now() + OUTDATED_WITHIN_MS;
  for (;;) {
    const bounds = await stableBounds(connections, place);
    const isWithin = offset >= bounds.start && offset <= bounds.end;
    if (isWithin || performance.now() > endMs) return bounds;
    connections.forget(place.topic);
    await pause(RETRY_LAST_MS);
  }
}

/** `end` stands behind the newest record. */
export async function recordBounds(
  connections: Connections,
  fetcher: Fetcher,
  place: Place,
): Promise<Bounds> {
  const bounds = await stableBounds(connections, place);
  const newest = await newestRecord(fetcher, place, bounds);
  return { start: bounds.start, end: newest === null ? bounds.start : newest.offset + 1n };
}

/** Null where there is none. Never reads more than a few times what it looks back. */
export async function newestRecord(
  fetcher: Fetcher,
  place: Place,
  { start, end }: Bounds,
): Promise<LogRecord | null> {
  for (let lookBack = 1n; ; lookBack *= LOOK_BACK) {
    const from = end - lookBack > start ? end - lookBack : start;
    const records = await readRange(fetcher, place, { from, until: end });
    const newest = records.at(-1);
    if (newest !== undefined) return newest;
    if (from === start) return null;
  }
}

/**
 * All that is there between two offsets. For small ranges. Throws `unavailable` when nothing comes
 * for a request's time: a cursor waits for its broker for as long as that is away.
 */
export async function readRange(
  fetcher: Fetcher,
  place: Place,
  { from, until }: { readonly from: bigint; readonly until: bigint },
  withinMs: number = REQUEST_MS,
): Promise<readonly LogRecord[]> {
  const cursor = fetcher.open(place, from);
  const found: LogRecord[] = [];
  try {
    while (cursor.nextOffset < until) {
      const records = cursor.take(Number.MAX_SAFE_INTEGER, until);
      found.push(...records);
      if (records.length > 0 || cursor.nextOffset >= until) continue;
      if (await atMost(withinMs, cursor.changed())) continue;
      const { topic, partition } = place;
      const cause = new Error(fetcher.problem ?? `nothing came within ${withinMs} ms`);
      throw unavailable(`read offset ${cursor.nextOffset} of ${topic} ${partition}`, cause);
    }
    return found;
  } finally {
    cursor.close();
  }
}

function listOffset(connections: Connections, place: Place, timestamp: number): Promise<bigint> {
  const { topic, partition } = place;
  const ask = async () => {
    try {
      const leader = await connections.leader(topic, partition);
      const { responses } = await leader.listOffsets({
        replicaId: -1,
        isolationLevel: READ_COMMITTED,
        topics: [{ topic, partitions: [{ partition, timestamp }] }],
      });
      return BigInt(responses[0]?.partitions[0]?.offset ?? -1);
    } catch (error) {
      if (typeOf(error) !== "LogError") connections.forget(topic);
      throw error;
    }
  };
  return retrying(ask, { withinMs: REQUEST_MS, what: `look up ${topic} partition ${partition}` });
}
