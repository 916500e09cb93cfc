/**
 * CRC-32C (Castagnoli), as Kafka's record batches have it; four bytes a step.
 *
 * Source: Kounavis and Berry, "A Systematic Approach to Building High Performance Software-based
 * CRC Generators" (slicing).
 */

const POLYNOMIAL = 0x82f63b78;
const SLICES = 4;

const tables = makeTables();

/** Unsigned 32-bit. */
export function crc32c(bytes: Uint8Array): number {
  const [t0, t1, t2, t3] = tables;
  let crc = -1;
  let at = 0;
  // An index below the length has a byte, and a byte has an entry in a table.
  const byte = (index: number) => bytes[index] as number;
  for (const last = bytes.length - 3; at < last; at += SLICES) {
    crc ^= byte(at) | (byte(at + 1) << 8) | (byte(at + 2) << 16) | (byte(at + 3) << 24);
    crc =
      (t3[crc & 0xff] as number) ^
      (t2[(crc >>> 8) & 0xff] as number) ^
      (t1[(crc >>> 16) & 0xff] as number) ^
      (t0[crc >>> 24] as number);
  }
  for (; at < bytes.length; at += 1) {
    crc = (t0[(crc ^ byte(at)) & 0xff] as number) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

type Tables = readonly [Int32Array, Int32Array, Int32Array, Int32Array];

function makeTables(): Tables {
  const first = Int32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    return crc;
  });
  const next = (before: Int32Array) =>
    before.map((crc) => (first[crc & 0xff] as number) ^ (crc >>> 8));
  const second = next(first);
  const third = next(second);
  return [first, second, third, next(third)];
}
