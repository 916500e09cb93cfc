/**
 * Importing history: a file of deposits, however old, in any order, into the stream.
 *
 *   file ──check──> all lines good? ──ledger──> new content? ──send──> deposit ──settled──> counts
 *
 * Nothing is sent before every line was looked at, and a content that was imported is not sent
 * again. One that was sent in part is sent again as a whole: the rows' ids make repeats of what was
 * there. Verdicts do not depend on the order of lines and files, for the detector's do not.
 */

import type { Deposit } from "../gen/depositaja/v1/deposit_pb.ts";
import type { Emitter } from "../stream/emitter.ts";
import type { StreamPosition } from "../stream/settling.ts";
import type { View } from "../stream/view.ts";
import { checkFile, type CheckedFile } from "./import-check.ts";
import { ImportError } from "./import-error.ts";
import {
  type ImportCounts,
  type LedgerEntry,
  type LedgerStore,
  MAX_KEPT_CONFLICTS,
  MAX_LEDGER_RANGES,
  readLedger,
  type SentRange,
  writeLedger,
} from "./import-ledger.ts";
import { type ImportSource, openImportSource } from "./import-source.ts";
import type { RowRules } from "./import-row.ts";
import { sendRows } from "./import-send.ts";
import {
  countSent,
  type ImportConflict,
  lastPositions,
  type ReadSent,
  SentRanges,
} from "./import-tally.ts";

/** How far a step is. Taking and checking count bytes, sending and counting count rows. */
export interface ImportProgress {
  readonly step: "taking" | "checking" | "sending" | "counting";
  readonly done: number;
  /** Null while a pipe is taken: nobody knows how much comes. */
  readonly total: number | null;
}

/** What the one who imports says of the file. */
export interface FileRequest {
  /** A path, or `-` for `pipe`. */
  readonly path: string;
  readonly pipe: AsyncIterable<Uint8Array>;
  /** Where bad lines are written; null: one bad line and nothing is imported. */
  readonly skipBad: string | null;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: ImportProgress) => void;
  readonly onBadLine: (line: number, problem: string) => void;
}

/** And of what becomes of it. */
export interface ImportRequest extends FileRequest {
  /** What `checkImport` has found in this file; unless given, it is checked now. */
  readonly checked?: CheckedImport | null;
  /** Resolves when the positions are settled. */
  readonly settle: (positions: readonly StreamPosition[]) => Promise<void>;
  /** Called for each; of a content that was imported before, for the first MAX_KEPT_CONFLICTS. */
  readonly onConflict: (conflict: ImportConflict) => void;
}

/** What it works on. */
export interface ImportTarget {
  readonly deposits: Emitter<Deposit>;
  readonly balance: View;
  readonly ledger: LedgerStore;
  readonly readSent: ReadSent;
  readonly decimals: number;
  readonly temporaryFolder: string;
  readonly nowMs: () => number;
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
  /** For tests: count what was sent at so many ranges already. */
  readonly maxRanges?: number;
}

export interface ImportResult extends ImportCounts {
  readonly sha256: string;
  /** Good rows in the file; of one that was sent before, those that were good then. */
  readonly rows: number;
  readonly skippedLines: number;
  /**
   * Rows that were bad when the content was sent, for they were ahead in time, and are good now.
   * They were written aside then and may have been imported from there: they are not sent.
   */
  readonly leftOutRows: number;
  /**
   * When this content was imported before, Unix milliseconds: then nothing was appended, and its
   * rows are repeats. Null: it was not, or not to the end.
   */
  readonly doneBeforeAtMs: number | null;
}

/** A file whose lines are good, still open: import it, or close its source. */
export interface CheckedImport {
  readonly source: ImportSource;
  /** The second reading judges by the same ones. */
  readonly rules: RowRules;
  readonly file: CheckedFile;
}

/** Looks at every line, which needs no log. Throws ImportError. */
export async function checkImport(
  request: FileRequest,
  target: Pick<ImportTarget, "decimals" | "temporaryFolder" | "nowMs">,
): Promise<CheckedImport> {
  const { path, pipe, skipBad, signal, onBadLine, onProgress } = request;
  const source = await openImportSource({
    path,
    pipe,
    signal,
    temporaryFolder: target.temporaryFolder,
    onTaken: (bytes) => onProgress({ step: "taking", done: bytes, total: null }),
  });
  try {
    const rules = { decimals: target.decimals, nowMs: target.nowMs() };
    const onRead = (done: number) =>
      onProgress({ step: "checking", done, total: source.sizeBytes });
    const file = await checkFile({ source, rules, skipBad, signal, onBadLine, onRead });
    if (file.badLines > 0 && skipBad === null) throw badLinesError(source, file);
    return { source, rules, file };
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** Throws ImportError, and what the log throws. */
export async function importDeposits(
  request: ImportRequest,
  target: ImportTarget,
): Promise<ImportResult> {
  const checked = request.checked ?? (await checkImport(request, target));
  try {
    return await new Import(checked, request, target).run();
  } finally {
    await checked.source.close();
  }
}

function badLinesError(source: ImportSource, { badLines, rows }: CheckedFile): ImportError {
  return new ImportError(
    "bad_lines",
    `${badLines} of ${badLines + rows} lines of ${source.name} ` +
      `${badLines === 1 ? "is" : "are"} bad, nothing was imported: mend the file, or have ` +
      "bad lines written aside with --skip-bad FILE",
  );
}

const STOPPED_COUNTING =
  "stopped while it was counted what was new: all rows are in the log and stand; import the same " +
  "file again for the counts";

class Import {
  private counts: ImportCounts = { new: 0, repeats: 0, conflicts: 0 };
  private readonly conflicting = new SentRanges();
  private kept = 0;

  constructor(
    private readonly checked: CheckedImport,
    private readonly request: ImportRequest,
    private readonly target: ImportTarget,
  ) {}

  async run(): Promise<ImportResult> {
    const { file: checked } = this.checked;
    const { sha256, badLines: skippedLines } = checked;
    const { ledger, nowMs } = this.target;
    const known = await readLedger(ledger, sha256);
    const rows = known?.rows ?? checked.rows;
    const leftOutRows = Math.max(0, checked.rows - rows);
    const about = { sha256, rows, skippedLines, leftOutRows };
    if (known !== null) await this.tellAgain(known);
    if (known?.state === "done") {
      const { new: before, repeats, conflicts } = known.counts;
      const counts = { new: 0, repeats: before + repeats, conflicts };
      return { ...about, ...counts, doneBeforeAtMs: known.doneAtMs };
    }
    const ranges = known === null ? await this.send(checked) : known.ranges;
    if (known === null) {
      await writeLedger(ledger, sha256, { state: "sent", ...this.facts(rows), ranges });
    } else this.counts = known.counts;
    await this.count(ranges, rows);
    await writeLedger(ledger, sha256, { state: "done", ...this.facts(rows), doneAtMs: nowMs() });
    return { ...about, ...this.counts, doneBeforeAtMs: null };
  }

  /** The conflicts that were found before. */
  private async tellAgain({ conflicting }: LedgerEntry): Promise<void> {
    if (conflicting.length === 0) return;
    await this.request.settle(lastPositions(conflicting));
    await this.tally(conflicting, async () => {});
  }

  private facts(rows: number) {
    return { rows, counts: this.counts, conflicting: this.conflicting.all() };
  }

  private async send(checked: CheckedFile): Promise<readonly SentRange[]> {
    const { request, target } = this;
    const { source, rules } = this.checked;
    const ranges = new SentRanges();
    let sent = 0;
    try {
      await sendRows({
        source,
        rules,
        checked,
        deposits: target.deposits,
        ranges,
        maxRanges: target.maxRanges ?? MAX_LEDGER_RANGES,
        onFull: async () => {
          await this.count(ranges.all(), checked.rows);
          ranges.clear();
        },
        onSent: (rows) => {
          sent = rows;
          request.onProgress({ step: "sending", done: rows, total: checked.rows });
        },
        delay: target.delay,
        signal: request.signal,
      });
    } catch (error) {
      if (!(error instanceof ImportError) || error.code !== "stopped") throw error;
      const message =
        `stopped with ${sent} of ${checked.rows} rows in the log: they stand; import the same ` +
        "file again to go on, nothing is counted twice";
      throw new ImportError("stopped", message, { cause: error });
    }
    return ranges.all();
  }

  /** Adds what became of the ranges' records to the counts. */
  private async count(ranges: readonly SentRange[], total: number): Promise<void> {
    const { request, target, counts } = this;
    await request.settle(lastPositions(ranges));
    let done = counts.new + counts.repeats + counts.conflicts;
    const found = await this.tally(ranges, async (records) => {
      done += records;
      request.onProgress({ step: "counting", done, total });
      await target.delay(0, request.signal); // lets heartbeats and signals through
      if (request.signal.aborted) throw new ImportError("stopped", STOPPED_COUNTING);
    });
    this.counts = {
      new: counts.new + found.new,
      repeats: counts.repeats + found.repeats,
      conflicts: counts.conflicts + found.conflicts,
    };
  }

  /** What became of settled records; tells and keeps the conflicts among them. */
  private tally(ranges: readonly SentRange[], onPage: (records: number) => Promise<void>) {
    const { request, target } = this;
    return countSent(ranges, {
      readSent: target.readSent,
      balance: target.balance,
      onConflict: (conflict) => {
        if (this.kept < MAX_KEPT_CONFLICTS) this.conflicting.add(conflict.position);
        this.kept += 1;
        request.onConflict(conflict);
      },
      onPage,
    });
  }
}
