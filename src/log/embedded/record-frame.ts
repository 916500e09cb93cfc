/**
 * How a record's headers and checksum stand in the embedded log's rows.
 *
 *   headers   null when there are none, else (u16 name length, name, u32 length, value)*
 *   checksum  CRC-32 of where and when the record stands, continued from the record's own
 */

import { crc32 } from "node:zlib";
import type { Headers } from "../event-log.ts";

export const NO_HEADERS: Headers = [];

export function encodeHeaders(headers: Headers): Uint8Array | null {
  if (headers.length === 0) return null;
  let length = 0;
  for (const [name, value] of headers) length += 6 + name.length + value.length;
  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  for (const [name, value] of headers) {
    at = bytes.writeUInt16LE(name.length, at);
    at += bytes.write(name, at, "latin1");
    at = bytes.writeUInt32LE(value.length, at);
    bytes.set(value, at);
    at += value.length;
  }
  return bytes;
}

/** Throws a RangeError on bytes that are no headers. */
export function decodeHeaders(stored: Uint8Array | null): Headers {
  if (stored === null) return NO_HEADERS;
  const headers: (readonly [string, Uint8Array])[] = [];
  let at = 0;
  while (at < stored.length) {
    const nameEnd = at + 2 + littleEndianAt(stored, at, 2);
    const valueAt = nameEnd + 4;
    const valueEnd = valueAt + littleEndianAt(stored, nameEnd, 4);
    if (valueEnd > stored.length) throw new RangeError("headers are cut short");
    let name = "";
    for (let i = at + 2; i < nameEnd; i++) name += String.fromCharCode(stored[i] as number);
    // A copy: a view makes the engine build an ArrayBuffer for SQLite's bytes, which costs more.
    headers.push([name, stored.slice(valueAt, valueEnd)]);
    at = valueEnd;
  }
  return headers;
}

function littleEndianAt(bytes: Uint8Array, at: number, length: number): number {
  if (at + length > bytes.length) throw new RangeError("headers are cut short");
  let value = 0;
  for (let i = length - 1; i >= 0; i--) value = value * 256 + (bytes[at + i] as number);
  return value;
}

const frame = Buffer.alloc(32);

/** Binds a record's own checksum to its place, so that a row that moved is found out. */
export function storedChecksum(
  recordChecksum: number,
  place: { partitionId: number; offset: number; sequence: number; timestampMs: number },
): number {
  frame.writeDoubleLE(place.partitionId, 0);
  frame.writeDoubleLE(place.offset, 8);
  frame.writeDoubleLE(place.sequence, 16);
  frame.writeDoubleLE(place.timestampMs, 24);
  return crc32(frame, recordChecksum);
}
