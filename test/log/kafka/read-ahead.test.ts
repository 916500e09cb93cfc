/** What waits between a fetch and its reader. */

import { expect, test } from "bun:test";
import { committedBatches } from "../../../src/log/kafka/fetched-batches.ts";
import { TAKE_BYTES } from "../../../src/log/kafka/limits.ts";
import { ReadAhead } from "../../../src/log/kafka/read-ahead.ts";
import { type StoredBatch, storedBatch } from "./stored-batch.ts";

const PLACE = { topic: "events", partition: 0 };

test("hands out records below an offset, and says where it stands", () => {
  const ahead = holding(0n, { at: 10, values: ["a", "b", "c"] }, { at: 20, values: ["d"] });
  expect(ahead.nextOffset).toBe(10n);
  expect(taken(ahead, 9, 10n)).toEqual([]);
  expect(taken(ahead, 9, 11n)).toEqual([10n]);
  expect(ahead.nextOffset).toBe(11n);
  expect(taken(ahead, 9, 11n)).toEqual([]);
  expect(taken(ahead, 1, null)).toEqual([11n]);
  expect(taken(ahead, 9, null)).toEqual([12n, 20n]);
  expect(ahead.nextOffset).toBeNull();
});

test("leaves out what stands before its place in the first batch", () => {
  const ahead = holding(12n, { at: 10, values: ["a", "b", "c"] });
  expect(ahead.nextOffset).toBe(12n);
  expect(taken(ahead, 9, null)).toEqual([12n]);
});

test("counts what waits as it came, however large it becomes", () => {
  const values = ["x".repeat(TAKE_BYTES)];
  const batches = [0, 1].map((at) => ({ at, values, compressFromBytes: 0 }));
  const ahead = holding(0n, ...batches);
  expect(ahead.bytes).toBeLessThan(TAKE_BYTES / 100);
  expect(ahead.take(9, null)).toMatchObject({ records: [{ offset: 0n }], isCut: true });
  expect(ahead.isEmpty).toBe(false);
  expect(ahead.take(9, null)).toMatchObject({ records: [{ offset: 1n }], isCut: false });
  expect([ahead.isEmpty, ahead.bytes]).toEqual([true, 0]);
});

function holding(from: bigint, ...stored: readonly StoredBatch[]): ReadAhead {
  const ahead = new ReadAhead(PLACE, from);
  const bytes = Buffer.concat(stored.map(storedBatch));
  ahead.push(committedBatches(bytes, { ...PLACE, from, aborted: [] }).batches);
  return ahead;
}

function taken(ahead: ReadAhead, maxRecords: number, until: bigint | null): bigint[] {
  return ahead.take(maxRecords, until).records.map(({ offset }) => offset);
}
