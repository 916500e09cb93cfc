import { describe, expect, test } from "bun:test";
import type { FlagEvent } from "../../src/gen/depositaja/v1/flag_wallet_pb.ts";
import { type Arrival, walletRun } from "./wallet-run.ts";

/** The start of the tables' time. */
const BASE_MS = 1_790_000_000_000;

/** A deposit `seconds` after the start, of an amount in units of money. */
function at(seconds: number, amount: number, id?: string): Arrival {
  const arrival = {
    timeMs: BASE_MS + Math.round(seconds * 1_000),
    amountMinor: BigInt(Math.round(amount * 100)),
  };
  return id === undefined ? arrival : { ...arrival, id };
}

/** The events of deposits in order of arrival, blocks being small enough to split. */
function run(arrivals: readonly Arrival[], decimals = 2): (FlagEvent | null)[] {
  const wallet = walletRun({ maxBlockEntries: 2, decimals });
  return arrivals.map((arrival) => wallet.deposit(arrival));
}

describe("the limit: given deposits in this order, when counted, then these flag", () => {
  const cases: [string, Arrival[], boolean[]][] = [
    ["exactly 10,000.00 does not flag", [at(0, 10_000)], [false]],
    ["10,000.01 does", [at(0, 10_000.01)], [true]],
    ["10,000.00 in two does not", [at(0, 6_000), at(1, 4_000)], [false, false]],
    ["one more cent does", [at(0, 6_000), at(1, 4_000), at(2, 0.01)], [false, false, true]],
    ["at one time they add up", [at(0, 6_000), at(0, 4_000.01)], [false, true]],
    ["a spread of 119.999 s adds up", [at(0, 6_000), at(119.999, 6_000)], [false, true]],
    ["a spread of 120.000 s does not", [at(0, 6_000), at(120, 6_000)], [false, false]],
    ["a spread of 120.001 s does not", [at(0, 6_000), at(120.001, 6_000)], [false, false]],
    [
      "the window rolls: what left does not count, what stayed does",
      [at(0, 4_000), at(60, 4_000), at(120, 4_000), at(179.999, 4_000), at(180, 4_000)],
      [false, false, false, true, true],
    ],
    [
      "the deposit that comes after a quiet time is not forgotten",
      [at(0, 100), at(600, 6_000), at(660, 4_000.01)],
      [false, false, true],
    ],
    [
      "a small deposit in an exceeding window flags, too, and one after it does not",
      [at(0, 10_001), at(119, 1), at(120, 1)],
      [true, true, false],
    ],
  ];
  test.each(cases)("%s", (_, arrivals, flags) => {
    expect(run(arrivals).map((event) => event !== null)).toEqual(flags);
  });

  test("the limit is 10,000 whole units at any scale", () => {
    for (const decimals of [0, 2, 8, 18]) {
      const unit = 10n ** BigInt(decimals);
      const half = { timeMs: BASE_MS, amountMinor: 5_000n * unit };
      expect(run([half, half], decimals)).toEqual([null, null]);
      const [, , event] = run([half, half, { timeMs: BASE_MS, amountMinor: 1n }], decimals);
      expect(event?.totalMinor).toBe((10_000n * unit + 1n).toString());
      expect(event?.limitMinor).toBe((10_000n * unit).toString());
    }
  });
});

describe("late deposits: given these, when one comes late, then this window", () => {
  interface Verdict {
    readonly endsAt: number;
    readonly total: number;
  }
  const cases: [string, Arrival[], Arrival, Verdict | null][] = [
    [
      "one that completes a window in the past flags",
      [at(0, 6_000), at(600, 1)],
      at(60, 4_001),
      { endsAt: 60, total: 10_001 },
    ],
    [
      "also before everything else",
      [at(60, 6_000), at(600, 1)],
      at(0, 4_001),
      { endsAt: 60, total: 10_001 },
    ],
    [
      "also when a full window comes after it",
      [at(60, 10_000), at(600, 1)],
      at(0, 0.01),
      { endsAt: 60, total: 10_000.01 },
    ],
    [
      "119.999 s before the newest it joins",
      [at(119.999, 6_000)],
      at(0, 6_000),
      { endsAt: 119.999, total: 12_000 },
    ],
    ["120.000 s before, it does not", [at(120, 6_000)], at(0, 6_000), null],
    [
      "the earliest-ending window is told",
      [at(0, 4_000), at(100, 7_000), at(110, 7_000)],
      at(50, 3_500),
      { endsAt: 100, total: 14_500 },
    ],
    [
      "its own, when that exceeds already",
      [at(0, 7_000), at(40, 1), at(60, 7_000)],
      at(30, 3_500),
      { endsAt: 30, total: 10_500 },
    ],
    [
      "what left before the later end does not count",
      [at(0, 4_000), at(125, 4_000), at(130, 1)],
      at(100, 5_000),
      null,
    ],
    [
      "windows end where deposits are, equal times whole",
      [at(90, 3_000), at(90, 3_000), at(90, 3_000)],
      at(30, 4_500),
      { endsAt: 90, total: 13_500 },
    ],
    ["it may exceed alone", [at(500, 1)], at(0, 10_000.01), { endsAt: 0, total: 10_000.01 }],
    ["long before, it reads as any other", [at(5_000, 9_999), at(5_001, 0.5)], at(0, 9_999), null],
  ];
  test.each(cases)("%s", (_, given, when, then) => {
    const event = run([...given, when]).at(-1) as FlagEvent | null;
    if (then === null) {
      expect(event).toBeNull();
      return;
    }
    expect(event?.isLate).toBe(true);
    const verdict = {
      endsAt: (Number(event?.windowEndMs) - BASE_MS) / 1_000,
      total: Number(event?.totalMinor) / 100,
    };
    expect(verdict).toEqual(then);
    expect(event?.windowEndMs).toBe((event?.windowStartMs ?? 0n) + 120_000n);
  });

  test("one in the running window counts for the next in order, one before it does not", () => {
    expect(run([at(100, 4_000), at(50, 4_000), at(110, 2_000.01)]).at(-1)).not.toBeNull();
    expect(run([at(200, 4_000), at(80, 4_000), at(210, 2_000.01)]).at(-1)).toBeNull();
  });

  test("one at the time of the newest is not late", () => {
    const [, event] = run([at(0, 6_000), at(0, 6_000)]);
    expect(event?.isLate).toBe(false);
  });
});

describe("events and episodes", () => {
  test("an event tells the rule, the window, the sums and the deposit", () => {
    const [, event] = run([at(0, 6_000, "order-1"), at(30, 4_000.01, "order-2")]);
    expect(event).toMatchObject({
      ruleId: "deposits-over-limit",
      ruleVersion: 1,
      windowStartMs: BigInt(BASE_MS + 30_000 - 120_000),
      windowEndMs: BigInt(BASE_MS + 30_000),
      totalMinor: "1000001",
      limitMinor: "1000000",
      isLate: false,
      episode: 1n,
    });
    const first = { position: "3-100", clientId: "order-1", amountMinor: 600_000n, ordinal: 1n };
    const second = { position: "3-101", clientId: "order-2", amountMinor: 400_001n, ordinal: 2n };
    expect(event?.deposit).toMatchObject(second);
    expect(event?.opening).toMatchObject({ count: 2n, deposits: [first, second] });
    expect(event?.deposit?.acceptedAtMs).toBe(BigInt(BASE_MS + 30_000));
  });

  test("a deposit without an id of its own has none in the evidence", () => {
    const [event] = run([at(0, 10_001)]);
    expect(event?.deposit?.clientId).toBeUndefined();
  });

  const episodes: [string, Arrival[], (number | null)[], number[]][] = [
    [
      "windows that overlap are one episode, listed once",
      [at(0, 10_001), at(50, 1), at(119, 10_001), at(238, 1)],
      [1, 1, 1, 1],
      [0],
    ],
    ["windows that only touch are two", [at(0, 10_001), at(120, 10_001)], [1, 2], [0, 1]],
    [
      "a deposit that does not exceed does not end an episode",
      [at(0, 10_001), at(119.999, 1), at(200, 1), at(201, 10_001)],
      [1, 1, null, 1],
      [0],
    ],
    [
      "a late event far from the one before opens its own, and so does the next",
      [at(1_000, 10_001), at(0, 10_001), at(1_001, 1)],
      [1, 2, 3],
      [0, 1, 2],
    ],
  ];
  test.each(episodes)("%s", (_, arrivals, numbers, openings) => {
    const events = run(arrivals);
    expect(events.map((event) => (event === null ? null : Number(event.episode)))).toEqual(numbers);
    const opened = events.flatMap((event, i) => (event?.opening === undefined ? [] : [i]));
    expect(opened).toEqual(openings);
  });

  test("an opening lists the newest 100 of more, and counts all", () => {
    const wallet = walletRun({ maxBlockEntries: 7 });
    for (let i = 0; i < 250; i++) expect(wallet.deposit(at(i / 10, 10))).toBeNull();
    const event = wallet.deposit(at(26, 9_000));
    expect(event?.opening?.count).toBe(251n);
    const ordinals = event?.opening?.deposits.map(({ ordinal }) => Number(ordinal));
    expect(ordinals).toEqual(Array.from({ length: 100 }, (_, i) => 152 + i));
  });

  test("a late opening lists its own window's deposits in the order of their times", () => {
    const wallet = walletRun({ maxBlockEntries: 3 });
    for (let i = 0; i < 30; i++) wallet.deposit(at(i * 10, 100));
    const event = wallet.deposit(at(155, 9_000));
    // (35 s, 155 s] holds those of 40 s to 150 s, ordinals 5 to 16, and the late one.
    expect(event?.opening?.deposits.map(({ ordinal }) => Number(ordinal))).toEqual([
      ...Array.from({ length: 12 }, (_, i) => 5 + i),
      31,
    ]);
    expect(event?.opening?.count).toBe(13n);
  });
});
