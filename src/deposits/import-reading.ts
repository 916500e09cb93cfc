/**
 * One reading of a file to import, in blocks of checked rows. The file is read twice, to check it
 * and to send it, and both readings number and decide alike.
 *
 *   source ──lines──> first sign: "{" NDJSON, else CSV ──> rows and problems, numbered
 *
 * A row's number counts the lines that are not blank, the header not included, good and bad alike:
 * it is part of an id, and must not depend on what is skipped.
 */

import { crc32 } from "node:zlib";
import { type CsvHeader, readCsvHeader, readCsvLines } from "./import-csv.ts";
import { ImportError } from "./import-error.ts";
import { readJsonLine } from "./import-json.ts";
import { type LineBlock, LineReading, linesOf } from "./import-lines.ts";
import type { ImportRow, RowRules } from "./import-row.ts";
import type { ImportSource } from "./import-source.ts";

/** Far more than a deposit needs; the door takes as many bytes in one request. */
const MAX_LINE_CHARACTERS = 16 * 1024;

export interface RowBlock {
  /** Of the first line, from 1. */
  readonly firstLine: number;
  /** Of the first row in the block, from 1. */
  readonly firstRow: number;
  /** For each line its row; a text says why there is none; null for a line that is no row. */
  readonly rows: readonly (ImportRow | string | null)[];
  /** The lines as bytes, line feeds between them. */
  readonly bytes: Buffer;
}

export interface ReadingOptions {
  readonly source: ImportSource;
  readonly rules: RowRules;
  /** How many of the source's stored bytes were read. */
  readonly onRead?: (bytes: number) => void;
  /**
   * The blocks' checksums as an earlier reading had them. A block that differs is not handed out:
   * its rows would get ids that belong to the earlier content. 4 bytes for about 256 KB.
   */
  readonly expected?: readonly number[];
}

export class ImportReading {
  private format: "csv" | "json" | null = null;
  private header: CsvHeader | null = null;
  private headerBytes: Buffer | null = null;
  private nextRow = 1;
  private readonly lines: LineReading;

  /** Of each block, in order. */
  readonly checksums: number[] = [];

  constructor(private readonly options: ReadingOptions) {
    const { source, onRead } = options;
    this.lines = new LineReading(source.name, source.chunks(onRead));
  }

  /** Throws ImportError `bad_content`, `unreadable`, `changed`. */
  async *blocks(): AsyncGenerator<RowBlock> {
    for await (const block of this.lines.blocks()) {
      this.verify(block);
      const rows = this.rowsOf(block);
      const firstRow = this.nextRow;
      for (const row of rows) if (row !== null) this.nextRow += 1;
      yield { firstLine: block.firstNumber, firstRow, rows, bytes: block.bytes };
    }
    if (this.format === null) {
      const { name } = this.options.source;
      throw new ImportError("bad_content", `${name} is empty: nothing to import`);
    }
  }

  /** Of the uncompressed content, in hex. Once, behind the last block. */
  sha256(): string {
    return this.lines.sha256();
  }

  /** The line that names the columns, without line feed; null for NDJSON. */
  get columnNames(): Buffer | null {
    return this.headerBytes;
  }

  private verify({ bytes }: LineBlock): void {
    const { source, expected } = this.options;
    const checksum = crc32(bytes);
    if (expected !== undefined && expected[this.checksums.length] !== checksum) {
      throw contentChanged(source);
    }
    this.checksums.push(checksum);
  }

  private rowsOf(block: LineBlock): (ImportRow | string | null)[] {
    const start = this.format === null ? this.begin(block) : 0;
    const { format, header } = this;
    const { rules } = this.options;
    if (format === null) return block.lines.map(() => null);
    const lines = block.lines.slice(start).map(readable);
    const rows =
      header === null
        ? lines.map((line) => readJsonLine(line, rules))
        : readCsvLines(lines, header, rules);
    const problems = block.lines.slice(start).map(unreadable);
    const before = Array.from({ length: start }, () => null);
    return [...before, ...rows.map((row, i) => problems[i] ?? row)];
  }

  /** Tells the format by the first line that is not blank. Returns where the rows begin. */
  private begin(block: LineBlock): number {
    const at = block.lines.findIndex((line) => line === null || line.trim() !== "");
    if (at === -1) return 0;
    const line = block.lines[at] ?? null;
    const sign = line?.trimStart()[0];
    if (sign === "{") {
      this.format = "json";
      return at;
    }
    const place = `${this.options.source.name} line ${block.firstNumber + at}`;
    if (sign === "[") {
      throw new ImportError(
        "bad_content",
        `${place} begins a JSON array: write one object a line, without brackets and commas`,
      );
    }
    const header = line === null ? "is no UTF-8 text" : readCsvHeader(readable(line));
    if (typeof header === "string") throw new ImportError("bad_content", `${place} ${header}`);
    this.format = "csv";
    this.header = header;
    this.headerBytes = linesOf(block.bytes)[at] ?? null;
    return at + 1;
  }
}

export function contentChanged({ name }: ImportSource): ImportError {
  return new ImportError(
    "changed",
    `${name} was changed while it was imported: rows from before its change may be in the log, ` +
      "they stand; look at what changed it, then import it again",
  );
}

/** What cannot be looked at reads like a blank line; it is named all the same. */
function readable(line: string | null): string {
  return line === null || line.length > MAX_LINE_CHARACTERS ? "" : line;
}

/** Why a line cannot be looked at; null when it can. */
function unreadable(line: string | null): string | null {
  if (line === null) return "is no UTF-8 text";
  if (line.length <= MAX_LINE_CHARACTERS) return null;
  return `has ${line.length} characters; at most ${MAX_LINE_CHARACTERS} are allowed`;
}
