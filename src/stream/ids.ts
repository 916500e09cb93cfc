/**
 * Ids, counted once: for each record with an id, one small row of the engine's own.
 *
 *   sub-key  16 bytes of SHA-256 over topic, NUL, id: bounded, whatever the client sends
 *   value    u64 offset of the first record with the id, then the fingerprint as UTF-8
 *
 * The rows are kept for good: a repeat is found however late it comes.
 */

import type { Codec } from "./codec.ts";
import { ID_TAG, rowKey, toLatin1 } from "./row-key.ts";

/** The header that carries a record's id, as UTF-8 text. */
export const ID_HEADER = "id";

const SUB_KEY_BYTES = 16;

export interface IdRow {
  /** Of the first record with the id, in the row's own partition. */
  readonly offset: bigint;
  readonly fingerprint: string;
}

export const idCodec: Codec<IdRow> = {
  name: "id",
  encode: ({ offset, fingerprint }) => {
    const bytes = Buffer.allocUnsafe(8 + Buffer.byteLength(fingerprint));
    bytes.writeBigUInt64BE(offset, 0);
    bytes.write(fingerprint, 8);
    return bytes;
  },
  decode: (stored) => {
    const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
    return { offset: bytes.readBigUInt64BE(0), fingerprint: bytes.toString("utf8", 8) };
  },
};

/** One buffer for all calls: hashing into it costs a tenth of a hasher and a new array each. */
const hash = new Uint8Array(32);

/** The stored key of an id's row, below its record key's prefix. */
export function idRowKey(prefix: string, topic: string, id: string): string {
  Bun.SHA256.hash(`${topic}\0${id}`, hash);
  return rowKey(prefix, ID_TAG, undefined) + toLatin1(hash).slice(0, SUB_KEY_BYTES);
}
