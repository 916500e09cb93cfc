import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { type OracleDeposit, oracleVerdicts } from "../detector/oracle.ts";
import { Chance } from "./chance.ts";
import { CALM } from "./conditions.ts";
import { type LogKind, type Plan, planOf } from "./plan.ts";
import regressions from "./regressions.json";
import { failureText } from "./report.ts";
import { shrink } from "./shrink.ts";
import { simulate } from "./simulation.ts";
import { FIRST_RULE, WalletOracle } from "./wallet-oracle.ts";

/** Always the same ones, whatever else is run. */
const FIXED_SEEDS = 30;
/** And new ones, for so long; one that fails is a real failure, and is printed. */
const FRESH_MS = 20_000;
/** Of a run that failed. */
const SHRINK_MS = 10_000;
const DEADLINE_MS = 60_000;

/** The text of what went wrong; null when nothing did. */
function failureOf(plan: Plan): string | null {
  const result = simulate(plan);
  if (result.violation === null) return null;
  const nowMs = () => performance.now();
  return failureText(result, shrink(result, { nowMs, withinMs: SHRINK_MS }).result);
}

test(
  "fixed seeds keep every promise",
  () => {
    for (let seed = 1; seed <= FIXED_SEEDS; seed += 1) {
      expect(failureOf(planOf(seed))).toBeNull();
    }
  },
  DEADLINE_MS,
);

test(
  "fresh seeds keep every promise",
  () => {
    let seed = crypto.getRandomValues(new Uint32Array(1))[0] as number;
    const endMs = performance.now() + FRESH_MS;
    while (performance.now() < endMs) {
      expect(failureOf(planOf(seed))).toBeNull();
      seed = (seed + 1) >>> 0;
    }
  },
  DEADLINE_MS,
);

test.each(regressions as { was: string; plan: Plan }[])(
  "a plan that showed it keeps every promise: $was",
  ({ plan }) => {
    expect(failureOf(plan)).toBeNull();
    expect(simulate(plan).seen["commits"]).toBeGreaterThan(0);
  },
  DEADLINE_MS,
);

test(
  "a seed goes the same way each time, step by step",
  () => {
    for (const log of ["changelogs", "replay", "embedded"] as const) {
      const plan = { ...planOf(3), log };
      const [once, again] = [simulate(plan), simulate(plan)];
      expect([again.steps, again.digest]).toEqual([once.steps, once.digest]);
      expect(once.steps).toBeGreaterThan(100);
    }
  },
  DEADLINE_MS,
);

test("a run leaves no file open, whatever was killed in it", () => {
  const openFiles = () => readdirSync("/dev/fd").length;
  const plan = shortPlan("embedded");
  const faults = [40, 80, 120].map((atStep) => {
    return { kind: "kill", atStep, process: atStep, forMs: 1_000 } as const;
  });
  expect(failureOf(plan)).toBeNull(); // opens what it watches all files with
  const before = openFiles();
  expect(failureOf({ ...plan, faults })).toBeNull();
  expect(openFiles()).toBe(before);
});

test("the wallets' oracle says what the detector's oracle says", () => {
  const chance = new Chance(1);
  for (let run = 0; run < 50; run += 1) {
    const deposits: OracleDeposit[] = Array.from({ length: 30 }, () => ({
      timeMs: 60_000 * chance.below(8) + (chance.is(0.5) ? 0 : chance.below(60_000)),
      amountMinor: BigInt(chance.between(1, 500_000)),
    }));
    const rule = { ...FIRST_RULE, limitMinor: BigInt(FIRST_RULE.limitMinor) };
    const oracle = new WalletOracle();
    const said = deposits.map(({ timeMs, amountMinor }) =>
      oracle.arrive({ timeMs, amountMinor: Number(amountMinor) }),
    );
    expect(said).toEqual(
      oracleVerdicts(deposits, rule).map(({ ordinal, isLate, episode, exceeding, opening }) =>
        exceeding === null
          ? null
          : {
              ...{ ordinal, isLate, episode, windowEndMs: exceeding.endMs },
              totalMinor: Number(exceeding.totalMinor),
              opening: opening?.length ?? null,
            },
      ),
    );
  }
});

/** Few operations on two processes, so that every step of it can be the one. */
function shortPlan(log: LogKind): Plan {
  const plan = planOf(1);
  const all = { groups: ["balance", "threshold", "flagger"], serves: true };
  const operations = plan.operations.filter(({ kind }) => kind !== "raw").slice(0, 8);
  return {
    ...{ ...plan, log, partitions: 2, processes: [all, all], faults: [], conditions: CALM },
    operations: operations.map((each, index) => ({ ...each, atMs: 2 * index })),
  };
}

test.each(["changelogs", "replay", "embedded"] as const)(
  "a crash or a pause at steps all over a short run changes nothing in the end (%s)",
  (log) => {
    const plan = shortPlan(log);
    const { steps } = simulate(plan);
    const every = Math.ceil(steps / (log === "embedded" ? 6 : 20));
    for (const kind of ["kill", "power cut", "pause"] as const) {
      for (let atStep = 1; atStep < steps; atStep += every) {
        const fault = { kind, atStep, process: atStep, forMs: 10_000 };
        expect(failureOf({ ...plan, faults: [fault] })).toBeNull();
      }
    }
  },
  DEADLINE_MS,
);
