/**
 * What stands before the records of a batch, format 2: the layout that writing and reading share.
 *
 *   bytes ──readBatch──> header and payload ──checkBatch──> its CRC is right
 *
 * Source: the Kafka protocol guide.
 */

import { LogError } from "../event-log.ts";
import { ByteReader } from "./bytes.ts";
import { crc32c } from "./crc32c.ts";

export const MAGIC = 2;
/** Base offset and length stand before what the length counts. */
export const PREFIX_BYTES = 12;
/** From the batch's start to what its CRC covers. */
export const CRC_COVERS_FROM = 21;
/** From the batch's start to its records. */
export const HEADER_BYTES = 61;

/** Bits of a batch's attributes. */
export const CODEC_MASK = 0x07;
export const LOG_APPEND_TIME = 0x08;
export const TRANSACTIONAL = 0x10;
export const CONTROL = 0x20;

export interface StoredBatch {
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

/** Where at least HEADER_BYTES are left. */
export function readBatch(bytes: Buffer, at: number): StoredBatch {
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

/** Throws an Error that says what is wrong. `at`: where the batch begins in the bytes. */
export function checkBatch(batch: StoredBatch, bytes: Buffer, at: number): void {
  if (batch.magic !== MAGIC) throw new Error("it has a format before Kafka 0.11");
  const covered = bytes.subarray(at + CRC_COVERS_FROM, at + batch.size);
  if (batch.size < HEADER_BYTES || crc32c(covered) !== batch.crc) {
    throw new Error("it does not match its CRC");
  }
}

export function corruptBatch(
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
