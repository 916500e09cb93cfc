/** The codecs of record batches, by their number in a batch's attributes. zstd is written. */

import { gunzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { LogError } from "../event-log.ts";

export const Codec = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const;

export function compress(bytes: Buffer): Buffer {
  return zstdCompressSync(bytes);
}

/** Throws `corrupt` for a codec that Kafka does not have; what the codec throws. */
export function decompress(codec: number, bytes: Buffer): Buffer {
  switch (codec) {
    case Codec.none:
      return bytes;
    case Codec.gzip:
      return gunzipSync(bytes);
    case Codec.zstd:
      return zstdDecompressSync(bytes);
    default:
      throw new LogError("corrupt", `a record batch has codec ${codec}, which is not known`);
  }
}
