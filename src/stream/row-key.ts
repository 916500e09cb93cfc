/**
 * The stored key of a row: u16 key length, key, u8 kind's tag, sub-key.
 *
 * The length in front keeps the rows of one key together and makes a prefix of one key never a
 * prefix of another; within a key and kind, rows stand in the order of their sub-keys. In memory
 * the same bytes are a string of one character a byte, which a Map finds without hashing objects.
 */

/** The engine's own rows; row kinds of groups have tags from 1. */
export const ID_TAG = 0;

/** What the length in front can say. */
export const MAX_KEY_BYTES = 65_535;

/** In Bun a method of Buffer that takes any Uint8Array; `bytes.buffer` costs ten times more. */
const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice: (this: Uint8Array, start: number, end: number) => string;
};

/** The bytes as a string of one character each. */
export function toLatin1(bytes: Uint8Array): string {
  return latin1Slice.call(bytes, 0, bytes.length);
}

/** A key's part of all its rows' keys, one character a byte. At most MAX_KEY_BYTES. */
export function keyPrefix(key: Uint8Array): string {
  return String.fromCharCode(key.length >> 8, key.length & 0xff) + toLatin1(key);
}

/** Above all rows of a key, and below those of the next: no kind's tag is 255. */
export function endOfKey(key: Uint8Array): string {
  return `${keyPrefix(key)}\xff`;
}

export function rowKey(prefix: string, tag: number, subKey: Uint8Array | undefined): string {
  const kindPrefix = prefix + String.fromCharCode(tag);
  if (subKey === undefined || subKey.length === 0) return kindPrefix;
  return kindPrefix + toLatin1(subKey);
}

export function toBytes(latin1: string): Buffer {
  return Buffer.from(latin1, "latin1");
}

/** The smallest string above all that begin with `prefix`, whose last byte is a tag below 255. */
export function endOfPrefix(prefix: string): string {
  const last = prefix.length - 1;
  return prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1);
}

/** Splits a stored key. Throws a RangeError on bytes that are no row key. */
export function splitRowKey(stored: Uint8Array): {
  readonly key: Uint8Array;
  readonly tag: number;
  readonly subKey: Uint8Array;
} {
  const length = ((stored[0] ?? 0) << 8) | (stored[1] ?? 0);
  const tag = stored[2 + length];
  if (tag === undefined) throw new RangeError(`${stored.length} bytes are no row key`);
  return { key: stored.subarray(2, 2 + length), tag, subKey: stored.subarray(3 + length) };
}
