/**
 * What one more deposit of a wallet costs the detector, by what the wallet has: 10 entries in the
 * window, 100,000 in it, or 100,000 before it; exceeding the limit or not; and a late one.
 *
 *   a wallet with its past ──append many more──> `process detector` ──store moved──> µs a deposit
 *
 * Deposits go on at the wallet's own pace, so that as many leave the window as come in. Wallets
 * take short turns, many in a run, and are compared within it.
 */

import { type App, PROCESSOR_NAMES } from "../../src/app.ts";
import { depositStream, newDeposit } from "../../src/deposits/deposit.ts";
import { FIRST_WINDOW_MS as WINDOW_MS } from "../../src/detector/window-rows.ts";
import { startProgram } from "../children.ts";
import { openFolder } from "../history.ts";
import { withFolder } from "../machine.ts";
import {
  atMost,
  type Benchmark,
  type BenchmarkOptions,
  type Figure,
  median,
} from "../measurement.ts";

const PAST = 100_000;
const FEW = 10;
/** Timed at once, four of the task's batches; wallets take turns, and a run takes the median. */
const MORE = 8_192;
const ROUNDS = 15;
const QUICK_ROUNDS = 2;
const LATE = 2_000;
const LIMIT_MINOR = 1_000_000;

interface Pace {
  readonly name: string;
  /** Entries that stand in the window. */
  readonly inWindow: number;
  /** Deposits long before the window. */
  readonly before: number;
  readonly isExceeding: boolean;
}

interface Wallet extends Pace {
  readonly key: string;
  nextMs: number;
}

const FEW_BELOW: Pace = { name: "10 in the window", inWindow: FEW, before: 0, isExceeding: false };
const FEW_ABOVE: Pace = { ...FEW_BELOW, isExceeding: true };
const MANY_BELOW: Pace = { ...FEW_BELOW, name: "100k in the window", inWindow: PAST };
const MANY_ABOVE: Pace = { ...MANY_BELOW, isExceeding: true };
const OLD_BELOW: Pace = { ...FEW_BELOW, name: "100k before it", before: PAST };
const OLD_ABOVE: Pace = { ...OLD_BELOW, isExceeding: true };
const PACES = [FEW_BELOW, MANY_BELOW, OLD_BELOW, FEW_ABOVE, MANY_ABOVE, OLD_ABOVE];

export const detectorCost: Benchmark = {
  name: "detector",
  run: (options) => withFolder((folder) => measure(folder, options)),
};

async function measure(folder: string, options: BenchmarkOptions): Promise<Figure[]> {
  const scale = options.isQuick ? 100 : 1;
  const app = await openFolder(folder);
  // In a process of its own: here it would begin before the append was answered.
  const child = startProgram(["process", "detector", "--data", folder]);
  const wallets = PACES.map((pace, index) => newWallet(pace, index, scale));
  for (const wallet of wallets) {
    options.say(`filling a wallet with ${wallet.name}`);
    await giveItsPast(app, wallet, scale);
  }
  const microseconds = new Map<Pace, number[]>(PACES.map((pace) => [pace, []]));
  const late: number[] = [];
  for (let run = 0; run < options.runs; run += 1) {
    const rounds = new Map<Pace, number[]>(PACES.map((pace) => [pace, []]));
    for (let round = 0; round < (options.isQuick ? QUICK_ROUNDS : ROUNDS); round += 1) {
      for (const [index, wallet] of wallets.entries()) {
        rounds.get(PACES[index] as Pace)?.push(await goOn(app, wallet, Math.ceil(MORE / scale)));
      }
    }
    for (const [pace, took] of rounds) microseconds.get(pace)?.push(median(took));
    late.push(await addLate(app, wallets[PACES.indexOf(MANY_BELOW)] as Wallet, LATE / scale));
    options.say(`run ${run + 1} of ${options.runs}`);
  }
  await child.stop();
  await app.close();
  const of = (pace: Pace) => microseconds.get(pace) as number[];
  return [
    ratio("in order, 100k in the window", of(MANY_BELOW), of(FEW_BELOW)),
    ratio("in order, 100k before the window", of(OLD_BELOW), of(FEW_BELOW)),
    ratio("in order, exceeding, 100k in the window", of(MANY_ABOVE), of(FEW_ABOVE)),
    ratio("in order, exceeding, 100k before the window", of(OLD_ABOVE), of(FEW_ABOVE)),
    {
      what: "detector: late, in the middle of 100k in the window",
      unit: "µs",
      samples: late,
      target: null,
      remark: "",
    },
  ];
}

function ratio(what: string, samples: readonly number[], base: readonly number[]): Figure {
  return {
    what: `detector: ${what}`,
    unit: "×",
    samples: samples.map((each, run) => each / (base[run] as number)),
    target: atMost(1.2),
    remark: `${median(samples).toFixed(1)} µs against ${median(base).toFixed(1)} with 10`,
  };
}

function newWallet(pace: Pace, index: number, scale: number): Wallet {
  const inWindow = Math.min(pace.inWindow, Math.max(FEW, pace.inWindow / scale));
  return { ...pace, inWindow, key: `wallet-${index}`, nextMs: Date.now() - 400 * 24 * 3_600_000 };
}

async function giveItsPast(app: App, wallet: Wallet, scale: number): Promise<void> {
  const before = wallet.before / scale;
  if (before > 0) {
    // As dense as a full window, so that they are over long before the timed ones begin.
    await goOn(app, { ...wallet, inWindow: before, isExceeding: false }, before);
    wallet.nextMs += 3 * WINDOW_MS;
  }
  await goOn(app, wallet, wallet.inWindow);
}

/** Microseconds for each of `count` deposits at the wallet's pace. */
async function goOn(app: App, wallet: Wallet, count: number): Promise<number> {
  const stepMs = WINDOW_MS / wallet.inWindow;
  const share = LIMIT_MINOR / wallet.inWindow;
  const amountMinor = BigInt(Math.max(1, Math.round(wallet.isExceeding ? 2 * share : share / 2)));
  const startMs = wallet.nextMs;
  wallet.nextMs = startMs + count * stepMs;
  const timesMs = Array.from({ length: count }, (_, i) => Math.floor(startMs + i * stepMs));
  return detect(app, wallet, { timesMs, amountMinor });
}

/** Spread over the middle tenth of the window that ends at the newest. */
async function addLate(app: App, wallet: Wallet, count: number): Promise<number> {
  const fromMs = wallet.nextMs - 0.55 * WINDOW_MS;
  const timesMs = Array.from({ length: count }, (_, i) =>
    Math.floor(fromMs + ((i * 7_919) % count) * ((0.1 * WINDOW_MS) / count)),
  );
  return detect(app, wallet, { timesMs, amountMinor: 1n });
}

async function detect(
  app: App,
  wallet: Wallet,
  deposits: { readonly timesMs: readonly number[]; readonly amountMinor: bigint },
): Promise<number> {
  const { timesMs, amountMinor } = deposits;
  const emissions = timesMs.map((acceptedAtMs) => ({
    key: wallet.key,
    message: newDeposit({ amountMinor, acceptedAtMs }),
  }));
  const last = (await app.deposits.emitAll(emissions)).at(-1);
  const startMs = performance.now();
  if (last !== undefined) await detected(app, last.partition, last.offset);
  return ((performance.now() - startMs) * 1_000) / timesMs.length;
}

/** Until the detector's store is beyond the offset. */
function detected(app: App, partition: number, offset: bigint): Promise<void> {
  const isBeyond = () =>
    app
      .progressOf(PROCESSOR_NAMES.detector, partition)
      ?.inputs.some((each) => each.topic === depositStream.topic && each.nextOffset > offset);
  return new Promise((resolve) => {
    const stop = app.log.onChange(() => {
      if (isBeyond() !== true) return;
      stop();
      resolve();
    });
    app.log.notify();
  });
}
