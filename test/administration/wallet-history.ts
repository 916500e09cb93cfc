/**
 * A history of wallets in a data folder, as it comes about in service: deposits with ids, repeats
 * and conflicts, late ones, records that nobody can read, and operators who flag and remove flags
 * between them.
 *
 *   rounds of deposits ──settled──> operators' actions ──> ... ──> what each wallet answers
 */

import { type App, openApp, type ProcessorName } from "../../src/app.ts";
import { newDeposit } from "../../src/deposits/deposit.ts";

export const PARTITIONS = 4;
export const WALLETS = Array.from({ length: 24 }, (_, number) => `wallet-${number}`);
const PROCESSORS: readonly ProcessorName[] = ["collector", "detector", "flagger"];
const START_MS = Date.UTC(2026, 0, 31, 12);
const ROUNDS = 6;

type AppOptions = Parameters<typeof openApp>[0];

export async function delay(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => resolve());
  if (signal.aborted) resolve();
  await promise;
  clearTimeout(timer);
}

/** Opens the app, runs all processors, settles, and closes it all. */
export async function withRunningApp<T>(
  options: Omit<AppOptions, "nowMs" | "delay">,
  action: (app: App, settle: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const app = await openApp({ ...options, nowMs: Date.now, delay });
  const processors = app.startProcessors(PROCESSORS);
  const standIn = app.standIn({
    signal: new AbortController().signal,
    monotonicMs: () => performance.now(),
    onWait: () => {},
  });
  try {
    return await action(app, async () => standIn.settle(await app.ends()));
  } finally {
    await standIn.leave();
    await Promise.all(processors.map((processor) => processor.stop()));
    await app.close();
  }
}

/** What every wallet answers: balance, flag and all evidence, as the commands print it. */
export function answers(app: App): Record<string, unknown> {
  return Object.fromEntries(
    WALLETS.map((walletId) => [
      walletId,
      { balanceMinor: app.wallets.balanceMinor(walletId), ...app.wallets.evidence(walletId) },
    ]),
  );
}

/** Settled. `random` gives numbers from 0 to below 1. */
export async function writeHistory(folder: string, random: () => number): Promise<void> {
  await withRunningApp({ folder, create: true, partitions: PARTITIONS }, async (app, settle) => {
    for (let round = 0; round < ROUNDS; round++) {
      await app.deposits.emitAll(roundOfDeposits(round, random));
      await app.log.append([unreadable("deposit", round), unreadable("flag_wallet", round)]);
      await settle();
      for (const walletId of WALLETS) {
        if (random() < 0.4) await operate(app, walletId, { round, random });
      }
    }
    await settle();
    await app.log.setMeta("import:0123", '{"state":"done"}');
  });
}

function roundOfDeposits(round: number, random: () => number) {
  return WALLETS.flatMap((walletId, number) =>
    Array.from({ length: 4 }, (_, deposit) => {
      const isLate = random() < 0.2;
      const timeMs = START_MS + round * 60_000 + number * 10 - (isLate ? 150_000 : 0);
      return {
        key: walletId,
        message: newDeposit({
          amountMinor: BigInt(Math.floor(random() * 800_000) + 1),
          acceptedAtMs: timeMs + deposit * 1_000,
        }),
        // One of a few ids: some come again, with the same amount hardly ever.
        id: random() < 0.5 ? `id-${Math.floor(random() * 10)}` : null,
      };
    }),
  );
}

async function operate(
  app: App,
  walletId: string,
  { round, random }: { readonly round: number; readonly random: () => number },
): Promise<void> {
  const own = { walletId, actor: "ann", reason: `round ${round}`, id: `${walletId} ${round}` };
  const { newestOrdinal } = app.wallets.flag(walletId);
  const atMs = START_MS + round;
  if (random() < 0.3) await app.wallets.act({ ...own, atMs, kind: "add" });
  else await app.wallets.act({ ...own, atMs, kind: "remove", seenOrdinal: newestOrdinal });
}

function unreadable(topic: string, round: number) {
  return {
    topic,
    partition: round % PARTITIONS,
    key: Buffer.from(`nobody ${round}`),
    value: Buffer.from([0xff, 0xff, 0xff]),
  };
}
