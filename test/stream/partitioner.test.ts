import { expect, test } from "bun:test";
import fc from "fast-check";
import { murmur2, partitionOf } from "../../src/stream/partitioner.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);

// org.apache.kafka.common.utils.UtilsTest.testMurmur2
test.each([
  ["21", -973_932_308],
  ["foobar", -790_332_482],
  ["a-little-bit-long-string", -985_981_536],
  ["a-little-bit-longer-string", -1_486_304_829],
  ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971],
  ["abc", 479_470_107],
])("hashes %p as Kafka's Java client does", (text, hash) => {
  expect(murmur2(utf8(text))).toBe(hash);
});

/** The algorithm once more, from its description: exact integers, a DataView, no shortcuts. */
function murmur2OfBigints(data: Uint8Array): bigint {
  const m = 0x5bd1e995n;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let h = BigInt.asUintN(32, 0x9747b28cn ^ BigInt(data.length));
  const words = data.length >> 2;
  for (let i = 0; i < words; i += 1) {
    let k = BigInt.asUintN(32, BigInt(view.getUint32(i * 4, true)) * m);
    k = BigInt.asUintN(32, (k ^ (k >> 24n)) * m);
    h = BigInt.asUintN(32, h * m) ^ k;
  }
  const rest = data.subarray(words * 4);
  for (let i = rest.length - 1; i >= 0; i -= 1) h ^= BigInt(rest[i] as number) << BigInt(8 * i);
  if (rest.length > 0) h = BigInt.asUintN(32, h * m);
  h = BigInt.asUintN(32, (h ^ (h >> 13n)) * m);
  return BigInt.asIntN(32, h ^ (h >> 15n));
}

test("hashes any bytes as the algorithm says, also those of UTF-8 beyond ASCII", () => {
  const keys = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.string({ unit: "binary" }).map(utf8));
  fc.assert(
    fc.property(keys, (key) => {
      expect(BigInt(murmur2(key))).toBe(murmur2OfBigints(key));
    }),
  );
});

test("hashes a part of a larger buffer as its own bytes", () => {
  expect(murmur2(utf8("xxfoobar").subarray(2))).toBe(-790_332_482);
});

test("gives the partitions that Kafka's own clients give", () => {
  // (murmur2 & 0x7fffffff) % n, so that a negative hash has a partition, too
  const partitions = (text: string) => [1, 4, 8, 12].map((n) => partitionOf(utf8(text), n));
  expect(partitions("21")).toEqual([0, 0, 4, 0]);
  expect(partitions("foobar")).toEqual([0, 2, 6, 6]);
  expect(partitions("abc")).toEqual([0, 3, 3, 3]);
  expect(partitions("grün-Ω-🦊")).toEqual([0, 2, 6, 2]);
});
