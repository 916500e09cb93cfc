import { describe, expect, test } from "bun:test";
import type { LogRecord } from "../../../src/log/event-log.ts";
import { decodeBatch } from "../../../src/log/kafka/batch-records.ts";
import type { AbortedTransaction } from "../../../src/log/kafka/fetch-request.ts";
import { committedBatches } from "../../../src/log/kafka/fetched-batches.ts";
import { emptyBatch, resealed, storedBatch } from "./stored-batch.ts";

const FOUR_ZEROS = Buffer.alloc(4);

describe("aborted records are not handed out", () => {
  test("when the transaction that began later is aborted first", () => {
    const batches = [
      storedBatch({ at: 0, values: ["a"], producer: 1 }),
      storedBatch({ at: 1, values: ["b"], producer: 2 }),
      storedBatch({ at: 2, values: ["a"], producer: 1 }),
      storedBatch({ at: 3, marker: "abort", producer: 2 }),
      storedBatch({ at: 4, marker: "abort", producer: 1 }),
      storedBatch({ at: 5, values: ["c"], producer: 2 }),
    ];
    expect(offsets(batches, [2, 1], [1, 0])).toEqual([5n]);
  });

  test("when transactions of others end in between", () => {
    const batches = [
      storedBatch({ at: 0, values: ["a"], producer: 1 }),
      storedBatch({ at: 1, values: ["b"], producer: 2 }),
      storedBatch({ at: 2, marker: "abort", producer: 2 }),
      storedBatch({ at: 3, marker: "commit", producer: 3 }),
      storedBatch({ at: 4, values: ["a"], producer: 1 }),
      storedBatch({ at: 5, marker: "abort", producer: 1 }),
      storedBatch({ at: 6, values: ["a"], producer: 1 }),
    ];
    expect(offsets(batches, [2, 1], [1, 0])).toEqual([6n]);
  });

  test("when a fetch starts inside two of them", () => {
    const batches = [
      storedBatch({ at: 7, values: ["b"], producer: 2 }),
      storedBatch({ at: 8, values: ["a"], producer: 1 }),
      storedBatch({ at: 9, marker: "abort", producer: 1 }),
      storedBatch({ at: 10, marker: "abort", producer: 2 }),
      storedBatch({ at: 11, values: ["b"], producer: 2 }),
    ];
    expect(offsets(batches, [1, 2], [2, 3])).toEqual([11n]);
  });

  test("when a record's key is four zero bytes, as an abort marker's", () => {
    const batches = [
      storedBatch({ at: 0, values: ["a"], key: FOUR_ZEROS, producer: 1 }),
      storedBatch({ at: 1, values: ["a"], producer: 1 }),
      storedBatch({ at: 2, marker: "abort", producer: 1 }),
      storedBatch({ at: 3, values: ["a"], producer: 1 }),
    ];
    expect(offsets(batches, [1, 0])).toEqual([3n]);
  });

  test("and committed ones with such a key are, of the same producer, too", () => {
    const batches = [
      storedBatch({ at: 0, values: ["a"], key: FOUR_ZEROS, producer: 1 }),
      storedBatch({ at: 1, marker: "commit", producer: 1 }),
      storedBatch({ at: 2, values: ["b"], producer: 1 }),
      storedBatch({ at: 3, marker: "abort", producer: 1 }),
      storedBatch({ at: 4, values: ["c"], key: FOUR_ZEROS }),
    ];
    expect(offsets(batches, [1, 2])).toEqual([0n, 4n]);
  });
});

describe("the position", () => {
  test("passes what compaction has emptied, and markers", () => {
    const marker = storedBatch({ at: 50, marker: "commit", producer: 1 });
    const found = decoded(Buffer.concat([emptyBatch(10, 49), marker]), 10n);
    expect(found).toMatchObject({ records: [], nextOffset: 51n, failure: null });
  });

  test("skips records before it in a batch that begins earlier", () => {
    const found = decoded(storedBatch({ at: 20, values: ["a", "b", "c"] }), 22n);
    expect(found.records.map(({ offset }) => offset)).toEqual([22n]);
    expect(found.nextOffset).toBe(23n);
  });

  test("stays before a batch that is cut off", () => {
    const whole = storedBatch({ at: 0, values: ["a"] });
    const next = storedBatch({ at: 1, values: ["b"] });
    for (const cut of [1, 20, 61, next.length - 1]) {
      const found = decoded(Buffer.concat([whole, next.subarray(0, cut)]));
      expect(found.records).toHaveLength(1);
      expect(found).toMatchObject({ nextOffset: 1n, failure: null });
    }
  });
});

describe("damage", () => {
  test("in any bit is found, and what stands before it is handed out", () => {
    const good = storedBatch({ at: 0, values: ["good"] });
    const bad = storedBatch({ at: 1, values: ["bad", "worse"] });
    const after = storedBatch({ at: 3, values: ["good, too"] });
    for (let at = 16; at < bad.length; at += 1) {
      const broken = Buffer.from(bad);
      broken[at] = (broken[at] as number) ^ (1 << (at % 8));
      const found = decoded(Buffer.concat([good, broken, after]));
      expect(found.records.map(({ value }) => String(value))).toEqual(["good"]);
      expect(found.nextOffset).toBe(1n);
      expect(found.failure?.code).toBe("corrupt");
      expect(found.failure?.message).toContain("offset 1 of events partition 3");
    }
  });

  test("of a length is found, and stops nobody for ever", () => {
    for (const length of [0x7fffffff, 1_000, 0, -12, -1]) {
      const broken = storedBatch({ at: 5, values: ["a"] });
      broken.writeInt32BE(length, 8);
      expect(decoded(broken, 5n).failure?.code).toBe("corrupt");
    }
  });

  test("of what a producer has compressed names the place", () => {
    const bytes = resealed(storedBatch({ at: 8, values: ["not lz4"] }), { attributes: 3 });
    expect(() => decoded(bytes, 8n)).toThrow("offset 8 of events partition 3");
  });
});

test("a record's time is the broker's where the topic has it so, and the producer's else", () => {
  const bytes = storedBatch({ at: 0, values: ["a"] });
  expect(decoded(bytes).records[0]?.timestampMs).toBe(1_700_000_000_000);
  const stamped = resealed(bytes, { attributes: 0x08, maxTimestampMs: 1_800_000_000_000 });
  expect(decoded(stamped).records[0]?.timestampMs).toBe(1_800_000_000_000);
});

/** As a reader meets it: the batches, each decoded in turn, up to the first failure. */
function decoded(bytes: Buffer, from = 0n, aborted: readonly AbortedTransaction[] = []) {
  const place = { topic: "events", partition: 3, from, aborted };
  const { batches, nextOffset, failure } = committedBatches(bytes, place);
  const records: LogRecord[] = [];
  for (const batch of batches) records.push(...decodeBatch(batch, place).records);
  return { records, nextOffset, failure };
}

/** Of the records that are handed out; aborted transactions by producer and first offset. */
function offsets(batches: readonly Buffer[], ...aborted: readonly [number, number][]): bigint[] {
  const from = (batches[0] as Buffer).readBigInt64BE(0);
  const transactions = aborted.map(([producer, first]) => ({
    producerId: BigInt(producer),
    firstOffset: BigInt(first),
  }));
  const { records, failure } = decoded(Buffer.concat(batches), from, transactions);
  expect(failure).toBeNull();
  return records.map(({ offset }) => offset);
}
