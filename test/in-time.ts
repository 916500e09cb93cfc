/**
 * A bound on what users are promised, on a machine that may stand still at any moment: that makes
 * anything late and nothing early, so one try of a few within the bound shows that it is kept.
 */

import { expect } from "bun:test";

const TRIES = 3;

/** `attempt` resolves with its milliseconds. How many tries there were. */
export async function inTime(withinMs: number, attempt: () => Promise<number>): Promise<number> {
  const tookMs: number[] = [];
  while (tookMs.length < TRIES && !tookMs.some((each) => each < withinMs)) {
    tookMs.push(await attempt());
  }
  expect(Math.min(...tookMs), `took ${tookMs.join(", ")} ms`).toBeLessThan(withinMs);
  return tookMs.length;
}
