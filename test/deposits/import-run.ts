/** A log with an import into it: what a command does, in this process and without a terminal. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type App, openApp } from "../../src/app.ts";
import { delay } from "../../src/cli/stopping.ts";
import { balanceRow } from "../../src/collector/balance-row.ts";
import type { ImportConflict } from "../../src/deposits/import-tally.ts";
import { oracleIsFlagged } from "../detector/oracle.ts";

export const NOW_MS = 1_790_000_000_000;
const RULE = { windowMs: 120_000, limitMinor: 1_000_000n };

export interface HistoryRow {
  readonly walletId: string;
  readonly amountMinor: bigint;
  readonly timeMs: number;
  readonly id?: string;
}

export interface ImportRun {
  readonly app: App;
  readonly folder: string;
  /** Writes a file and returns its path. */
  file(name: string, content: string | Uint8Array): string;
  /** Imports it, settles, and returns the result with what was said on the way. */
  import(path: string, options?: ImportOptions): Promise<Imported>;
  deposits(): Promise<bigint>;
  /** Moves the clock on. */
  pass(ms: number): void;
  close(): Promise<void>;
}

export interface ImportOptions {
  readonly skipBad?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (step: string, done: number) => void;
  /** In place of settling. */
  readonly settle?: () => Promise<void>;
}

export type Imported = Awaited<ReturnType<App["importDeposits"]>> & {
  readonly conflicting: readonly ImportConflict[];
};

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** In memory: gone when closed. */
export async function importRun(): Promise<ImportRun> {
  const folder = mkdtempSync(join(tmpdir(), "import-run-"));
  let nowMs = NOW_MS;
  const app = await openApp({ folder: ":memory:", create: true, nowMs: () => nowMs, delay });
  const ended = new AbortController();
  const standIn = app.standIn({
    signal: ended.signal,
    monotonicMs: () => performance.now(),
    onWait: () => {},
  });
  return {
    app,
    folder,
    file: (name, content) => {
      const path = join(folder, name);
      writeFileSync(path, content);
      return path;
    },
    import: async (path, options = {}) => {
      const conflicting: ImportConflict[] = [];
      const result = await app.importDeposits({
        path,
        pipe: nothing(),
        skipBad: options.skipBad ?? null,
        settle: options.settle ?? ((positions) => standIn.settle(positions)),
        signal: options.signal ?? ended.signal,
        onProgress: ({ step, done }) => options.onProgress?.(step, done),
        onBadLine: () => {},
        onConflict: (conflict) => conflicting.push(conflict),
      });
      return { ...result, conflicting };
    },
    deposits: () => countDeposits(app),
    pass: (ms) => {
      nowMs += ms;
    },
    close: async () => {
      await standIn.leave();
      ended.abort();
      await app.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** How many records the stream holds. */
export async function countDeposits(app: App): Promise<bigint> {
  let count = 0n;
  for (let partition = 0; partition < app.partitions; partition += 1) {
    const { start, end } = await app.log.bounds("deposit", partition);
    const range = { topic: "deposit", partition, from: start, until: end };
    for await (const records of app.log.read(range)) {
      count += BigInt(records.length);
    }
  }
  return count;
}

/** What each wallet has, as the views say. */
export function verdicts(app: App, walletIds: Iterable<string>) {
  return Object.fromEntries(
    [...walletIds].map((walletId) => [
      walletId,
      {
        totalMinor: app.views.balance.get(walletId, balanceRow)?.totalMinor ?? 0n,
        isFlagged: app.wallets.flag(walletId).isFlagged,
      },
    ]),
  );
}

/** What each wallet must have, whatever the order of the rows. */
export function expectedVerdicts(rows: readonly HistoryRow[]) {
  const byWallet = Map.groupBy(rows, ({ walletId }) => walletId);
  return Object.fromEntries(
    [...byWallet].map(([walletId, own]) => [
      walletId,
      {
        totalMinor: own.reduce((sum, { amountMinor }) => sum + amountMinor, 0n),
        isFlagged: oracleIsFlagged(own, RULE),
      },
    ]),
  );
}

/** Rows near the limit, so that about half of the wallets are flagged; the same for one seed. */
export function history(options: { rows: number; wallets: number; seed: number }): HistoryRow[] {
  const random = generator(options.seed);
  return Array.from({ length: options.rows }, () => ({
    walletId: `wallet-${Math.floor(random() * options.wallets)}`,
    amountMinor: BigInt(1 + Math.floor(random() * 300_000)),
    timeMs: NOW_MS - 10_000_000 + Math.floor(random() * 2_500) * 1_000,
  }));
}

export function csvOf(rows: readonly HistoryRow[]): string {
  const lines = rows.map(({ walletId, amountMinor, timeMs, id }) => {
    return `${walletId},${decimal(amountMinor)},${timeMs},${id ?? ""}`;
  });
  return `${["wallet_id,amount,accepted_at,id", ...lines].join("\n")}\n`;
}

export function ndjsonOf(rows: readonly HistoryRow[]): string {
  return rows
    .map(({ walletId, amountMinor, timeMs, id }) => {
      const own = id === undefined ? "" : `,"id":${JSON.stringify(id)}`;
      const time = new Date(timeMs).toISOString();
      const head = `{"wallet_id":${JSON.stringify(walletId)},"amount":${decimal(amountMinor)}`;
      return `${head},"accepted_at":"${time}"${own}}\n`;
    })
    .join("");
}

/** Fisher and Yates. */
export function shuffled<T>(items: readonly T[], seed: number): T[] {
  const random = generator(seed);
  const copy = [...items];
  for (let i = copy.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [copy[i], copy[j]] = [copy[j] as T, copy[i] as T];
  }
  return copy;
}

function decimal(minor: bigint): string {
  const digits = minor.toString().padStart(3, "0");
  return `${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

/** mulberry32: 0 to 1. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
