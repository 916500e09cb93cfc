/**
 * A window as one line of text: where in it its deposits lie, and how much they are.
 *
 *   |▃·····▅·········█···▂··|  a column is 3 s, the highest has 4000.00
 */

import { formatDecimal } from "../money.ts";

export interface DrawnWindow {
  /** Exclusive. */
  readonly windowStartMs: number;
  /** Inclusive. */
  readonly windowEndMs: number;
  readonly deposits: readonly { readonly acceptedAtMs: number; readonly amountMinor: bigint }[];
}

/** Beside its words it fits a terminal of 80 characters; two minutes are cut at whole seconds. */
const COLUMNS = 40;
const EMPTY = "·";
/** Lowest first; of the highest column, one for each eighth. */
const HEIGHTS = [..."▁▂▃▄▅▆▇█"];

export function windowDrawing(window: DrawnWindow, decimals: number): string {
  const { windowStartMs, windowEndMs, deposits } = window;
  const columnMs = (windowEndMs - windowStartMs) / COLUMNS;
  const sums = Array.from({ length: COLUMNS }, () => 0n);
  for (const { acceptedAtMs, amountMinor } of deposits) {
    const column = Math.ceil((acceptedAtMs - windowStartMs) / columnMs) - 1;
    const place = Math.min(Math.max(column, 0), COLUMNS - 1);
    sums[place] = (sums[place] as bigint) + amountMinor;
  }
  const highest = sums.reduce((most, sum) => (sum > most ? sum : most), 1n);
  const bars = sums.map((sum) => barOf(sum, highest)).join("");
  const width = `${columnMs / 1_000} s`;
  return `|${bars}|  a column is ${width}, the highest has ${formatDecimal(highest, decimals)}`;
}

/** However little there is, it is seen. */
function barOf(sum: bigint, highest: bigint): string {
  if (sum === 0n) return EMPTY;
  return HEIGHTS[Number((sum * BigInt(HEIGHTS.length) - 1n) / highest)] as string;
}
