/**
 * The batches that a fetch brings: which of them hold committed records, not yet decompressed.
 *
 *   bytes ──committedBatches──> batches (batch-records.ts decodes them), next offset
 *
 * What kafkajs's decoder leaves out stands here: the CRC is checked, aborted transactions are
 * told by control batches alone (a key of four zero bytes is data), and a batch without records
 * (compaction, a marker) moves the position all the same.
 *
 * Source: Kafka's CompletedFetch, whose rule for aborted records it follows.
 */

import type { LogError } from "../event-log.ts";
import {
  checkBatch,
  CONTROL,
  corruptBatch,
  HEADER_BYTES,
  readBatch,
  type StoredBatch,
  TRANSACTIONAL,
} from "./batch-header.ts";
import { ByteReader } from "./bytes.ts";
import type { AbortedTransaction } from "./fetch-request.ts";

const ABORT_MARKER = 0;

export interface FetchedBatches {
  /** Each with a record at or behind the asked offset, unless compaction took just those. */
  readonly batches: readonly StoredBatch[];
  /** Behind the last whole batch, whatever it held; the asked offset where there is none. */
  readonly nextOffset: bigint;
  /** `corrupt`, naming topic, partition and offset: what stands before it is good. */
  readonly failure: LogError | null;
}

export function committedBatches(
  bytes: Buffer,
  place: {
    readonly topic: string;
    readonly partition: number;
    readonly from: bigint;
    readonly aborted: readonly AbortedTransaction[];
  },
): FetchedBatches {
  const batches: StoredBatch[] = [];
  const aborted = new AbortedProducers(place.aborted);
  let nextOffset = place.from;
  let at = 0;
  while (bytes.length - at >= HEADER_BYTES) {
    const batch = readBatch(bytes, at);
    if (at + batch.size > bytes.length) break; // cut off: it comes whole with the next fetch
    try {
      checkBatch(batch, bytes, at);
      const isWanted = !aborted.skips(batch) && batch.lastOffset >= place.from;
      if (isWanted && batch.count > 0) batches.push(batch); // compaction leaves empty ones
    } catch (cause) {
      const failure = corruptBatch(batch.baseOffset, place, cause as Error);
      return { batches, nextOffset, failure };
    }
    if (batch.lastOffset >= nextOffset) nextOffset = batch.lastOffset + 1n;
    at += batch.size;
  }
  const isStuck = at === 0 && bytes.length > 0; // the broker sends the first one whole (KIP-74)
  const cause = isStuck ? new Error("its length is wrong") : null;
  const failure = cause && corruptBatch(place.from, place, cause);
  return { batches, nextOffset, failure };
}

/** Whose records are aborted at a place of the partition. */
class AbortedProducers {
  private readonly coming: AbortedTransaction[];
  private readonly open = new Set<bigint>();

  constructor(transactions: readonly AbortedTransaction[]) {
    this.coming = transactions.toSorted((a, b) => Number(a.firstOffset - b.firstOffset));
  }

  /** Control batches are never handed out; an abort ends its producer's transaction. */
  skips(batch: StoredBatch): boolean {
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

function isAbortMarker({ payload, count }: StoredBatch): boolean {
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
