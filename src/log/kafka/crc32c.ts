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
  const [t0, t1, t2, t3] = tables as [Int32Array, Int32Array, Int32Array, Int32Array];
  let crc = -1;
  let at = 0;
  for (const last = bytes.length - 3; at < last; at += SLICES) {
    crc ^= (bytes[at]!) | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      t3[crc & 0xff]! ^ t2[(crc >>> 8) & 0xff]! ^ t1[(crc >>> 16) & 0xff]! ^ t0[crc >>> 24]!;
  }
  for (; at < bytes.length; at += 1) crc = t0[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

function makeTables(): Int32Array[] {
  const made = Array.from({ length: SLICES }, () => new Int32Array(256));
  const [first] = made as [Int32Array];
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    first[byte] = crc;
  }
  for (let slice = 1; slice < SLICES; slice += 1) {
    const [table, before] = [made[slice]!, made[slice - 1]!];
    for (let byte = 0; byte < 256; byte += 1) {
      table[byte] = first[before[byte]! & 0xff]! ^ (before[byte]! >>> 8);
    }
  }
  return made;
}
