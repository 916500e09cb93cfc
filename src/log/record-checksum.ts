/**
 * The checksum of a record: CRC-32 (ISO-HDLC, as zlib has it) over what every log hands out.
 *
 *   key, value, headers ──framed──> scratch bytes ──crc32──> unsigned 32-bit
 *
 * The frame, all numbers 32-bit little-endian: key length, value length (0xffffffff for a
 * tombstone), number of headers, key, value, then each header's name length, value length, name
 * (UTF-8), value. Lengths stand before bytes, so no byte can move from one part to its neighbour
 * without a trace. Headers count in the order of their names, repeats of one name in their own
 * order: Kafka's client hands them out grouped by name, and both logs must give one number.
 * Offset, partition and timestamp are left out: a writer does not know them beforehand.
 */

import { crc32 } from "node:zlib";
import type { Headers } from "./event-log.ts";

const TOMBSTONE_LENGTH = 0xffffffff;
const FIXED_BYTES = 12;
const HEADER_FIXED_BYTES = 8;

/** One buffer for all calls, so that a record costs one call into zlib. Grows, never shrinks. */
let scratch = Buffer.allocUnsafeSlow(16_384);
let scratchView = new DataView(scratch.buffer);

/** Unsigned 32-bit. Depends on the bytes alone, not on who holds them or on headers' grouping. */
export function recordChecksum(record: {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
  readonly headers: Headers;
}): number {
  const { key, value, headers } = record;
  const valueBytes = value === null ? 0 : value.length;
  let size = FIXED_BYTES + key.length + valueBytes;
  // UTF-8 has at most three bytes for a UTF-16 unit.
  for (const [name, bytes] of headers) size += HEADER_FIXED_BYTES + name.length * 3 + bytes.length;
  if (size > scratch.length) growScratch(size);

  scratchView.setUint32(0, key.length, true);
  scratchView.setUint32(4, value === null ? TOMBSTONE_LENGTH : valueBytes, true);
  scratchView.setUint32(8, headers.length, true);
  scratch.set(key, FIXED_BYTES);
  let at = FIXED_BYTES + key.length;
  if (value !== null) scratch.set(value, at);
  at += valueBytes;
  for (const [name, bytes] of inNameOrder(headers)) at = writeHeader(name, bytes, at);
  return crc32(scratch.subarray(0, at));
}

function writeHeader(name: string, bytes: Uint8Array, at: number): number {
  const nameAt = at + HEADER_FIXED_BYTES;
  const written = scratch.write(name, nameAt);
  scratchView.setUint32(at, written, true);
  scratchView.setUint32(at + 4, bytes.length, true);
  scratch.set(bytes, nameAt + written);
  return nameAt + written + bytes.length;
}

function inNameOrder(headers: Headers): Headers {
  if (headers.length < 2) return headers;
  return headers.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function growScratch(size: number): void {
  scratch = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(size)));
  scratchView = new DataView(scratch.buffer);
}
