import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { entriesOf } from "../../src/detector/entries.ts";
import {
  blockEntriesRow,
  blockHeadRow,
  blockKeyOf,
  FIRST_WINDOW_MS as WINDOW_MS,
} from "../../src/detector/window-rows.ts";
import type { FlagEvent } from "../../src/gen/depositaja/v1/flag_wallet_pb.ts";
import { oracleIsFlagged, oracleRunning, oracleVerdicts } from "./oracle.ts";
import { type Arrival, type WalletRun, walletRun } from "./wallet-run.ts";

const RULE = { windowMs: WINDOW_MS, limitMinor: 1_000_000n };

/** Times that meet at the window's edges: halves of it, a step beside them, and equals. */
const edgeTime = fc
  .tuple(fc.integer({ min: 0, max: 8 }), fc.constantFrom(-1, 0, 0, 1))
  .map(([halves, step]) => Math.max(0, 1_000_000 + halves * (WINDOW_MS / 2) + step));
const anyTime = fc.integer({ min: 1_000_000, max: 1_000_000 + 5 * WINDOW_MS });
const nearTime = fc.integer({ min: 1_000_000, max: 1_000_006 });
const earlyTime = fc.integer({ min: 0, max: 2 * WINDOW_MS });

/** Some fill the limit exactly when they meet, some alone, most only together. */
const amountMinor = fc.oneof(
  fc.constantFrom(1n, 250_000n, 500_000n, 999_999n, 1_000_000n, 1_000_001n),
  fc.bigInt({ min: 1n, max: 200_000n }),
);

const amountsFor = (largest: bigint) => fc.bigInt({ min: 1n, max: largest });

const upTo = (
  maxLength: number,
  arrival: { readonly timeMs: fc.Arbitrary<number>; readonly amountMinor: fc.Arbitrary<bigint> },
) => fc.array(fc.record(arrival), { maxLength, size: "max" });

const arrivals: fc.Arbitrary<Arrival[]> = fc.oneof(
  upTo(60, { timeMs: fc.oneof(edgeTime, anyTime), amountMinor }),
  // Many equal times, so that one time spans several blocks.
  upTo(80, { timeMs: nearTime, amountMinor: amountsFor(60_000n) }),
  upTo(80, { timeMs: edgeTime, amountMinor: amountsFor(90_000n) }),
  // Many small ones: heads bound most windows, and few exceed.
  upTo(90, { timeMs: anyTime, amountMinor: amountsFor(110_000n) }),
  upTo(60, { timeMs: earlyTime, amountMinor: amountsFor(150_000n) }),
);

/** Sorted, nearly sorted, or as generated. */
const orders = fc.constantFrom("sorted", "swapped", "as is");

function ordered(deposits: readonly Arrival[], order: string): Arrival[] {
  if (order === "as is") return [...deposits];
  const sorted = [...deposits].sort((a, b) => a.timeMs - b.timeMs);
  if (order === "sorted") return sorted;
  for (let i = 0; i + 3 < sorted.length; i += 4) {
    const late = sorted.splice(i, 1)[0] as Arrival;
    sorted.splice(i + 3, 0, late);
  }
  return sorted;
}

const NUM_RUNS = 400;
const NUM_CHANGING_RUNS = 200;

/** By ordinals: in force from that deposit on. */
const changes = fc.array(
  fc.record({
    from: fc.integer({ min: 1, max: 60 }),
    windowMs: fc.constantFrom(1_000, 60_000, 120_000, 240_000, 241_000, 86_400_000),
    limitMinor: fc.constantFrom(1n, 300_000n, 1_000_000n, 2_500_000n),
  }),
  { minLength: 1, maxLength: 4 },
);

describe("the detector against the oracle", () => {
  test("follows the rule as it changes between any two arrivals, wider, narrower and back", () => {
    fc.assert(
      fc.property(
        fc.record({ deposits: arrivals, order: orders, changes }),
        fc.integer({ min: 2, max: 7 }),
        fc.boolean(),
        ({ deposits, order, changes: unsorted }, maxBlockEntries, reloads) => {
          const sorted = unsorted.toSorted((a, b) => a.from - b.from);
          const ruleAt = (ordinal: number) =>
            sorted.findLast(({ from }) => from <= ordinal) ?? RULE;
          const arriving = ordered(deposits, order);
          const run = walletRun({ maxBlockEntries });
          const verdicts = oracleVerdicts(arriving, ruleAt);
          for (const [i, arrival] of arriving.entries()) {
            for (const change of sorted) if (change.from === i + 1) run.setRule(change);
            const event = run.deposit(arrival);
            expect(eventOf(event)).toEqual(verdictOf(verdicts[i]));
            const version = 1 + sorted.filter(({ from }) => from <= i + 1).length;
            const { limitMinor } = ruleAt(i + 1);
            if (event !== null) {
              expect(event.ruleVersion).toBe(version);
              expect(event.limitMinor).toBe(limitMinor.toString());
            }
            if (reloads && i % 3 === 0) run.context.reload();
            const rule = ruleAt(i + 1);
            if (i % 4 === 0) expectSound(run, arriving.slice(0, i + 1), { maxBlockEntries, rule });
          }
        },
      ),
      { numRuns: NUM_CHANGING_RUNS },
    );
  }, 60_000);

  test("gives the oracle's verdict, window, total and episode for every arrival", () => {
    fc.assert(
      fc.property(
        arrivals,
        orders,
        fc.integer({ min: 2, max: 7 }),
        fc.boolean(),
        (deposits, order, maxBlockEntries, reloads) => {
          const arriving = ordered(deposits, order);
          const run = walletRun({ maxBlockEntries });
          const verdicts = oracleVerdicts(arriving, RULE);
          for (const [i, arrival] of arriving.entries()) {
            const event = run.deposit(arrival);
            expect(eventOf(event)).toEqual(verdictOf(verdicts[i]));
            if (reloads && i % 3 === 0) run.context.reload();
          }
        },
      ),
      { numRuns: NUM_RUNS },
    );
  });

  test("keeps the running sums and the blocks that brute force finds, after every arrival", () => {
    fc.assert(
      fc.property(
        arrivals,
        orders,
        fc.integer({ min: 2, max: 5 }),
        (deposits, order, maxBlockEntries) => {
          const run = walletRun({ maxBlockEntries });
          const arrived: Arrival[] = [];
          for (const arrival of ordered(deposits, order)) {
            run.deposit(arrival);
            arrived.push(arrival);
            expectSound(run, arrived, { maxBlockEntries, rule: RULE });
          }
        },
      ),
      { numRuns: NUM_RUNS },
    );
  });

  test("ends in the same flags for any permutation of arrivals", () => {
    fc.assert(
      fc.property(
        arrivals.chain((deposits) =>
          fc.record({
            deposits: fc.constant(deposits),
            shuffled: fc.shuffledSubarray(deposits, { minLength: deposits.length }),
          }),
        ),
        fc.integer({ min: 2, max: 7 }),
        ({ deposits, shuffled }, maxBlockEntries) => {
          const isFlagged = oracleIsFlagged(deposits, RULE);
          for (const arriving of [deposits, shuffled, ordered(deposits, "sorted")]) {
            const run = walletRun({ maxBlockEntries });
            const events = arriving.map((arrival) => run.deposit(arrival));
            expect(events.some((event) => event !== null)).toBe(isFlagged);
          }
        },
      ),
      { numRuns: NUM_RUNS },
    );
  });
});

function eventOf(event: FlagEvent | null) {
  if (event === null) return null;
  return {
    ordinal: Number(event.deposit?.ordinal),
    isLate: event.isLate,
    startMs: Number(event.windowStartMs),
    endMs: Number(event.windowEndMs),
    totalMinor: BigInt(event.totalMinor),
    episode: Number(event.episode),
    opening: event.opening?.deposits.map(({ ordinal }) => Number(ordinal)) ?? null,
    openingCount: event.opening === undefined ? null : Number(event.opening.count),
  };
}

function verdictOf(verdict: ReturnType<typeof oracleVerdicts>[number] | undefined) {
  if (verdict === undefined || verdict.exceeding === null) return null;
  const { startMs, endMs, totalMinor, count } = verdict.exceeding;
  return {
    ordinal: verdict.ordinal,
    isLate: verdict.isLate,
    startMs,
    endMs,
    totalMinor,
    episode: verdict.episode,
    opening: verdict.opening?.slice(-100) ?? null,
    openingCount: verdict.opening === null ? null : count,
  };
}

/** The running window is brute force's, and blocks hold every entry once, in order, in bounds. */
function expectSound(
  run: WalletRun,
  arrived: readonly Arrival[],
  { maxBlockEntries, rule }: { maxBlockEntries: number; rule: typeof RULE },
): void {
  const row = run.row();
  const { windowSumMinor, windowCount, windowFirstMs } = row;
  const running = oracleRunning(arrived, rule);
  expect({ sumMinor: windowSumMinor, count: windowCount, firstMs: windowFirstMs }).toEqual(running);
  const heads = run.context.range(blockHeadRow);
  const lists = run.context.range(blockEntriesRow);
  expect(lists.map(({ subKey }) => subKey)).toEqual(heads.map(({ subKey }) => subKey));
  const blocks = heads.map(({ subKey, value }, i) => ({
    key: blockKeyOf(subKey),
    head: value,
    entries: entriesOf(lists[i]?.value ?? row.openEntries),
  }));
  blocks.push({ key: row.openKey, head: row.openHead, entries: entriesOf(row.openEntries) });
  for (const { key, head, entries } of blocks) {
    expect(entries.length).toBeGreaterThan(0);
    expect(entries.length).toBeLessThanOrEqual(maxBlockEntries);
    expect(head).toEqual({
      sumMinor: entries.reduce((sum, one) => sum + one.amountMinor, 0n),
      count: entries.length,
      firstMs: entries[0]?.timeMs as number,
      lastMs: entries[entries.length - 1]?.timeMs as number,
    });
    const first = entries[0] as { timeMs: number; ordinal: number };
    const isAtOrAfterKey =
      first.timeMs > key.timeMs || (first.timeMs === key.timeMs && first.ordinal >= key.ordinal);
    expect(isAtOrAfterKey).toBe(true);
  }
  const all = blocks.flatMap(({ entries }) => entries);
  const expected = arrived
    .map(({ timeMs, amountMinor: amount }, i) => ({ timeMs, amount, ordinal: i + 1 }))
    .sort((a, b) => a.timeMs - b.timeMs || a.ordinal - b.ordinal);
  expect(
    all.map(({ timeMs, ordinal, amountMinor: amount }) => ({ timeMs, amount, ordinal })),
  ).toEqual(expected);
  const firstInWindow = blocks.find(({ head }) => head.lastMs > row.newestMs - rule.windowMs);
  const tail = blocks.findIndex(
    ({ key }) => key.timeMs === row.tailKey.timeMs && key.ordinal === row.tailKey.ordinal,
  );
  expect(tail).toBeGreaterThanOrEqual(0);
  expect(tail).toBeLessThanOrEqual(blocks.indexOf(firstInWindow as (typeof blocks)[number]));
}
