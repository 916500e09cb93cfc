import { expect, test } from "bun:test";
import { crc32c } from "../../../src/log/kafka/crc32c.ts";

test("is CRC-32C, by the published vectors", () => {
  // RFC 3720, B.4, and the check value of the catalogue of parametrised CRC algorithms.
  const ascending = Uint8Array.from({ length: 32 }, (_, index) => index);
  const vectors: [Uint8Array, number][] = [
    [new Uint8Array(32), 0x8a9136aa],
    [new Uint8Array(32).fill(0xff), 0x62a8ab43],
    [ascending, 0x46dd794e],
    [ascending.toReversed(), 0x113fdb5c],
    [Buffer.from("123456789"), 0xe3069283],
    [new Uint8Array(), 0],
  ];
  for (const [bytes, crc] of vectors) expect(crc32c(bytes)).toBe(crc);
});

test("gives one number for the same bytes, wherever they lie in their buffer", () => {
  const bytes = Uint8Array.from({ length: 100 }, (_, index) => (index * 37) % 256);
  for (let length = 0; length <= bytes.length; length += 1) {
    const crc = bitByBit(bytes.subarray(0, length));
    for (const offset of [0, 1, 2, 3]) {
      const moved = new Uint8Array(offset + length);
      moved.set(bytes.subarray(0, length), offset);
      expect(crc32c(moved.subarray(offset))).toBe(crc);
    }
  }
});

function bitByBit(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}
