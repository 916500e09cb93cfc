/**
 * Packing: small fields one after another in a growing buffer, for rows that are written with
 * nearly every message. A protobuf runtime spends several times as long on such rows, most of it
 * on lists of 64-bit fields.
 *
 *   fields ──put──> Packer ──packed──> bytes ──unpack──> Unpacker ──take──> fields
 *
 * Numbers are LEB128 as in protobuf (https://protobuf.dev/programming-guides/encoding/#varints),
 * also beyond 64 bits. There are no tags: a codec begins with a format number of its own.
 */

export interface Packer {
  bytes: Uint8Array;
  /** Where the next field goes; what is beyond it is free. */
  length: number;
}

export interface Unpacker {
  readonly bytes: Uint8Array;
  /** Where the next field begins. */
  at: number;
}

export function newPacker(capacityBytes: number): Packer {
  return { bytes: new Uint8Array(capacityBytes), length: 0 };
}

/** A copy of what was put. */
export function packed(packer: Packer): Uint8Array {
  return packer.bytes.slice(0, packer.length);
}

export function unpack(bytes: Uint8Array): Unpacker {
  return { bytes, at: 0 };
}

/** A safe integer, 0 or more. */
export function putCount(packer: Packer, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`cannot pack ${value}`);
  const bytes = room(packer, MAX_COUNT_BYTES);
  let rest = value;
  let at = packer.length;
  while (rest > 0x7fffffff) {
    bytes[at++] = rest % 128 | 128;
    rest = Math.floor(rest / 128);
  }
  while (rest > 127) {
    bytes[at++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  packer.length = at;
}

/** An integer of either sign, up to 2^52 in size; small ones of either sign are short. */
export function putSigned(packer: Packer, value: number): void {
  putCount(packer, value < 0 ? -2 * value - 1 : 2 * value);
}

/** An integer of any size, 0 or more. */
export function putBigint(packer: Packer, value: bigint): void {
  // Two comparisons of bigints cost more than all else here, and nearly every value is small.
  const count = Number(value);
  if (count <= Number.MAX_SAFE_INTEGER) return putCount(packer, count);
  let rest = value;
  while (rest > MAX_SAFE) {
    room(packer, 1)[packer.length++] = Number(rest & 127n) | 128;
    rest >>= 7n;
  }
  putCount(packer, Number(rest));
}

/** Well-formed text, as its length and UTF-8. */
export function putText(packer: Packer, text: string): void {
  const { length } = text;
  if (length <= MAX_SHORT_TEXT) {
    const bytes = room(packer, length + 1);
    let at = packer.length;
    bytes[at++] = length;
    let i = 0;
    for (; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code > 127) break;
      bytes[at++] = code;
    }
    if (i === length) {
      packer.length = at;
      return;
    }
  }
  putBytes(packer, encoder.encode(text));
}

/** Bytes, after their length. */
export function putBytes(packer: Packer, value: Uint8Array): void {
  putCount(packer, value.length);
  putRest(packer, value);
}

/** Bytes as they are: the last field, or of a length that is known. */
export function putRest(packer: Packer, value: Uint8Array): void {
  room(packer, value.length).set(value, packer.length);
  packer.length += value.length;
}

export function takeCount(unpacker: Unpacker): number {
  const value = takeBigintOrCount(unpacker);
  if (typeof value === "bigint") throw new RangeError(`${value} is more than a count can be`);
  return value;
}

export function takeSigned(unpacker: Unpacker): number {
  const value = takeCount(unpacker);
  return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
}

export function takeBigint(unpacker: Unpacker): bigint {
  return BigInt(takeBigintOrCount(unpacker));
}

/** Throws on bytes that are no UTF-8. */
export function takeText(unpacker: Unpacker): string {
  return decoder.decode(takeBytes(unpacker));
}

/** A view, not a copy. */
export function takeBytes(unpacker: Unpacker): Uint8Array {
  const length = takeCount(unpacker);
  const from = unpacker.at;
  if (from + length > unpacker.bytes.length) throw cutShort();
  unpacker.at = from + length;
  return unpacker.bytes.subarray(from, from + length);
}

/** A view of all that is left. */
export function takeRest(unpacker: Unpacker): Uint8Array {
  const rest = unpacker.bytes.subarray(unpacker.at);
  unpacker.at = unpacker.bytes.length;
  return rest;
}

/** Throws when something is left: the bytes are not what the codec wrote. */
export function takeEnd(unpacker: Unpacker): void {
  const left = unpacker.bytes.length - unpacker.at;
  if (left !== 0) throw new RangeError(`${left} bytes too many in a packed row`);
}

/** 53 bits in sevens. */
const MAX_COUNT_BYTES = 8;

/** Text up to this many ASCII characters has its length in one byte and is copied in a loop. */
const MAX_SHORT_TEXT = 127;

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The buffer, with so many bytes free. */
function room(packer: Packer, bytes: number): Uint8Array {
  const needed = packer.length + bytes;
  if (needed > packer.bytes.length) {
    const larger = new Uint8Array(Math.max(needed, 2 * packer.bytes.length));
    larger.set(packer.bytes.subarray(0, packer.length));
    packer.bytes = larger;
  }
  return packer.bytes;
}

/** A number while it is a safe integer, so that the usual case needs no bigint. */
function takeBigintOrCount(unpacker: Unpacker): number | bigint {
  const { bytes } = unpacker;
  let value = 0;
  let scale = 1;
  for (let i = 0; i < MAX_COUNT_BYTES; i++) {
    const byte = bytes[unpacker.at++];
    if (byte === undefined) throw cutShort();
    value += (byte & 127) * scale;
    if (byte < 128) return value <= Number.MAX_SAFE_INTEGER ? value : wide(unpacker, i + 1);
    scale *= 128;
  }
  return wide(unpacker, MAX_COUNT_BYTES);
}

/** Reads a number again from its beginning, `read` bytes back. */
function wide(unpacker: Unpacker, read: number): bigint {
  unpacker.at -= read;
  let value = 0n;
  let shift = 0n;
  for (;;) {
    const byte = unpacker.bytes[unpacker.at++];
    if (byte === undefined) throw cutShort();
    value |= BigInt(byte & 127) << shift;
    if (byte < 128) return value;
    shift += 7n;
  }
}

function cutShort(): RangeError {
  return new RangeError("a packed row is cut short");
}
