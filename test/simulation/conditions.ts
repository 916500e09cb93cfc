/**
 * How bad things are: latencies and how often what goes wrong. Faults change them while a run
 * lasts; at its end all is well.
 */

import type { Chance } from "./chance.ts";

export interface Conditions {
  /** Of one message, at most, usually; and of a slow one. */
  usualUs: number;
  slowUs: number;
  /** Of all messages. */
  slowChance: number;
  /** Of one sync of the log's disk. */
  fsyncUs: number;
  /** Of all appends and commits: nobody is told whether they happened. */
  unknownChance: number;
  /** Of all appends and commits: refused, with nothing written. */
  refusedChance: number;
  /** Of all writes of a store. */
  storeFaultChance: number;
  /** Of all reads: fewer records than asked for. */
  shortReadChance: number;
  /** Of all reads of a task: what is there is handed out without asking for it. */
  readAheadChance: number;
  /** The log takes no writes. */
  isDown: boolean;
}

export const CALM: Conditions = {
  usualUs: 300,
  slowUs: 2_000,
  slowChance: 0.02,
  fsyncUs: 400,
  unknownChance: 0,
  refusedChance: 0,
  storeFaultChance: 0,
  shortReadChance: 0,
  readAheadChance: 0,
  isDown: false,
};

/** How long one message takes. */
export function latencyUs(conditions: Conditions, chance: Chance): number {
  const most = chance.is(conditions.slowChance) ? conditions.slowUs : conditions.usualUs;
  return 20 + chance.below(most);
}
