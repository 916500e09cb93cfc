/**
 * Snappy, as other clients compress with it: blocks framed as the Java client's library does, or
 * one bare block, as librdkafka's. Read only; what we write is zstd.
 *
 *   bytes ──frame?──> blocks ──> bytes
 *
 * Written out here because the package for it (snappyjs) does not bound what a block claims to
 * hold, and is no shorter. Sources: google/snappy format_description.txt; xerial/snappy-java
 * SnappyOutputStream.
 */

import { MAX_BATCH_BYTES } from "./codecs-limit.ts";
import { copyBack } from "./codecs-window.ts";

/** "\x82SNAPPY\0"; two versions of 4 bytes each follow it. */
const FRAME_MAGIC = Buffer.from("82534e4150505900", "hex");
const FRAME_HEADER_BYTES = 16;
const LITERAL = 0;
/** A literal's length up to here is in its tag; above, in as many bytes as it is above. */
const LONGEST_SHORT_LITERAL = 60;

/** Throws RangeError for bytes that are not snappy's. */
export function decompressSnappy(bytes: Buffer): Buffer {
  if (!bytes.subarray(0, FRAME_MAGIC.length).equals(FRAME_MAGIC)) return decompressBlock(bytes);
  const blocks: Buffer[] = [];
  let total = 0;
  for (let at = FRAME_HEADER_BYTES; at < bytes.length; ) {
    const length = bytes.readInt32BE(at);
    at += 4;
    if (length < 0 || at + length > bytes.length) throw new RangeError("a snappy block is cut off");
    const block = decompressBlock(bytes.subarray(at, at + length));
    total += block.length;
    if (total > MAX_BATCH_BYTES) throw tooLarge(total);
    blocks.push(block);
    at += length;
  }
  return Buffer.concat(blocks, total);
}

function decompressBlock(bytes: Buffer): Buffer {
  const { length, from } = readLength(bytes);
  const out = Buffer.allocUnsafe(length);
  let at = from;
  let filled = 0;
  while (at < bytes.length) {
    const tag = bytes[at++] as number;
    const kind = tag & 3;
    if (kind === LITERAL) {
      let size = (tag >>> 2) + 1;
      if (size > LONGEST_SHORT_LITERAL) {
        const width = size - LONGEST_SHORT_LITERAL;
        size = bytes.readUIntLE(at, width) + 1;
        at += width;
      }
      if (at + size > bytes.length || filled + size > length) throw new RangeError(BAD_LITERAL);
      out.set(bytes.subarray(at, at + size), filled);
      at += size;
      filled += size;
    } else {
      // One, two or four bytes of distance; a short copy keeps three more bits in its tag.
      const size = kind === 1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1;
      const width = kind === 3 ? 4 : kind;
      const distance = bytes.readUIntLE(at, width) + (kind === 1 ? (tag >>> 5) << 8 : 0);
      at += width;
      copyBack(out, { at: filled, distance, size });
      filled += size;
    }
  }
  if (filled !== length) throw new RangeError(`a snappy block has ${filled} of ${length} bytes`);
  return out;
}

const BAD_LITERAL = "a snappy literal passes the end of its block";

/** What the block says that it holds, and where its elements begin. */
function readLength(bytes: Buffer): { readonly length: number; readonly from: number } {
  let length = 0;
  for (let at = 0; at < 5; at += 1) {
    const byte = bytes.readUInt8(at);
    length += (byte & 0x7f) * 2 ** (7 * at);
    if (byte < 0x80) {
      if (length > MAX_BATCH_BYTES) throw tooLarge(length);
      return { length, from: at + 1 };
    }
  }
  throw new RangeError("a snappy block's length has no end");
}

function tooLarge(bytes: number): RangeError {
  return new RangeError(`a batch holds ${bytes} bytes, more than ${MAX_BATCH_BYTES}`);
}
