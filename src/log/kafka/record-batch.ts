/**
 * Kafka's record batch, format 2: how records lie on the wire and on the broker's disk.
 *
 *   records ──encodeBatch──> bytes        bytes ──decodeBatches──> committed records, next offset
 *
 * What kafkajs's decoder leaves out stands here: the CRC is checked, aborted transactions are
 * told by control batches alone (a key of four zero bytes is data), headers keep their order, and
 * a batch without records (compaction, a marker) moves the position all the same.
 *
 * Source: the Kafka protocol guide and Kafka's CompletedFetch, whose rule for aborted records it
 * follows.
 */

import { type Headers, LogError, type LogRecord, type NewRecord } from "../event-log.ts";
import { recordChecksum } from "../record-checksum.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import { Codec, compress, decompress } from "./codecs.ts";
import { crc32c } from "./crc32c.ts";
import type { AbortedTransaction } from "./wire.ts";

const MAGIC = 2;
/** Base offset and length stand before what the length counts. */
const PREFIX_BYTES = 12;
/** From the batch's start to what its CRC covers. */
const CRC_COVERS_FROM = 21;
/** From the batch's start to its records. */
const HEADER_BYTES = 61;
const CODEC_MASK = 0x07;
const LOG_APPEND_TIME = 0x08;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;
const ABORT_MARKER = 0;

const NO_BYTES = new Uint8Array();
const decoder = new TextDecoder();

/** Whose batch it is, so that the broker takes each once and in order. */
export interface ProducerPlace {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly firstSequence: number;
  readonly isTransactional: boolean;
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

export interface Decoded {
  readonly records: LogRecord[];
  /** Behind the last whole batch, whatever it held; the asked offset where there is none. */
  readonly nextOffset: bigint;
  /** `corrupt`, naming topic, partition and offset: what stands before it is good. */
  readonly failure: LogError | null;
}

/** The committed records at or behind an offset. */
export function decodeBatches(
  bytes: Buffer,
  place: {
    readonly topic: string;
    readonly partition: number;
    readonly from: bigint;
    readonly aborted: readonly AbortedTransaction[];
  },
): Decoded {
  const records: LogRecord[] = [];
  const aborted = new AbortedProducers(place.aborted);
  let nextOffset = place.from;
  let at = 0;
  while (bytes.length - at >= HEADER_BYTES) {
    const batch = readHeader(bytes, at);
    if (at + batch.size > bytes.length) break; // cut off: it comes whole with the next fetch
    const good = records.length;
    try {
      check(batch, bytes.subarray(at + CRC_COVERS_FROM, at + batch.size));
      if (!aborted.skips(batch)) readRecords(batch, place, records);
    } catch (cause) {
      records.length = good;
      const failure = corrupt(batch.baseOffset, place, cause as Error);
      return { records, nextOffset, failure };
    }
    if (batch.lastOffset >= nextOffset) nextOffset = batch.lastOffset + 1n;
    at += batch.size;
  }
  const isStuck = at === 0 && bytes.length > 0; // the broker sends the first one whole (KIP-74)
  const cause = isStuck ? new Error("its length is wrong") : null;
  const failure = cause && corrupt(place.from, place, cause);
  return { records, nextOffset, failure };
}

interface BatchHeader {
  readonly size: number;
  readonly magic: number;
  readonly crc: number;
  readonly attributes: number;
  readonly baseOffset: bigint;
  readonly lastOffset: bigint;
  readonly baseTimestampMs: number;
  readonly maxTimestampMs: number;
  readonly producerId: bigint;
  readonly count: number;
  readonly payload: Buffer;
}

function readHeader(bytes: Buffer, at: number): BatchHeader {
  const reader = new ByteReader(bytes, at);
  const baseOffset = reader.int64();
  const size = PREFIX_BYTES + reader.int32();
  reader.int32(); // leader epoch
  const magic = reader.int8();
  const crc = reader.uint32();
  const attributes = reader.int16();
  const lastOffset = baseOffset + BigInt(reader.int32());
  const baseTimestampMs = Number(reader.int64());
  const maxTimestampMs = Number(reader.int64());
  const producerId = reader.int64();
  reader.int16(); // its epoch
  reader.int32(); // its sequence
  const count = reader.int32();
  const payload = bytes.subarray(reader.at, at + size);
  return {
    size,
    magic,
    crc,
    attributes,
    baseOffset,
    lastOffset,
    baseTimestampMs,
    maxTimestampMs,
    producerId,
    count,
    payload,
  };
}

function check(batch: BatchHeader, covered: Buffer): void {
  if (batch.magic !== MAGIC) throw new Error("it has a format before Kafka 0.11");
  if (batch.size < HEADER_BYTES || crc32c(covered) !== batch.crc) {
    throw new Error("it does not match its CRC");
  }
}

function corrupt(
  offset: bigint,
  { topic, partition }: { readonly topic: string; readonly partition: number },
  cause: Error,
): LogError {
  return new LogError(
    "corrupt",
    `the batch at offset ${offset} of ${topic} partition ${partition} cannot be read: ` +
      `${cause.message}; restore the broker's copy from a replica`,
    { cause },
  );
}

/** Whose records are aborted at a place of the partition. */
class AbortedProducers {
  private readonly coming: AbortedTransaction[];
  private readonly open = new Set<bigint>();

  constructor(transactions: readonly AbortedTransaction[]) {
    this.coming = transactions.toSorted((a, b) => Number(a.firstOffset - b.firstOffset));
  }

  /** Control batches are never handed out; an abort ends its producer's transaction. */
  skips(batch: BatchHeader): boolean {
    while (this.coming[0] !== undefined && this.coming[0].firstOffset <= batch.lastOffset) {
      this.open.add((this.coming.shift() as AbortedTransaction).producerId);
    }
    if ((batch.attributes & CONTROL) !== 0) {
      if (isAbortMarker(batch)) this.open.delete(batch.producerId);
      return true;
    }
    return (batch.attributes & TRANSACTIONAL) !== 0 && this.open.has(batch.producerId);
  }
}

function isAbortMarker({ payload, count }: BatchHeader): boolean {
  if (count === 0) return false;
  const reader = new ByteReader(payload);
  reader.varint(); // size
  reader.int8(); // attributes
  reader.skipVarlong(); // timestamp
  reader.varint(); // offset
  reader.varint(); // the key's size
  reader.int16(); // its version
  return reader.int16() === ABORT_MARKER;
}

function readRecords(
  batch: BatchHeader,
  { topic, partition, from }: { readonly topic: string; partition: number; from: bigint },
  records: LogRecord[],
): void {
  if (batch.lastOffset < from || batch.count === 0) return; // compaction leaves empty ones
  const reader = new ByteReader(decompress(batch.attributes & CODEC_MASK, batch.payload));
  const isAppendTime = (batch.attributes & LOG_APPEND_TIME) !== 0;
  for (let left = batch.count; left > 0; left -= 1) {
    const end = reader.varint() + reader.at;
    reader.int8(); // attributes
    const timestampDelta = readVarlong(reader);
    const offset = batch.baseOffset + BigInt(reader.varint());
    if (offset < from) {
      reader.at = end;
      continue;
    }
    const key = readBytes(reader) ?? NO_BYTES;
    const value = readBytes(reader);
    const headers = readHeaders(reader);
    const timestampMs = isAppendTime
      ? batch.maxTimestampMs
      : batch.baseTimestampMs + timestampDelta;
    const checksum = recordChecksum({ key, value, headers });
    records.push({ topic, partition, offset, key, value, headers, timestampMs, checksum });
  }
}

function readBytes(reader: ByteReader): Uint8Array | null {
  const length = reader.varint();
  return length < 0 ? null : reader.bytes(length);
}

const NO_HEADERS: Headers = [];

function readHeaders(reader: ByteReader): Headers {
  const count = reader.varint();
  if (count === 0) return NO_HEADERS;
  return Array.from({ length: count }, () => {
    const name = decoder.decode(reader.bytes(reader.varint()));
    return [name, readBytes(reader) ?? NO_BYTES] as const;
  });
}

/** A timestamp's difference within a batch fits a double. */
function readVarlong(reader: ByteReader): number {
  let value = 0n;
  for (let shift = 0n; ; shift += 7n) {
    const byte = reader.int8() & 0xff;
    if (byte < 0x80 && shift === 0n) return (byte >>> 1) ^ -(byte & 1);
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return Number((value >> 1n) ^ -(value & 1n));
  }
}
