/**
 * What a wallet does that someone should look at, or that only looks like it: each scene tries one
 * edge of the rule. They say what is done; whether it is flagged is for the answers to find out.
 *
 *   chance ──scene──> deposits of one wallet, apart in time
 */

import { below, type Random } from "../random.ts";

/** A deposit within a scene, or the row of one. */
export interface Move {
  /** Event time, after the scene's begin. */
  readonly afterMs: number;
  readonly amountMinor: number;
  /** How long after its event time the row stands in the file; 0 for most. */
  readonly lateMs: number;
  /** The same deposit as the move before, sent again under its id. */
  readonly isRepeat: boolean;
}

export interface Scene {
  /** Always so many. */
  readonly rows: number;
  readonly play: (random: Random) => readonly Move[];
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** Of the published rule, and at the two decimals that a new log has. */
const LIMIT_MINOR = 1_000_000;
const WINDOW_MS = 2 * MINUTE_MS;
/** Within a window with its last millisecond to spare. */
const SHARED_MS = WINDOW_MS - 1;

export const SCENES: readonly Scene[] = [
  { rows: 4, play: (random) => split(random, { rows: 4, totalMinor: over(random) }) },
  { rows: 3, play: toTheCent },
  { rows: 3, play: aCentMore },
  { rows: 3, play: justOutside },
  { rows: 6, play: oneByOne },
  { rows: 5, play: decidedLate },
  { rows: 4, play: atOnce },
  { rows: 3, play: sentAgain },
  { rows: 40, play: flood },
  { rows: 1, play: (random) => [move(0, over(random))] },
  { rows: 7, play: again },
];

export function move(afterMs: number, amountMinor: number, lateMs = 0): Move {
  return { afterMs, amountMinor, lateMs, isRepeat: false };
}

export function repeated(first: Move, againAfterMs: number): Move {
  return { ...first, lateMs: first.lateMs + againAfterMs, isRepeat: true };
}

/** A sum over the limit in parts that are each far below it. */
function split(
  random: Random,
  { rows, totalMinor }: { readonly rows: number; readonly totalMinor: number },
): Move[] {
  const parts = partsOf(totalMinor, rows, random);
  return parts.map((amountMinor, i) => move(i * between(random, 5_000, 25_000), amountMinor));
}

/** Exactly the limit, which is not over it. */
function toTheCent(random: Random): Move[] {
  const [first = 0, second = 0, third = 0] = partsOf(LIMIT_MINOR, 3, random);
  return [move(0, first), move(40 * SECOND_MS, second), move(SHARED_MS, third)];
}

/** The same, but for a cent, from one end of a window to the other. */
function aCentMore(random: Random): Move[] {
  const [first = 0, second = 0, third = 0] = partsOf(LIMIT_MINOR + 1, 3, random);
  return [move(0, first), move(between(random, 1, SHARED_MS), second), move(SHARED_MS, third)];
}

/** Just under the limit each, and a window's length apart, which no window holds. */
function justOutside(random: Random): Move[] {
  return [0, 1, 2].map((i) => move(i * WINDOW_MS, justUnder(random)));
}

/** Just under the limit each, minutes apart: structuring that this rule does not see. */
function oneByOne(random: Random): Move[] {
  let afterMs = 0;
  return Array.from({ length: 6 }, () => {
    afterMs += between(random, 4 * MINUTE_MS, 40 * MINUTE_MS);
    return move(afterMs, justUnder(random));
  });
}

/** Over the limit only with a deposit that is written down hours later. */
function decidedLate(random: Random): Move[] {
  const early = split(random, { rows: 4, totalMinor: between(random, 700_000, 990_000) });
  const lateMs = between(random, 10 * MINUTE_MS, 3 * HOUR_MS);
  // Before the last of the others, which is 15 s after the first at least.
  return [...early, move(below(random, 15_000), between(random, 310_000, 600_000), lateMs)];
}

/** All at the same millisecond. */
function atOnce(random: Random): Move[] {
  return partsOf(over(random), 4, random).map((amountMinor) => move(0, amountMinor));
}

/** One deposit that is sent three times, under one id: over the limit for who counts it twice. */
function sentAgain(random: Random): Move[] {
  const first = move(0, between(random, 600_000, 999_000));
  const second = repeated(first, between(random, 2_000, 30_000));
  return [first, second, repeated(first, between(random, 31_000, 90_000))];
}

/** Many that are small, one every few seconds. */
function flood(random: Random): Move[] {
  return Array.from({ length: 40 }, (_, i) => {
    return move(i * 3_000 + below(random, 2_500), between(random, 25_000, 45_000));
  });
}

/** Twice, with hours in between. */
function again(random: Random): Move[] {
  const pauseMs = between(random, 2 * HOUR_MS, 9 * HOUR_MS);
  const second = split(random, { rows: 4, totalMinor: over(random) });
  return [
    ...split(random, { rows: 3, totalMinor: over(random) }),
    ...second.map((each) => ({ ...each, afterMs: each.afterMs + pauseMs })),
  ];
}

function over(random: Random): number {
  return between(random, LIMIT_MINOR + 100, 1_900_000);
}

/** As people choose it: round, or with cents. */
function justUnder(random: Random): number {
  const amountMinor = between(random, 950_000, LIMIT_MINOR - 1);
  return random() < 0.5 ? Math.floor(amountMinor / 5_000) * 5_000 : amountMinor;
}

/** Parts that add up to the total, none of them much larger than the others. */
function partsOf(totalMinor: number, count: number, random: Random): number[] {
  let left = totalMinor;
  return Array.from({ length: count }, (_, i) => {
    if (i === count - 1) return left;
    const even = Math.floor(left / (count - i));
    const part = between(random, Math.floor(even * 0.7), Math.floor(even * 1.2));
    left -= part;
    return part;
  });
}

/** A whole number, both ends included. */
export function between(random: Random, least: number, most: number): number {
  return least + below(random, most - least + 1);
}
