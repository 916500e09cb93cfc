import { expect, test } from "bun:test";
import { ByteReader, ByteWriter } from "../../../src/log/kafka/bytes.ts";

test("varints have protobuf's zigzag bytes, and come back", () => {
  const golden: [number, string][] = [
    [0, "00"],
    [-1, "01"],
    [1, "02"],
    [63, "7e"],
    [-64, "7f"],
    [64, "8001"],
    [8_191, "fe7f"],
    [8_192, "808001"],
    [2 ** 30 - 1, "feffffff07"],
    [2 ** 31 - 1, "feffffff0f"],
    [-(2 ** 31), "ffffffff0f"],
  ];
  for (const [value, hex] of golden) {
    const bytes = new ByteWriter().varint(value).done();
    expect(bytes.toString("hex")).toBe(hex);
    expect(new ByteReader(bytes).varint()).toBe(value);
  }
});

test("a varint that has no end is refused", () => {
  for (const hex of ["", "80", "ffffffffff01"]) {
    expect(() => new ByteReader(Buffer.from(hex, "hex")).varint()).toThrow(RangeError);
  }
});

test("a writer grows as it must, and a reader stops at the end", () => {
  const writer = new ByteWriter(1).int8(-1).int16(-2).int32(-3).uint32(2 ** 32 - 1);
  writer.int64(-(2n ** 63n)).string("größe").string(null).bytes(new Uint8Array(1_000));
  const reader = new ByteReader(writer.done());
  expect([reader.int8(), reader.int16(), reader.int32(), reader.uint32()]).toEqual([
    -1,
    -2,
    -3,
    2 ** 32 - 1,
  ]);
  expect([reader.int64(), reader.string(), reader.string()]).toEqual([-(2n ** 63n), "größe", null]);
  expect(reader.bytes(1_000)).toHaveLength(1_000);
  expect(reader.left).toBe(0);
  expect(() => reader.bytes(1)).toThrow(RangeError);
  expect(() => reader.int64()).toThrow(RangeError);
});
