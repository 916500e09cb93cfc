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
    yield* evenly(unzip);
  } catch (error) {
    if (failed.reading !== undefined) throw failed.reading;
    throw new Error(reasonOf(error), { cause: error });
  }
  // At a zero byte behind a member zlib stops listening: what follows is seen here.
  for await (const chunk of readFrom(unzip.bytesWritten)) {
    if (chunk.some((byte) => byte !== 0)) throw new Error(TRAILING);
  }
}

/** Chunks of one size, whatever zlib makes of its turns: one content is always cut alike. */
async function* evenly(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let whole = Buffer.allocUnsafe(CHUNK_BYTES);
  let length = 0;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + CHUNK_BYTES - length);
      whole.set(part, length);
      at += part.length;
      length += part.length;
      if (length < CHUNK_BYTES) continue;
      yield whole;
      whole = Buffer.allocUnsafe(CHUNK_BYTES);
      length = 0;
    }
  }
  if (length > 0) yield whole.subarray(0, length);
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
