/**
 * Bytes to lines, a block of whole lines at a time.
 *
 *   plain chunks ──cut at line feeds──> blocks of lines, as text and as bytes
 *
 * The hash of the content runs along: it names the file, whatever it is called and however packed.
 */

import { isAscii, isUtf8 } from "node:buffer";
import { ImportError } from "./import-error.ts";

/** A content whose lines are longer is neither NDJSON nor CSV, and can't be held line by line. */
const MAX_UNBROKEN_BYTES = 1024 * 1024;

const LINE_FEED = 0x0a;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const;

export interface LineBlock {
  /** Of the first line, from 1. */
  readonly firstNumber: number;
  /** Without line feeds, in order; null for one that is no UTF-8. */
  readonly lines: readonly (string | null)[];
  /** All of them, with the line feeds between them. */
  readonly bytes: Buffer;
}

export class LineReading {
  private readonly hasher = new Bun.CryptoHasher("sha256");
  private lines = 0;

  constructor(
    private readonly name: string,
    private readonly chunks: AsyncIterable<Uint8Array>,
  ) {}

  /** Throws ImportError `bad_content`. */
  async *blocks(): AsyncGenerator<LineBlock> {
    let rest: Buffer = Buffer.alloc(0);
    let isStart = true;
    for await (const chunk of this.chunks) {
      this.hasher.update(chunk);
      let bytes = rest.length === 0 ? asBuffer(chunk) : Buffer.concat([rest, chunk]);
      if (isStart) {
        if (bytes.length < BYTE_ORDER_MARK.length && isMarkStart(bytes)) {
          rest = bytes;
          continue;
        }
        bytes = this.withoutMark(bytes);
        isStart = false;
      }
      const end = bytes.lastIndexOf(LINE_FEED) + 1;
      if (end > 0) yield this.block(bytes.subarray(0, end - 1));
      rest = bytes.subarray(end);
      if (rest.length > MAX_UNBROKEN_BYTES) throw this.tooLong();
    }
    if (rest.length > 0) yield this.block(isStart ? this.withoutMark(rest) : rest);
  }

  /** Of all that was read, in hex. Once, behind the last block. */
  sha256(): string {
    return this.hasher.digest("hex");
  }

  private block(bytes: Buffer): LineBlock {
    const firstNumber = this.lines + 1;
    const text = textOf(bytes);
    const lines = text === null ? linesOf(bytes).map(textOf) : text.split("\n");
    this.lines += lines.length;
    return { firstNumber, lines, bytes };
  }

  private withoutMark(bytes: Buffer): Buffer {
    if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
      throw new ImportError("bad_content", `${this.name} is UTF-16: write it as UTF-8`);
    }
    return isMark(bytes) ? bytes.subarray(BYTE_ORDER_MARK.length) : bytes;
  }

  private tooLong(): ImportError {
    return new ImportError(
      "bad_content",
      `${this.name} has no line break within ${MAX_UNBROKEN_BYTES} bytes behind line ` +
        `${this.lines}: write one deposit a line`,
    );
  }
}

/** A block's lines as bytes. */
export function linesOf(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let from = 0; ; ) {
    const end = bytes.indexOf(LINE_FEED, from);
    if (end === -1) return [...lines, bytes.subarray(from)];
    lines.push(bytes.subarray(from, end));
    from = end + 1;
  }
}

/** Null for bytes that are no UTF-8. */
function textOf(bytes: Buffer): string | null {
  if (isAscii(bytes)) return bytes.toString("latin1");
  return isUtf8(bytes) ? bytes.toString("utf8") : null;
}

function asBuffer(chunk: Uint8Array): Buffer {
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
}

function isMark(bytes: Buffer): boolean {
  return BYTE_ORDER_MARK.every((byte, i) => bytes[i] === byte);
}

function isMarkStart(bytes: Buffer): boolean {
  return [...bytes].every((byte, i) => byte === BYTE_ORDER_MARK[i]);
}
