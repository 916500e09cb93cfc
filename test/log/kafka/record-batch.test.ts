import { describe, expect, test } from "bun:test";
import { createRequire } from "node:module";
import { readBatch } from "../../../src/log/kafka/batch-header.ts";
import { decodeBatch } from "../../../src/log/kafka/batch-records.ts";
import { encodeBatch, recordBytes } from "../../../src/log/kafka/record-batch.ts";

const NO_PRODUCER = {
  producerId: -1n,
  producerEpoch: -1,
  firstSequence: -1,
  isTransactional: false,
} as const;
const FOUR_ZEROS = Buffer.alloc(4);

describe("what is written", () => {
  test("has the bytes that another client writes for the same records", async () => {
    const inside = createRequire(import.meta.resolve("kafkajs"));
    const { RecordBatch } = inside("./src/protocol/recordBatch/v0/index.js") as {
      RecordBatch(options: object): Promise<{ readonly buffer: Buffer }>;
    };
    const Record = inside("./src/protocol/recordBatch/record/v0/index.js") as (
      record: object,
    ) => object;
    const records = [
      { key: Buffer.from("a"), value: Buffer.from("first"), headers: [] },
      { key: Buffer.alloc(70, "k"), value: null, headers: [["id", Buffer.from("7")]] },
      { key: Buffer.alloc(0), value: Buffer.alloc(9_000, 1), headers: [] },
    ] as const;
    const timestampMs = 1_763_000_000_123;
    const others = await RecordBatch({
      firstTimestamp: timestampMs,
      maxTimestamp: timestampMs,
      producerId: 1_234_567_890_123,
      producerEpoch: 7,
      firstSequence: 2_147_483_600,
      transactional: true,
      lastOffsetDelta: records.length - 1,
      records: records.map(({ key, value, headers }, offsetDelta) =>
        Record({
          key,
          value,
          headers: Object.fromEntries(headers),
          offsetDelta,
          timestampDelta: 0,
        }),
      ),
    });
    const place = {
      producerId: 1_234_567_890_123n,
      producerEpoch: 7,
      firstSequence: 2_147_483_600,
      isTransactional: true,
    };
    const ours = encodeBatch(records, place, { timestampMs, compressFromBytes: Infinity });
    expect(ours.toString("hex")).toBe(others.buffer.toString("hex"));
  });

  test("comes back as it was, compressed or not, headers in their order", () => {
    const headers = [
      ["b", Buffer.from("1")],
      ["a", Buffer.from("2")],
      ["b", Buffer.alloc(0)],
    ] as const;
    const records = [
      { key: Buffer.from("k"), value: Buffer.alloc(200, 7), headers },
      { key: Buffer.alloc(0), value: null },
      { key: FOUR_ZEROS, value: Buffer.alloc(0) },
    ];
    for (const compressFromBytes of [0, Infinity]) {
      const options = { timestampMs: 1_000, compressFromBytes };
      const { records: found } = decoded(encodeBatch(records, NO_PRODUCER, options));
      expect(found.map(({ key, value }) => [...key, ...(value ?? [])].length)).toEqual([201, 0, 4]);
      expect(found.map(({ value }) => value?.length ?? null)).toEqual([200, null, 0]);
      expect(found[0]?.headers.map(([name, value]) => `${name}=${String(value)}`)).toEqual([
        "b=1",
        "a=2",
        "b=",
      ]);
      expect(found.map(({ offset }) => offset)).toEqual([0n, 1n, 2n]);
    }
  });

  test("is never larger than it was counted", () => {
    const headers = [["name", Buffer.alloc(300)]] as const;
    const records = Array.from({ length: 20_000 }, (_, index) => ({
      partition: 0,
      key: Buffer.alloc(index % 3),
      value: index % 2 === 0 ? null : Buffer.alloc(index % 70),
      ...(index % 1_000 === 0 ? { headers } : {}),
    }));
    const options = { timestampMs: 0, compressFromBytes: Infinity };
    const bytes = encodeBatch(records, NO_PRODUCER, options).length;
    const counted = records.reduce((sum, record) => sum + recordBytes(record), 0);
    expect(bytes - 61).toBeLessThanOrEqual(counted);
  });
});

function decoded(bytes: Buffer) {
  return decodeBatch(readBatch(bytes, 0), { topic: "events", partition: 3, from: 0n });
}
