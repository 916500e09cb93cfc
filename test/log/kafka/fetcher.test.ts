/** The fetcher against brokers that answer as a test says. */

import { afterEach, expect, test } from "bun:test";
import type { LogError } from "../../../src/log/event-log.ts";
import type { Cursor } from "../../../src/log/kafka/cursor.ts";
import { readRange } from "../../../src/log/kafka/offsets.ts";
import {
  FETCH_BYTES,
  MAX_MESSAGE_BYTES,
  READ_AHEAD_BYTES,
  TAKE_BYTES,
} from "../../../src/log/kafka/limits.ts";
import { ErrorCode } from "../../../src/log/kafka/wire.ts";
import {
  type Answer,
  type Asked,
  brokersOf,
  closeFetchers,
  holding,
  ID,
  OTHER_ID,
  TOPIC,
} from "./fetched-brokers.ts";
import { resealed, storedBatch } from "./stored-batch.ts";

afterEach(closeFetchers);

test("readers of one partition get what each stands before, however many they are", async () => {
  const values = Array.from({ length: 40 }, (_, index) => `${index}`);
  const { fetcher } = brokersOf(({ offset }) => holding(values, offset));
  const cursors = [0, 7, 7, 20, 39].map((from) => fetcher.open(placeOf(0), BigInt(from)));
  for (const [index, from] of [0, 7, 7, 20, 39].entries()) {
    const found = await taken(cursors[index] as Cursor, values.length - from);
    expect(found).toEqual(values.slice(from));
  }
});

test("what compaction has left nothing of is passed, when no partition had anything", async () => {
  const { fetcher } = brokersOf(({ offset }) =>
    offset < 50 ? { end: 50 } : { ...holding([], 0), end: 50 },
  );
  const cursor = fetcher.open(placeOf(0), 3n);
  await until(cursor, () => cursor.nextOffset === 50n);
});

test("a leader that hung and was replaced does not end who reads behind its end", async () => {
  let answers = 0;
  const { fetcher } = brokersOf(({ offset }) => {
    answers += 1;
    const isOld = answers < 4;
    return isOld ? { errorCode: ErrorCode.offsetOutOfRange, end: 1 } : holding(["a", "b"], offset);
  });
  const cursor = fetcher.open(placeOf(0), 1n);
  expect(await taken(cursor, 1)).toEqual(["b"]);
  expect(cursor.isDoubted).toBe(false);
});

test("two such words with nothing but errors between them do not end him either", async () => {
  const seen: boolean[] = [];
  const { fetcher } = brokersOf(({ offset }) => {
    seen.push(cursor.isDoubted);
    if (seen.length === 1) return { errorCode: ErrorCode.offsetOutOfRange, end: 1 };
    if (seen.length === 2) throw Object.assign(new Error("cut"), { type: "NETWORK_EXCEPTION" });
    return holding(["a", "b"], offset);
  });
  const cursor: Cursor = fetcher.open(placeOf(0), 1n);
  expect(await taken(cursor, 1)).toEqual(["b"]);
  expect(seen).toEqual([false, true, false]);
});

test("a refusal of a whole fetch is told, and the brokers are asked for anew", async () => {
  const broker = { isRefusing: false, values: ["a"] };
  const { fetcher } = brokersOf(({ offset }) =>
    broker.isRefusing ? { wholeErrorCode: -1, end: 0 } : holding(broker.values, offset),
  );
  const cursor = fetcher.open(placeOf(0), 0n);
  expect(await taken(cursor, 1)).toEqual(["a"]);
  broker.isRefusing = true;
  await until(cursor, () => fetcher.problem !== null);
  expect(fetcher.problem).toContain("the broker refuses a whole fetch: error -1");
  Object.assign(broker, { isRefusing: false, values: ["a", "b"] });
  expect(await taken(cursor, 1)).toEqual(["b"]);
  await until(cursor, () => fetcher.problem === null);
});

test("a record that a broker counts before it shows it is not passed over", async () => {
  let answers = 0;
  const { fetcher } = brokersOf(({ offset }) => {
    answers += 1;
    return offset === 0 && answers === 1 ? { end: 1 } : holding(["a", "b"], offset);
  });
  expect(await taken(fetcher.open(placeOf(0), 0n), 2)).toEqual(["a", "b"]);
});

test("an empty answer beside a full one moves nobody", async () => {
  const asked: Asked[] = [];
  const { fetcher } = brokersOf((question, all) => {
    asked.push(question);
    // The other partition's batch took the room, as long as it is asked for in the same fetch.
    const isCrowded = question.partition === 1 && all.length > 1;
    return isCrowded ? { end: 3 } : holding(["a", "b", "c"], question.offset);
  });
  const [first, second] = [0, 1].map((partition) => fetcher.open(placeOf(partition), 0n));
  expect(await taken(first as Cursor, 3)).toEqual(["a", "b", "c"]);
  expect(await taken(second as Cursor, 3)).toEqual(["a", "b", "c"]);
});

test("a leader that moves is followed, and nothing is read twice or left out", async () => {
  const values = ["a", "b", "c", "d"];
  const leaders = { now: 1 };
  const { fetcher } = brokersOf(({ broker, offset }) => {
    if (broker !== leaders.now) return { errorCode: ErrorCode.notLeader, end: -1 };
    if (offset === 2) leaders.now = 2;
    return holding(values.slice(0, offset === 0 ? 2 : 4), offset);
  }, leaders);
  const cursor = fetcher.open(placeOf(0), 0n);
  expect(await taken(cursor, 4)).toEqual(values);
});

test("a position outside the partition is an error that names it, and not moved", async () => {
  const outside = { errorCode: ErrorCode.offsetOutOfRange, start: 10, end: 20 };
  const { fetcher } = brokersOf(() => outside);
  const error = await taken(fetcher.open(placeOf(0), 7n), 1).catch((thrown: unknown) => thrown);
  expect((error as LogError).code).toBe("position_out_of_range");
  expect((error as LogError).message).toBe(
    "offset 7 of events partition 0 is not there: it holds 10 to 20; " +
      "where the topic was truncated or made anew, restore it",
  );
});

test("a cursor asks for the topic that it began with, whatever has the name by then", async () => {
  const cluster = { now: 1, topicId: ID };
  const { fetcher } = brokersOf(({ topicId, offset }) => {
    if (topicId !== cluster.topicId) return { errorCode: ErrorCode.unknownTopicId, end: -1 };
    return holding(topicId === ID ? ["a", "b"] : ["v", "w", "x", "y"], offset);
  }, cluster);
  const cursor = fetcher.open(placeOf(0), 0n);
  expect(await taken(cursor, 2)).toEqual(["a", "b"]);
  cluster.topicId = OTHER_ID;
  const other = fetcher.open(placeOf(0), 2n);
  expect(await taken(other, 2)).toEqual(["x", "y"]);
  const bound = fetcher.open({ ...placeOf(0), topicId: ID }, 0n);
  for (const [reader, from] of [[cursor, 2], [bound, 0]] as const) {
    const error = await taken(reader, 1).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "topic_changed" });
    expect((error as LogError).message).toBe(
      `topic events was made anew, while partition 0 was read from offset ${from} on: restore ` +
        "the topic, or start the group anew",
    );
  }
});

test("a broker that is late with a topic's id ends nobody who reads it", async () => {
  const cluster = { now: 1, topicId: ID };
  const values = ["a", "b"];
  const { fetcher } = brokersOf(({ offset }) => {
    const isLate = cluster.topicId !== ID;
    return isLate ? { errorCode: ErrorCode.notLeader, end: -1 } : holding(values, offset);
  }, cluster);
  const cursor = fetcher.open(placeOf(0), 0n);
  expect(await taken(cursor, 2)).toEqual(["a", "b"]);
  cluster.topicId = OTHER_ID; // as the late one has it
  await until(cursor, () => cursor.isDoubted);
  cluster.topicId = ID;
  values.push("c");
  expect(await taken(cursor, 1)).toEqual(["c"]);
  expect(cursor.isDoubted).toBe(false);
});

test("a word that has no leader, or another topic, is refuted for another to ask", async () => {
  const cluster = { now: 1, topicId: ID, forgotten: 0 };
  const { fetcher } = brokersOf(({ broker, offset }) => {
    const isLate = cluster.now !== broker || cluster.topicId !== ID;
    return isLate ? { errorCode: ErrorCode.notLeader, end: -1 } : holding(["a", "b"], offset);
  }, cluster);
  for (const [from, word] of [[0, { now: -1 }], [1, { topicId: OTHER_ID }]] as const) {
    const cursor = fetcher.open({ ...placeOf(0), topicId: ID }, BigInt(from));
    await until(cursor, () => cursor.mode === "tailing");
    const before = cluster.forgotten;
    Object.assign(cluster, word);
    await until(cursor, () => cluster.forgotten > before + 3);
    Object.assign(cluster, { now: 1, topicId: ID });
    expect(await taken(cursor, 1)).toEqual([from === 0 ? "a" : "b"]);
  }
});

test("what stands before a damaged batch is read first", async () => {
  const damaged = storedBatch({ at: 1, values: ["bad"] });
  damaged[70] = (damaged[70] as number) ^ 1;
  const bytes = Buffer.concat([storedBatch({ at: 0, values: ["good"] }), damaged]);
  const { fetcher } = brokersOf(() => ({ bytes, end: 2 }));
  const cursor = fetcher.open(placeOf(0), 0n);
  expect(await taken(cursor, 1)).toEqual(["good"]);
  const error = await taken(cursor, 1).catch((thrown: unknown) => thrown);
  expect((error as LogError).code).toBe("corrupt");
});

test("what is fetched is not decoded before it is taken", async () => {
  // Right by its CRC, and of a codec whose bytes these are not.
  const odd = resealed(storedBatch({ at: 1, values: ["odd"] }), { attributes: 3 });
  const bytes = Buffer.concat([storedBatch({ at: 0, values: ["good"] }), odd]);
  const { fetcher } = brokersOf(() => ({ bytes, end: 2 }));
  const cursor = fetcher.open(placeOf(0), 0n);
  await until(cursor, () => cursor.fetchOffset === 2n);
  expect(cursor.failure).toBeNull();
  expect(cursor.take(10).map(({ value }) => String(value))).toEqual(["good"]);
  expect(() => cursor.take(10)).toThrow("the batch at offset 1 of events partition 0");
  expect(cursor.nextOffset).toBe(1n);
});

test("what was compressed well is handed out in parts, and none is waited for", async () => {
  const values = Array.from({ length: 12 }, () => "x".repeat(TAKE_BYTES / 4));
  const { fetcher } = brokersOf(({ offset }) => {
    const left = values.slice(offset).map((value, index) =>
      storedBatch({ at: offset + index, values: [value], compressFromBytes: 0 }),
    );
    return { bytes: Buffer.concat(left), end: values.length };
  });
  const cursor = fetcher.open(placeOf(0), 0n);
  const parts: number[] = [];
  while (cursor.nextOffset < values.length) {
    const change = cursor.changed();
    const { length } = cursor.take(values.length);
    if (length > 0) parts.push(length);
    if (cursor.nextOffset < values.length) await change;
  }
  expect(parts).toEqual([4, 4, 4]);
});

test("one who does not read is read ahead for so far, and then left out", async () => {
  const large = "x".repeat(300_000);
  let fetches = 0;
  const { fetcher } = brokersOf(({ offset }) => {
    fetches += 1;
    return { bytes: storedBatch({ at: offset, values: [large] }), end: 1_000 };
  });
  const cursor = fetcher.open(placeOf(0), 0n);
  const ahead = Math.ceil(READ_AHEAD_BYTES / large.length);
  await until(cursor, () => cursor.mode === "full");
  expect(fetches).toBe(ahead);
  expect(cursor.take(1_000)).toHaveLength(ahead);
  await until(cursor, () => fetches > ahead);
});

test("a reader asks for less while a line is too slow, and for more when it is not", async () => {
  const line = { maxBytes: MAX_MESSAGE_BYTES };
  const seen: number[] = [];
  const values = ["a", "b"];
  const { fetcher } = brokersOf(({ offset, maxBytes }) => {
    seen.push(maxBytes);
    if (maxBytes <= line.maxBytes) return holding(values, offset);
    throw Object.assign(new Error("timed out"), { name: "KafkaJSRequestTimeoutError" });
  });
  const cursor = fetcher.open(placeOf(0), 0n);
  expect(await taken(cursor, 2)).toEqual(values);
  const quarters = [1, 2, 4, 8].map((parts) => FETCH_BYTES / parts);
  expect(seen.slice(0, 5)).toEqual([...quarters, MAX_MESSAGE_BYTES]);
  line.maxBytes = FETCH_BYTES;
  values.push("x".repeat(MAX_MESSAGE_BYTES / 2)); // a full answer
  await taken(cursor, 1);
  values.push("c");
  await taken(cursor, 1);
  expect(seen).toContain(2 * MAX_MESSAGE_BYTES);
});

test("a fetch that never ends is given up, told, and sent anew", async () => {
  let fetches = 0;
  const never = new Promise<void>(() => {});
  const { fetcher } = brokersOf(({ offset }) => holding(["a"], offset), {
    now: 1,
    withinMs: 20,
    before: () => ((fetches += 1) === 1 ? never : Promise.resolve()),
  });
  const told = until(fetcher.open(placeOf(0), 0n), () => fetcher.problem !== null);
  const cursor = fetcher.open(placeOf(1), 0n);
  await told;
  expect(fetcher.problem).toContain("no answer to a fetch within 20 ms");
  expect(await taken(cursor, 1)).toEqual(["a"]);
  await until(cursor, () => fetcher.problem === null);
});

test("a range is not waited for for ever while its broker does not serve it", async () => {
  const answer = { now: { errorCode: ErrorCode.notLeader, end: -1 } as Answer };
  const { fetcher } = brokersOf(() => answer.now);
  const range = { from: 0n, until: 2n };
  const error = await readRange(fetcher, placeOf(0), range, 50).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "unavailable" });
  expect((error as LogError).message).toContain("offset 0 of events 0");
  answer.now = holding(["a", "b"], 0);
  expect(await readRange(fetcher, placeOf(0), range)).toHaveLength(2);
});

function placeOf(partition: number) {
  return { topic: TOPIC, partition };
}

async function taken(cursor: Cursor, count: number): Promise<string[]> {
  const found: string[] = [];
  await until(cursor, () => {
    found.push(...cursor.take(count - found.length).map(({ value }) => String(value)));
    return found.length >= count;
  });
  return found;
}

/** Looked at with each change; the test's own limit ends it. */
async function until(cursor: Cursor, isSo: () => boolean): Promise<void> {
  while (!isSo()) await Promise.race([cursor.changed(), Bun.sleep(5)]);
}
