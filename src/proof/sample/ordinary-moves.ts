/**
 * What a wallet does on any other day: mostly one deposit, now and then a burst, a few at the same
 * time, one that comes late, one that is sent twice.
 *
 *   chance ──> deposits that begin now
 */

import { below, type Random } from "../random.ts";
import { between, type Move, move, repeated } from "./scenes.ts";

/** A part of all amounts: between the two, in steps. */
interface AmountClass {
  /** Of all amounts, those of the classes before included. */
  readonly upTo: number;
  readonly leastMinor: number;
  readonly mostMinor: number;
  readonly stepMinor: number;
}

const OF_PEOPLE: readonly AmountClass[] = [
  { upTo: 0.5, leastMinor: 500, mostMinor: 6_000, stepMinor: 1 },
  { upTo: 0.82, leastMinor: 1_000, mostMinor: 20_000, stepMinor: 1_000 },
  { upTo: 0.97, leastMinor: 6_000, mostMinor: 90_000, stepMinor: 1 },
  { upTo: 0.998, leastMinor: 50_000, mostMinor: 350_000, stepMinor: 1 },
  { upTo: 1, leastMinor: 200_000, mostMinor: 900_000, stepMinor: 5_000 },
];
const OF_SHOPS: readonly AmountClass[] = [
  { upTo: 0.8, leastMinor: 150, mostMinor: 4_500, stepMinor: 1 },
  { upTo: 0.99, leastMinor: 2_000, mostMinor: 15_000, stepMinor: 50 },
  { upTo: 1, leastMinor: 10_000, mostMinor: 60_000, stepMinor: 100 },
];

/** Chances that a time sees more than one deposit. */
const BURST = 0.006;
const AT_ONCE = 0.004;
/** Chances of a deposit. */
const LATE = 0.01;
const SENT_TWICE = 0.002;

const MAX_BURST = 12;
const MAX_AT_ONCE = 4;
const MINUTE_MS = 60_000;
/** A batch at night, a terminal without a network. */
const MAX_LATE_MS = 6 * 60 * MINUTE_MS;

/** At least one and at most `room` rows. */
export function ordinaryMoves(
  random: Random,
  { room, isShop }: { readonly room: number; readonly isShop: boolean },
): readonly Move[] {
  const classes = isShop ? OF_SHOPS : OF_PEOPLE;
  const kind = random();
  if (kind < BURST && room > 2) return burst(random, classes, between(random, 3, MAX_BURST), room);
  if (kind < BURST + AT_ONCE && room > 1) {
    const count = Math.min(room, between(random, 2, MAX_AT_ONCE));
    return Array.from({ length: count }, () => move(0, amount(random, classes)));
  }
  const first = move(0, amount(random, classes), lateness(random));
  if (room === 1 || random() >= SENT_TWICE) return [first];
  return [first, repeated(first, between(random, 1_000, 10 * MINUTE_MS))];
}

function burst(
  random: Random,
  classes: readonly AmountClass[],
  wanted: number,
  room: number,
): Move[] {
  const spanMs = between(random, 15_000, 100_000);
  return Array.from({ length: Math.min(wanted, room) }, (_, i) => {
    return move(i === 0 ? 0 : below(random, spanMs), amount(random, classes), lateness(random));
  });
}

/** Half of the late ones by less than a window, half by up to hours. */
function lateness(random: Random): number {
  const chance = random();
  if (chance >= LATE) return 0;
  return between(random, 1_000, chance < LATE / 2 ? 2 * MINUTE_MS : MAX_LATE_MS);
}

function amount(random: Random, classes: readonly AmountClass[]): number {
  const chance = random();
  const { leastMinor, mostMinor, stepMinor } = classes.find(
    ({ upTo }) => chance < upTo,
  ) as AmountClass;
  return leastMinor + stepMinor * below(random, (mostMinor - leastMinor) / stepMinor + 1);
}
