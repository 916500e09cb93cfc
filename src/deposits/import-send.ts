/**
 * The second reading of a file to import: its rows are appended, a batch at a time.
 *
 *   source ──reading──> rows with ids ──emitter──> deposit ──positions──> ranges
 *
 * Each row has an id, its own or one made of the content's hash and its number, so that a batch
 * sent twice is counted once.
 */

import type { Deposit } from "../gen/depositaja/v1/deposit_pb.ts";
import type { Emission, Emitter } from "../stream/emitter.ts";
import { newDeposit } from "./deposit.ts";
import { ImportError } from "./import-error.ts";
import type { CheckedFile } from "./import-check.ts";
import { contentChanged, ImportReading } from "./import-reading.ts";
import type { ImportRow, RowRules } from "./import-row.ts";
import type { ImportSource } from "./import-source.ts";
import type { SentRanges } from "./import-tally.ts";

/** Rows in one append: shares the cost of a commit, and lets live deposits in soon. */
const BATCH_ROWS = 1_000;
/** Appends under way: while one is written the next is read. */
const MAX_IN_FLIGHT = 2;
/** Between tries while the log takes nothing. */
const REFUSED_WAIT_MS = 100;
/** Half a minute of them: a log that is merely busy has room long before. */
const MAX_REFUSALS = 300;

export interface SendOptions {
  readonly source: ImportSource;
  readonly rules: RowRules;
  readonly checked: CheckedFile;
  readonly deposits: Emitter<Deposit>;
  readonly ranges: SentRanges;
  /** Beyond so many ranges `onFull` must make room. */
  readonly maxRanges: number;
  readonly onFull: () => Promise<void>;
  readonly onSent: (rows: number) => void;
  /** Resolves after so many milliseconds, or when the signal fires. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
}

/**
 * Resolves when every row is durable. Throws ImportError `changed`, `stopped`, and what the
 * emitter throws; what was appended until then stands.
 */
export async function sendRows(options: SendOptions): Promise<void> {
  const { source, rules, checked, ranges, signal } = options;
  const reading = new ImportReading({ source, rules, expected: checked.checksums });
  const sender = new Sender(options);
  let batch: Emission<Deposit>[] = [];
  try {
    for await (const block of reading.blocks()) {
      let number = block.firstRow;
      for (const row of block.rows) {
        if (row === null) continue;
        if (typeof row !== "string") {
          batch.push(emission(row, `${checked.sha256}:${number}`, rules.nowMs));
        }
        number += 1;
        if (batch.length < BATCH_ROWS) continue;
        await sender.send(batch);
        batch = [];
        if (signal.aborted) throw new ImportError("stopped", "stopped");
        if (ranges.count > options.maxRanges) {
          await sender.drain();
          await options.onFull();
        }
      }
    }
    await sender.send(batch);
    await sender.drain();
  } finally {
    await sender.settle();
  }
  if (reading.sha256() !== checked.sha256) throw contentChanged(source);
}

class Sender {
  private readonly inFlight: Promise<void>[] = [];
  private sent = 0;

  constructor(private readonly options: SendOptions) {}

  async send(batch: readonly Emission<Deposit>[]): Promise<void> {
    if (batch.length === 0) return;
    if (this.inFlight.length >= MAX_IN_FLIGHT) await this.inFlight.shift();
    const appended = this.append(batch);
    appended.catch(() => {}); // heard when it is waited for
    this.inFlight.push(appended);
  }

  async drain(): Promise<void> {
    while (this.inFlight.length > 0) await this.inFlight.shift();
  }

  /** Waits for all, whatever becomes of them. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.inFlight.splice(0));
  }

  private async append(batch: readonly Emission<Deposit>[]): Promise<void> {
    const { deposits, ranges, delay, signal, onSent } = this.options;
    for (let refusals = 0; ; refusals += 1) {
      try {
        for (const position of await deposits.emitAll(batch)) ranges.add(position);
        this.sent += batch.length;
        return onSent(this.sent);
      } catch (error) {
        if (!isRefused(error) || refusals === MAX_REFUSALS || signal.aborted) throw error;
        await delay(REFUSED_WAIT_MS, signal);
      }
    }
  }
}

/** Nothing was written, and the same may be tried again. */
function isRefused(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === "busy" || code === "unavailable";
}

function emission(row: ImportRow, numbered: string, notBeforeMs: number): Emission<Deposit> {
  return { key: row.walletId, message: newDeposit(row), id: row.id ?? numbered, notBeforeMs };
}
