/**
 * Bodies of requests: bytes, bounded, and what all of them keep to.
 *
 *   request ──at most 16 KiB──> bytes ──UTF-8──> text of a JSON object, each member once
 *
 * The content type does not matter, so that a plain `curl -d` works.
 */

import { ServiceError } from "./problem.ts";

/** A wallet id, an amount, a reason and their escapes fit many times over. */
export const MAX_BODY_BYTES = 16 * 1_024;

/** Throws `body_too_large` as soon as it is known, without reading the rest; `invalid_body`. */
export async function readBody(request: Request): Promise<Uint8Array> {
  const declared = request.headers.get("content-length");
  try {
    if (declared === null) return await readChunks(request.body);
    if (Number(declared) > MAX_BODY_BYTES) throw tooLarge();
    const bytes = await request.bytes();
    if (bytes.length > MAX_BODY_BYTES) throw tooLarge();
    return bytes;
  } catch (error) {
    // The client has left: nobody hears the answer, and it is no failure of the service.
    if ((error as Error).name === "AbortError") throw invalidBody("the body ends before its end");
    throw error;
  }
}

/** Throws `invalid_body`. A byte order mark stays, and is no JSON. */
export function bodyText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw invalidBody("the body is not valid UTF-8");
  }
}

/**
 * Whether no member is repeated, for JSON.parse lets the last one win. `value` is what it made of
 * the text, an object whose values are plain: n members have n - 1 commas between them.
 */
export function saysEachOnce(text: string, value: unknown): boolean {
  return text.replace(STRINGS, "").split(",").length === Object.keys(value as object).length;
}

export function invalidBody(message: string): ServiceError {
  return new ServiceError("invalid_body", message);
}

/** The strings of a text that is known to be JSON. */
const STRINGS = /"(?:[^"\\]|\\.)*"/g;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

async function readChunks(body: ReadableStream<Uint8Array> | null): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop early cancels the stream.
  for await (const chunk of body ?? []) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(): ServiceError {
  return new ServiceError("body_too_large", `the body is over ${MAX_BODY_BYTES} bytes`);
}
