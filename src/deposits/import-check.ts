/**
 * The first reading of a file to import: every line is checked before a single one is sent.
 *
 *   source ──reading──> hash, how many rows; bad lines named ──> and, when wanted, written aside
 */

import { type FileHandle, open } from "node:fs/promises";
import { ImportError, reasonOf } from "./import-error.ts";
import { linesOf } from "./import-lines.ts";
import { ImportReading, type RowBlock } from "./import-reading.ts";
import type { RowRules } from "./import-row.ts";
import type { ImportSource } from "./import-source.ts";

export interface CheckedFile {
  /** Of the uncompressed content, in hex. */
  readonly sha256: string;
  /** Good ones. */
  readonly rows: number;
  readonly badLines: number;
  /** Of the reading's blocks, for the next reading. */
  readonly checksums: readonly number[];
}

export interface CheckOptions {
  readonly source: ImportSource;
  readonly rules: RowRules;
  /** Where bad lines are written as they are, ready to be mended and imported; null: nowhere. */
  readonly skipBad: string | null;
  readonly signal: AbortSignal;
  /** Called for each, in order. */
  readonly onBadLine: (line: number, problem: string) => void;
  /** How many of the source's stored bytes were read. */
  readonly onRead: (bytes: number) => void;
}

/** Throws ImportError `bad_content`, `unreadable`, `stopped`. */
export async function checkFile(options: CheckOptions): Promise<CheckedFile> {
  const { source, rules, skipBad, signal, onBadLine } = options;
  if (skipBad !== null && (await source.isAt(skipBad))) {
    throw new ImportError("unreadable", `${skipBad} is the file to import: name another one`);
  }
  const reading = new ImportReading({ source, rules, onRead: options.onRead });
  const aside = new LinesAside(skipBad);
  let rows = 0;
  let badLines = 0;
  try {
    for await (const block of reading.blocks()) {
      if (signal.aborted) throw new ImportError("stopped", "stopped: nothing was imported");
      const bad: number[] = [];
      for (const [i, row] of block.rows.entries()) {
        if (row === null) continue;
        if (typeof row === "string") {
          bad.push(i);
          onBadLine(block.firstLine + i, row);
        } else rows += 1;
      }
      badLines += bad.length;
      if (bad.length > 0) await aside.write(block, bad, reading.columnNames);
    }
  } finally {
    await aside.close();
  }
  return { sha256: reading.sha256(), rows, badLines, checksums: reading.checksums };
}

class LinesAside {
  private file: FileHandle | null = null;

  constructor(private readonly path: string | null) {}

  async write(block: RowBlock, bad: readonly number[], columnNames: Buffer | null): Promise<void> {
    const { path } = this;
    if (path === null) return;
    try {
      if (this.file === null) {
        this.file = await open(path, "w");
        if (columnNames !== null) await this.file.appendFile(ended(columnNames));
      }
      const lines = linesOf(block.bytes);
      const found = bad.map((i) => ended(lines[i] ?? Buffer.alloc(0)));
      await this.file.appendFile(Buffer.concat(found));
    } catch (error) {
      const isMissing = (error as { code?: string }).code === "ENOENT";
      const reason = isMissing ? "its folder is not there" : reasonOf(error);
      throw new ImportError("unreadable", `bad lines cannot be written to ${path}: ${reason}`, {
        cause: error,
      });
    }
  }

  async close(): Promise<void> {
    await this.file?.close();
  }
}

function ended(line: Buffer): Buffer {
  return Buffer.concat([line, Buffer.from("\n")]);
}
