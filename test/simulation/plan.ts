/**
 * A plan: all that a run is told, as plain data, so that it can be shrunk and kept. What chance
 * decides in a run follows from its seed.
 */

import { Chance } from "./chance.ts";
import { CALM, type Conditions } from "./conditions.ts";

export interface Plan {
  readonly seed: number;
  readonly log: LogKind;
  readonly partitions: number;
  readonly processes: readonly ProcessPlan[];
  readonly limits: Limits;
  readonly conditions: Omit<Conditions, "isDown">;
  readonly operations: readonly Operation[];
  readonly faults: readonly Fault[];
}

/**
 * `changelogs`: simulated, as on Kafka: changed rows in the log, a disk for each machine. `replay`:
 * simulated, as the embedded log: one disk for all. `embedded`: the embedded log itself.
 */
export type LogKind = "changelogs" | "replay" | "embedded";

export interface ProcessPlan {
  /** Which groups it runs. */
  readonly groups: readonly string[];
  /** Whether it takes deposits and answers checks. */
  readonly serves: boolean;
}

/** Of tasks and views; see src/stream. */
export interface Limits {
  readonly batchRecords: number;
  readonly flushEveryRecords: number;
  readonly flushEveryRows: number;
  readonly catchUpFlushRecords: number;
  readonly generationBytes: number;
  readonly scanRows: number;
  readonly maxBlockEntries: number;
}

export type Operation = { readonly atMs: number; readonly wallet: string } & (
  | {
      readonly kind: "deposit";
      /** No two operations have one amount, unless the second repeats the first. */
      readonly amountMinor: number;
      /** Event time, before the run's start. */
      readonly agoMs: number;
      readonly id: string | null;
      /** Whether the client then reads what it wrote. */
      readonly checks: boolean;
    }
  | { readonly kind: "raw"; readonly what: RawKind; readonly amountMinor: number }
  | { readonly kind: "flag"; readonly id: string; readonly seenOrdinal: number | null }
);

/** Records of other clients that a group refuses, or that are for one group alone; and controls. */
export const RAW_KINDS = [
  ...(["undecodable", "wrong_partition", "zero", "ahead", "for one"] as const),
  ...(["rule", "rule", "rule", "rule too far on"] as const),
];
export type RawKind = (typeof RAW_KINDS)[number];

export const FAULT_KINDS = [
  "kill",
  "power cut",
  "pause",
  "stall",
  "expel",
  "stop",
  "broken rules",
  "down",
  "unknown outcomes",
  "refusals",
  "slow disk",
  "slow messages",
  "full disk",
  "compaction",
  "clock",
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** Begins at a step, so that each step can be the one. */
export interface Fault {
  readonly kind: FaultKind;
  readonly atStep: number;
  readonly process: number;
  readonly forMs: number;
}

const WALLETS = ["ana", "ben", "eve", "gil", "ida", "joe", "kim", "leo"];
const GROUPS = ["balance", "threshold", "flagger"];
const MINUTES_MS = 60_000;

/** Everything from the seed. */
export function planOf(seed: number): Plan {
  const chance = new Chance(seed);
  const isHarsh = chance.is(0.5);
  const operations = operationsOf(chance);
  return {
    seed,
    log: logOf(chance.next()),
    partitions: chance.between(1, 4),
    processes: processesOf(chance),
    limits: {
      batchRecords: chance.pick([1, 2, 4, 16, 2_048]),
      flushEveryRecords: chance.pick([1, 5, 40, 16_384]),
      flushEveryRows: chance.pick([1, 10, 8_192]),
      catchUpFlushRecords: chance.pick([1, 3, 8_192]),
      generationBytes: chance.pick([1, 2_000, 524_288]),
      scanRows: chance.pick([1, 3, 1_024]),
      maxBlockEntries: chance.pick([2, 3, 64]),
    },
    conditions: {
      ...CALM,
      usualUs: chance.pick([100, 1_000, 10_000]),
      slowUs: chance.pick([2_000, 100_000, 1_000_000]),
      slowChance: chance.pick([0, 0.01, 0.1]),
      fsyncUs: chance.pick([200, 2_000, 30_000]),
      unknownChance: isHarsh ? chance.pick([0, 0.01, 0.05]) : 0,
      refusedChance: isHarsh ? chance.pick([0, 0.02]) : 0,
      storeFaultChance: isHarsh ? chance.pick([0, 0.02]) : 0,
      shortReadChance: chance.pick([0, 0.1, 0.5]),
      readAheadChance: chance.pick([0, 0.5, 1]),
    },
    operations,
    faults: faultsOf(chance, operations.length),
  };
}

function logOf(draw: number): LogKind {
  if (draw < 0.45) return "changelogs";
  return draw < 0.85 ? "replay" : "embedded";
}

function processesOf(chance: Chance): ProcessPlan[] {
  const count = chance.between(1, 4);
  const all = Array.from({ length: count }, (_, index): ProcessPlan => {
    const groups = GROUPS.filter(() => index === 0 || chance.is(0.7));
    return { groups, serves: index === 0 || chance.is(0.5) };
  });
  return all;
}

function operationsOf(chance: Chance): Operation[] {
  const wallets = WALLETS.slice(0, chance.between(1, WALLETS.length));
  const lastsMs = chance.pick([500, 5_000, 20_000]);
  const count = chance.between(10, 120);
  const operations: Operation[] = [];
  for (let index = 0; index < count; index += 1) {
    const atMs = chance.below(lastsMs);
    const wallet = chance.pick(wallets);
    const kind = chance.next();
    const before = operations.at(-1 - chance.below(8));
    if (kind < 0.08) {
      const what = chance.pick(RAW_KINDS);
      operations.push({ kind: "raw", atMs, wallet, what, amountMinor: amountOf(chance, index) });
    } else if (kind < 0.14) {
      const seenOrdinal = chance.is(0.3) ? null : chance.below(20);
      operations.push({ kind: "flag", atMs, wallet, id: `action ${index}`, seenOrdinal });
    } else if (kind < 0.24 && before?.kind === "deposit" && before.id !== null) {
      // Sent again with the same id, sometimes with another amount.
      const amountMinor = chance.is(0.3) ? amountOf(chance, index) : before.amountMinor;
      operations.push({ ...before, atMs: before.atMs + chance.below(2_000), amountMinor });
    } else {
      const agoMs = chance.is(0.5)
        ? chance.below(4 * 2 * MINUTES_MS)
        : MINUTES_MS * chance.below(8); // exactly a window apart, or half of one
      const id = chance.is(0.6) ? `id ${index}` : null;
      const checks = chance.is(0.3);
      const amountMinor = amountOf(chance, index);
      operations.push({ kind: "deposit", atMs, wallet, amountMinor, agoMs, id, checks });
    }
  }
  return operations;
}

/** Up to 5,000.00, and of this operation alone. */
function amountOf(chance: Chance, index: number): number {
  return chance.between(1, 500) * 1_000 + index;
}

function faultsOf(chance: Chance, operations: number): Fault[] {
  const count = chance.pick([0, 2, 5, 12]);
  return Array.from({ length: count }, () => ({
    kind: chance.pick(FAULT_KINDS),
    atStep: chance.below(60 * operations),
    process: chance.below(4),
    forMs: chance.pick([1, 100, 1_000, 5_000, 10_000]),
  })).sort((a, b) => a.atStep - b.atStep);
}
