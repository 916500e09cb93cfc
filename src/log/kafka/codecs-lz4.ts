/**
 * LZ4's frame format, as Kafka's clients compress with it. Read only; what we write is zstd.
 *
 *   frames ──> blocks ──> bytes
 *
 * Blocks may refer back into earlier ones of their frame (librdkafka's do). Checksums are skipped:
 * the record batch's own CRC-32C covers the same bytes and is checked first. The package for it
 * (lz4js) was last touched years ago, and cannot read linked blocks.
 *
 * Source: lz4/doc/lz4_Frame_format.md and lz4_Block_format.md.
 */

import { MAX_BATCH_BYTES } from "./codecs-limit.ts";
import { copyBack } from "./codecs-window.ts";

const FRAME_MAGIC = 0x184d2204;
const VERSION_MASK = 0xc0;
const VERSION = 0x40;
const BLOCK_CHECKSUM = 0x10;
const CONTENT_SIZE = 0x08;
const CONTENT_CHECKSUM = 0x04;
const DICTIONARY = 0x01;
const CHECKSUM_BYTES = 4;
const UNCOMPRESSED = 0x80000000;
/** A run of 15 goes on in the following bytes, until one below 255. */
const LONG_RUN = 15;
const SHORTEST_COPY = 4;

/** Throws RangeError for bytes that are not LZ4's. */
export function decompressLz4(bytes: Buffer): Buffer {
  const output = new Output(bytes.length * 4);
  for (let at = 0; at < bytes.length; ) at = readFrame(bytes, at, output);
  return output.done();
}

/** Returns where the next frame begins. */
function readFrame(bytes: Buffer, start: number, output: Output): number {
  if (bytes.readUInt32LE(start) !== FRAME_MAGIC) throw new RangeError("no LZ4 frame is here");
  const descriptor = bytes.readUInt8(start + 4);
  if ((descriptor & VERSION_MASK) !== VERSION || (descriptor & DICTIONARY) !== 0) {
    const shown = descriptor.toString(16);
    throw new RangeError(`an LZ4 frame has descriptor 0x${shown}, which is not known`);
  }
  // Magic, descriptor, block size, the content's size where it is given, the header's checksum.
  let at = start + 6 + ((descriptor & CONTENT_SIZE) === 0 ? 0 : 8) + 1;
  output.beginFrame();
  for (;;) {
    const word = bytes.readUInt32LE(at);
    at += 4;
    if (word === 0) break;
    const size = word & ~UNCOMPRESSED;
    if (at + size > bytes.length) throw new RangeError("an LZ4 block is cut off");
    const block = bytes.subarray(at, at + size);
    if ((word & UNCOMPRESSED) === 0) readBlock(block, output);
    else output.append(block);
    at += size + ((descriptor & BLOCK_CHECKSUM) === 0 ? 0 : CHECKSUM_BYTES);
  }
  return at + ((descriptor & CONTENT_CHECKSUM) === 0 ? 0 : CHECKSUM_BYTES);
}

function readBlock(bytes: Buffer, output: Output): void {
  let at = 0;
  const runFrom = (start: number) => {
    let run = start;
    if (start < LONG_RUN) return run;
    for (let byte = 255; byte === 255; run += byte) byte = bytes.readUInt8(at++);
    return run;
  };
  while (at < bytes.length) {
    const token = bytes[at++] as number;
    const literal = runFrom(token >>> 4);
    if (at + literal > bytes.length) throw new RangeError("an LZ4 literal is cut off");
    output.append(bytes.subarray(at, at + literal));
    at += literal;
    if (at === bytes.length) return; // the last sequence has no copy
    const distance = bytes.readUInt16LE(at);
    at += 2;
    output.copyBack(distance, runFrom(token & 0x0f) + SHORTEST_COPY);
  }
}

/** Grows: a frame seldom says how much it holds. */
class Output {
  private buffer: Buffer;
  private length = 0;
  private frameStart = 0;

  constructor(bytes: number) {
    this.buffer = Buffer.allocUnsafe(Math.min(bytes, MAX_BATCH_BYTES));
  }

  beginFrame(): void {
    this.frameStart = this.length;
  }

  append(bytes: Buffer): void {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
  }

  copyBack(distance: number, size: number): void {
    if (distance > this.length - this.frameStart) {
      throw new RangeError(`an LZ4 copy reaches ${distance} bytes back, before its frame`);
    }
    this.reserve(size);
    copyBack(this.buffer, { at: this.length, distance, size });
    this.length += size;
  }

  done(): Buffer {
    return this.buffer.subarray(0, this.length);
  }

  private reserve(bytes: number): void {
    const needed = this.length + bytes;
    if (needed > MAX_BATCH_BYTES) {
      throw new RangeError(`a batch holds more than ${MAX_BATCH_BYTES} bytes`);
    }
    if (needed <= this.buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.buffer.length * 2));
    larger.set(this.buffer.subarray(0, this.length));
    this.buffer = larger;
  }
}
