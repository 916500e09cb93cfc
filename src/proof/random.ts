/**
 * Numbers by chance from a seed, so that a run can be had again: mulberry32, which passes the usual
 * statistical tests and is a few lines long.
 */

export type Random = () => number;

/** Each call gives the next number in [0, 1). */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A whole number from 0 up to, but not, `limit`. */
export function below(random: Random, limit: number): number {
  return Math.floor(random() * limit);
}
