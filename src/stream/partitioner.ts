/**
 * The partitioner: murmur2 over the key's bytes, as Kafka's Java client has it
 * (org.apache.kafka.common.utils.Utils.murmur2, seed 0x9747b28c; DefaultPartitioner), so that a
 * record written by any of Kafka's own clients stands in the partition where we look for it.
 * Golden vectors of that implementation are in the test.
 */

const SEED = 0x9747b28c;
const M = 0x5bd1e995;

/** The partition of a key, 0 to `partitions` - 1. */
export function partitionOf(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions;
}

/** Signed 32-bit, as in Java. */
export function murmur2(data: Uint8Array): number {
  const length = data.length;
  let h = SEED ^ length;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    let k =
      (data[i] as number) |
      ((data[i + 1] as number) << 8) |
      ((data[i + 2] as number) << 16) |
      ((data[i + 3] as number) << 24);
    k = Math.imul(k, M);
    k ^= k >>> 24;
    k = Math.imul(k, M);
    h = Math.imul(h, M) ^ k;
  }
  const rest = length - i;
  if (rest === 3) h ^= (data[i + 2] as number) << 16;
  if (rest >= 2) h ^= (data[i + 1] as number) << 8;
  if (rest >= 1) h = Math.imul(h ^ (data[i] as number), M);
  h ^= h >>> 13;
  h = Math.imul(h, M);
  h ^= h >>> 15;
  return h;
}
