/**
 * Gzip to plain bytes, strictly: members may follow one another (RFC 1952), anything else behind
 * them is an error, as is an end in the middle. Zeros at the end are padding, as gzip has it.
 *
 *   compressed chunks ──zlib──> plain chunks
 */

import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";

/** Of plain bytes: large enough to be cheap, small enough to let the event loop run. */
const CHUNK_BYTES = 256 * 1024;

export function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}

/**
 * `readFrom` gives the compressed bytes from an offset on. Throws an Error that says what is wrong
 * with the data; an error of `readFrom` comes through as it is.
 */
export async function* gunzip(
  readFrom: (offset: number) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const unzip = createGunzip({ chunkSize: CHUNK_BYTES });
  const failed: { reading?: unknown } = {};
  const feed = async function* () {
    try {
      yield* readFrom(0);
    } catch (error) {
      failed.reading = error;
      throw error;
    }
  };
  pipeline(Readable.from(feed()), unzip, () => {}); // its error comes out of the loop below
  try {
    for await (const chunk of unzip) yield chunk as Uint8Array;
  } catch (error) {
    if (failed.reading !== undefined) throw failed.reading;
    throw new Error(reasonOf(error), { cause: error });
  }
  // At a zero byte behind a member zlib stops listening: what follows is seen here.
  for await (const chunk of readFrom(unzip.bytesWritten)) {
    if (chunk.some((byte) => byte !== 0)) throw new Error(TRAILING);
  }
}

const TRAILING = "something that is no gzip stands behind the compressed data";

function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: string; message: string };
  if (code === "Z_BUF_ERROR") {
    return "the compressed data is cut short, or something that is no gzip stands behind it";
  }
  if (code === "Z_DATA_ERROR" && message.includes("header")) return TRAILING;
  return `the compressed data is damaged (${message})`;
}
