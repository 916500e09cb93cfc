/** Record batches as a broker stores them: at an offset, with attributes of its own. */

import { crc32c } from "../../../src/log/kafka/crc32c.ts";
import { encodeBatch } from "../../../src/log/kafka/record-batch.ts";

const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;

export interface StoredBatch {
  readonly at: number;
  /** Text of each record's value. */
  readonly values?: readonly string[];
  readonly key?: Uint8Array;
  /** Of a transaction; null: of none. */
  readonly producer?: number | null;
  /** What ends a transaction, in place of records. */
  readonly marker?: "abort" | "commit";
  readonly compressFromBytes?: number;
}

export function storedBatch(options: StoredBatch): Buffer {
  const { at, values = [], producer = null, marker, compressFromBytes = Infinity } = options;
  const { key = Buffer.from("key") } = options;
  const markerKey = Buffer.from([0, 0, 0, marker === "commit" ? 1 : 0]);
  const bytes = encodeBatch(
    marker === undefined
      ? values.map((value) => ({ key, value: Buffer.from(value) }))
      : [{ key: markerKey, value: Buffer.alloc(6) }],
    {
      producerId: BigInt(producer ?? -1),
      producerEpoch: 0,
      firstSequence: 0,
      isTransactional: producer !== null,
    },
    { timestampMs: 1_700_000_000_000, compressFromBytes },
  );
  bytes.writeBigInt64BE(BigInt(at), 0);
  return marker === undefined ? bytes : resealed(bytes, { attributes: TRANSACTIONAL | CONTROL });
}

/** With other fields, and a CRC that is right for them. */
export function resealed(
  bytes: Buffer,
  fields: {
    readonly attributes?: number;
    readonly lastOffsetDelta?: number;
    readonly maxTimestampMs?: number;
    readonly count?: number;
  },
): Buffer {
  const changed = Buffer.from(bytes);
  const { attributes, lastOffsetDelta, maxTimestampMs, count } = fields;
  if (attributes !== undefined) changed.writeInt16BE(attributes, 21);
  if (lastOffsetDelta !== undefined) changed.writeInt32BE(lastOffsetDelta, 23);
  if (maxTimestampMs !== undefined) changed.writeBigInt64BE(BigInt(maxTimestampMs), 35);
  if (count !== undefined) changed.writeInt32BE(count, 57);
  changed.writeUInt32BE(crc32c(changed.subarray(21)), 17);
  return changed;
}

/** What compaction leaves of a batch without records that are still needed. */
export function emptyBatch(at: number, lastOffset: number): Buffer {
  const bytes = storedBatch({ at, values: ["gone"] }).subarray(0, 61);
  const empty = resealed(bytes, { count: 0, lastOffsetDelta: lastOffset - at });
  empty.writeInt32BE(empty.length - 12, 8);
  return empty;
}
