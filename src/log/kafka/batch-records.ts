/**
 * The records within a batch: decompressed, and in the order in which they stand.
 *
 *   batch ──decodeBatch──> records at or behind an offset
 *
 * Headers keep their order, which kafkajs's decoder loses.
 *
 * Source: the Kafka protocol guide.
 */

import type { Headers, LogRecord } from "../event-log.ts";
import { recordChecksum } from "../record-checksum.ts";
import { CODEC_MASK, corruptBatch, LOG_APPEND_TIME, type StoredBatch } from "./batch-header.ts";
import { ByteReader } from "./bytes.ts";
import { decompress } from "./codecs.ts";

const NO_BYTES = new Uint8Array();
const decoder = new TextDecoder();

/** Those at or behind an offset. Throws `corrupt`, naming topic, partition and offset. */
export function decodeBatch(
  batch: StoredBatch,
  place: { readonly topic: string; readonly partition: number; readonly from: bigint },
): { readonly records: readonly LogRecord[]; readonly decodedBytes: number } {
  try {
    const body = decompress(batch.attributes & CODEC_MASK, batch.payload);
    return { records: readRecords(batch, body, place), decodedBytes: body.length };
  } catch (cause) {
    throw corruptBatch(batch.baseOffset, place, cause as Error);
  }
}

function readRecords(
  batch: StoredBatch,
  body: Buffer,
  { topic, partition, from }: { readonly topic: string; partition: number; from: bigint },
): LogRecord[] {
  const records: LogRecord[] = [];
  const reader = new ByteReader(body);
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
  return records;
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
