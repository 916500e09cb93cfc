/**
 * When people deposit: little at night, most in the evening, more on a payday's Friday than on a
 * Sunday.
 *
 *   share of all deposits, 0 to 1 ──> Unix milliseconds
 */

/** A Monday. Fixed, for a file that is the same whenever it is made. */
export const SAMPLE_START_MS = Date.UTC(2026, 0, 5);
const WEEKS = 4;
const HOUR_MS = 3_600_000;

/** By the hour in UTC, from midnight on. */
const BY_HOUR = [
  [4, 2, 1, 1, 1, 2, 5, 11, 18, 22, 24, 26],
  [31, 29, 25, 24, 25, 29, 36, 40, 38, 30, 19, 9],
].flat();
/** From Monday on. */
const BY_DAY = [10, 9, 10, 11, 14, 12, 7];

const HOURS = WEEKS * BY_DAY.length * BY_HOUR.length;
export const SAMPLE_END_MS = SAMPLE_START_MS + HOURS * HOUR_MS;

/** How much has come until the hour begins, out of the last. */
const UNTIL = untilEachHour();

/** The later the greater the share. */
export function timeAt(share: number): number {
  const wanted = share * (UNTIL[HOURS] as number);
  let low = 0;
  let high = HOURS - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((UNTIL[middle] as number) <= wanted) low = middle;
    else high = middle - 1;
  }
  const from = UNTIL[low] as number;
  const within = (wanted - from) / ((UNTIL[low + 1] as number) - from);
  // A share just below 1 may have been rounded to it.
  return Math.min(SAMPLE_START_MS + Math.floor((low + within) * HOUR_MS), SAMPLE_END_MS - 1);
}

function untilEachHour(): Float64Array {
  const until = new Float64Array(HOURS + 1);
  for (let hour = 0; hour < HOURS; hour += 1) {
    const day = Math.floor(hour / BY_HOUR.length) % BY_DAY.length;
    const weight = (BY_HOUR[hour % BY_HOUR.length] as number) * (BY_DAY[day] as number);
    until[hour + 1] = (until[hour] as number) + weight;
  }
  return until;
}
