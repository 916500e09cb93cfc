/**
 * Folders with a history: deposits appended to a log, with or without the groups' work done.
 *
 *   description ──emitter──> deposit topic ──processors in this process──> settled
 */

import { type App, openApp, PROCESSOR_NAMES, type ProcessorName } from "../src/app.ts";
import { depositStream, newDeposit } from "../src/deposits/deposit.ts";
import type { Deposit } from "../src/gen/depositaja/v1/deposit_pb.ts";
import type { Emission } from "../src/stream/emitter.ts";
import type { StreamPosition } from "../src/stream/settling.ts";
import { walletName } from "./load-plan.ts";
import { newFolder } from "./machine.ts";
import { below, randomFrom } from "../src/proof/random.ts";

/** In one append: large enough to be fast, far below the log's queue. */
const APPEND_RECORDS = 4_096;
/** A million deposits take a fraction of it on a slow machine. */
const SETTLES_WITHIN_MS = 10 * 60 * 1_000;

export interface History {
  readonly deposits: number;
  readonly wallets: number;
  readonly hasIds: boolean;
  /** Event times are spread evenly over so long, up to now. */
  readonly spanMs: number;
  /**
   * One deposit in so many is of more than the limit by itself, none for Infinity; the others are
   * 0.01 to 9.99.
   */
  readonly exceedingEvery: number;
}

/** A day, one deposit in a hundred exceeding: a flag is rare, but the flagger has work to do. */
export const DAY: Pick<History, "spanMs" | "exceedingEvery"> = {
  spanMs: 24 * 60 * 60 * 1_000,
  exceedingEvery: 100,
};

const MILLION = 1_000_000;
const QUICK_MILLION = 500;

export interface HistoryFolder {
  readonly folder: string;
  readonly deposits: number;
}

let million: Promise<HistoryFolder> | null = null;

/**
 * A folder with a million deposits, each of a wallet of its own, that all groups have done. Made
 * once for all rows that ask, it is gone with this process: who adds to it comes last.
 */
export function millionWallets({ isQuick }: { isQuick: boolean }): Promise<HistoryFolder> {
  const make = async () => {
    const folder = newFolder();
    const deposits = isQuick ? QUICK_MILLION : MILLION;
    await makeHistory(folder, { ...DAY, deposits, wallets: deposits, hasIds: false });
    return { folder, deposits };
  };
  million ??= make();
  return million;
}

export function openFolder(folder: string): Promise<App> {
  return openApp({
    folder,
    create: true,
    nowMs: () => Date.now(),
    delay: (ms) => Bun.sleep(ms),
  });
}

/** Wallets come in random order, each at least once when there are as many deposits. */
export async function appendHistory(app: App, history: History): Promise<void> {
  const startMs = app.nowMs() - history.spanMs;
  const random = randomFrom(1);
  let batch: Emission<Deposit>[] = [];
  for (let index = 0; index < history.deposits; index += 1) {
    const isFirst = index < history.wallets;
    const wallet = isFirst ? index : below(random, history.wallets);
    const isExceeding = random() * history.exceedingEvery < 1;
    const amountMinor = isExceeding ? 1_000_001n : BigInt(1 + below(random, 999));
    const acceptedAtMs = Math.floor(startMs + (index / history.deposits) * history.spanMs);
    batch.push({
      key: walletName(wallet),
      message: newDeposit({ amountMinor, acceptedAtMs }),
      ...(history.hasIds ? { id: `order-${index}-of-${wallet}` } : {}),
    });
    if (batch.length < APPEND_RECORDS && index + 1 < history.deposits) continue;
    await app.deposits.emitAll(batch);
    batch = [];
  }
}

/** Runs the processors in this process until all is done that is in the log. */
export async function processHistory(app: App): Promise<void> {
  const processors = app.startProcessors(Object.keys(PROCESSOR_NAMES) as ProcessorName[]);
  await settleAll(app);
  for (const processor of processors) await processor.stop();
}

/** The newest deposit of each partition. */
export async function lastPositions(app: App): Promise<readonly StreamPosition[]> {
  const { topic } = depositStream;
  const positions: StreamPosition[] = [];
  for (let partition = 0; partition < app.partitions; partition += 1) {
    const { end } = await app.log.bounds(topic, partition);
    if (end > 0n) positions.push({ topic, partition, offset: end - 1n });
  }
  return positions;
}

/** Waits, whoever processes. Throws when it takes too long, naming what it waited for. */
export async function settleAll(app: App): Promise<void> {
  const expired = AbortSignal.timeout(SETTLES_WITHIN_MS);
  const pending = await app.settled(await lastPositions(app), expired);
  if (pending === null) return;
  const { group, topic, partition, offset } = pending;
  throw new Error(`${group} has not passed ${topic} ${partition}-${offset} in 10 minutes`);
}

/** Makes a folder with a history that all groups have done. */
export async function makeHistory(folder: string, history: History): Promise<void> {
  const app = await openFolder(folder);
  await appendHistory(app, history);
  await processHistory(app);
  await app.close();
}
