/**
 * Kafka's record batch, format 2, as it is written; what reads it begins in fetched-batches.ts.
 *
 *   records ──encodeBatch──> bytes
 *
 * Source: the Kafka protocol guide.
 */

import type { NewRecord } from "../event-log.ts";
import {
  CRC_COVERS_FROM,
  HEADER_BYTES,
  MAGIC,
  PREFIX_BYTES,
  TRANSACTIONAL,
} from "./batch-header.ts";
import { ByteWriter } from "./bytes.ts";
import { Codec, compress } from "./codecs.ts";
import { crc32c } from "./crc32c.ts";

/** Whose batch it is, so that the broker takes each once and in order. */
export interface ProducerPlace {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly firstSequence: number;
  readonly isTransactional: boolean;
}

/** Sequences are 31 bits and wrap. */
export function nextSequence(sequence: number, count: number): number {
  return (sequence + count) % 2 ** 31;
}

export function encodeBatch(
  records: readonly Pick<NewRecord, "key" | "value" | "headers">[],
  place: ProducerPlace,
  options: { readonly timestampMs: number; readonly compressFromBytes: number },
): Buffer {
  const body = new ByteWriter(records.length * 128 + HEADER_BYTES);
  records.forEach((record, index) => writeRecord(body, record, index));
  const isLarge = body.length >= options.compressFromBytes;
  const codec = isLarge ? Codec.zstd : Codec.none;
  const bytes = isLarge ? compress(body.done()) : body.done();
  const timestamp = BigInt(options.timestampMs);
  const covered = new ByteWriter(bytes.length + HEADER_BYTES)
    .int16(codec | (place.isTransactional ? TRANSACTIONAL : 0))
    .int32(records.length - 1)
    .int64(timestamp)
    .int64(timestamp)
    .int64(place.producerId)
    .int16(place.producerEpoch)
    .int32(place.firstSequence)
    .int32(records.length)
    .bytes(bytes)
    .done();
  return new ByteWriter(covered.length + CRC_COVERS_FROM)
    .int64(0n) // the broker's to set
    .int32(covered.length + CRC_COVERS_FROM - PREFIX_BYTES)
    .int32(0) // leader epoch: the broker's, too
    .int8(MAGIC)
    .uint32(crc32c(covered))
    .bytes(covered)
    .done();
}

function writeRecord(
  body: ByteWriter,
  { key, value, headers = [] }: Pick<NewRecord, "key" | "value" | "headers">,
  offsetDelta: number,
): void {
  const names = headers.map(([name]) => Buffer.from(name));
  let size = 2 + sizeOfVarint(offsetDelta) + sizeOfBytes(key) + sizeOfVarint(headers.length);
  size += value === null ? 1 : sizeOfBytes(value);
  headers.forEach(([, bytes], index) => {
    size += sizeOfBytes(names[index] as Uint8Array) + sizeOfBytes(bytes);
  });
  body.varint(size).int8(0).int8(0).varint(offsetDelta); // attributes, timestamp delta
  body.varint(key.length).bytes(key);
  if (value === null) body.varint(-1);
  else body.varint(value.length).bytes(value);
  body.varint(headers.length);
  headers.forEach(([, bytes], index) => {
    const name = names[index] as Uint8Array;
    body.varint(name.length).bytes(name).varint(bytes.length).bytes(bytes);
  });
}

/** Lengths, offset and timestamp around one record, at most; and around a header. */
const RECORD_FRAME_BYTES = 21;
const HEADER_FRAME_BYTES = 10;

/** At most, in a batch that is not compressed. */
export function recordBytes({ key, value, headers = [] }: Omit<NewRecord, "topic">): number {
  let bytes = RECORD_FRAME_BYTES + key.length + (value?.length ?? 0);
  for (const [name, each] of headers) bytes += HEADER_FRAME_BYTES + name.length + each.length;
  return bytes;
}

function sizeOfBytes(bytes: Uint8Array): number {
  return sizeOfVarint(bytes.length) + bytes.length;
}

function sizeOfVarint(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  return zigzag === 0 ? 1 : Math.ceil((32 - Math.clz32(zigzag)) / 7);
}
