import { describe, expect, test } from "bun:test";
import { sampleText } from "../../../src/proof/sample/sample-file.ts";
import { oracleIsFlagged } from "../../detector/oracle.ts";
import { type SampledRow, sampledRows, withoutRepeats } from "./sample-rows.ts";

const PLAN = { deposits: 5_000, wallets: 500, seed: 1 };
const RULE = { windowMs: 120_000, limitMinor: 1_000_000n };
const rows = sampledRows(PLAN);
const GOLDEN = "1dce9f6ad3e811260460005f020e358611689890590f357b54edeaed78640679";

describe("a sample", () => {
  test("is the same for the same seed, and another one for another", () => {
    expect(sha256Of(PLAN)).toBe(sha256Of(PLAN));
    expect(sha256Of({ ...PLAN, seed: 2 })).not.toBe(sha256Of(PLAN));
    // Whoever kept answers can use them with a later version.
    expect(sha256Of(PLAN)).toBe(GOLDEN);
  });

  test("has as many rows as wanted, of as many wallets", () => {
    for (const [deposits, wallets] of [
      [1, 1],
      [7, 100_000],
      [1_000, 1],
      [2_500, 10],
      [5_000, 500],
    ] as const) {
      const own = sampledRows({ deposits, wallets, seed: 3 });
      expect({ wallets, rows: own.length }).toEqual({ wallets, rows: deposits });
      const found = new Set(own.map(({ walletId }) => walletId)).size;
      expect(found).toBeLessThanOrEqual(wallets);
    }
    expect(new Set(rows.map(({ walletId }) => walletId)).size).toBe(PLAN.wallets);
  });

  test("has busy and quiet wallets, days and nights, late rows, equal times and repeats", () => {
    const sizes = [...Map.groupBy(rows, ({ walletId }) => walletId).values()]
      .map((own) => own.length)
      .sort((a, b) => b - a);
    expect(sizes[0]).toBeGreaterThan(20 * (sizes[PLAN.wallets / 2] as number));
    const hours = Map.groupBy(rows, ({ timeMs }) => new Date(timeMs).getUTCHours());
    expect(hours.get(18)?.length).toBeGreaterThan(10 * (hours.get(3)?.length ?? 0));
    let newestMs = 0;
    const late = rows.filter(({ timeMs }) => {
      newestMs = Math.max(newestMs, timeMs);
      return timeMs < newestMs;
    });
    expect(late.length).toBeGreaterThan(20);
    expect(late.length).toBeLessThan(PLAN.deposits / 20);
    expect(countOf(rows, ({ walletId, timeMs }) => `${walletId} ${timeMs}`)).toBeGreaterThan(20);
    const repeats = rows.length - withoutRepeats(rows).length;
    expect(repeats).toBeGreaterThan(5);
    // The same id never has another amount: an import of it ends without a conflict.
    const amounts = new Set(rows.map((row) => `${row.walletId} ${row.id} ${row.amountMinor}`));
    expect(rows.length - amounts.size).toBe(repeats);
  });

  test("is hard: whoever reads the rule wrongly flags other wallets", () => {
    const right = flagged(withoutRepeats(rows), RULE);
    expect(right.length).toBeGreaterThan(10);
    expect(right.length).toBeLessThan(PLAN.wallets / 10);
    const newest = new Map<string, number>();
    const inOrder = withoutRepeats(rows).filter(({ walletId, timeMs }) => {
      const before = newest.get(walletId) ?? 0;
      newest.set(walletId, Math.max(before, timeMs));
      return timeMs >= before;
    });
    const wrong = {
      "repeats counted": flagged(rows, RULE),
      "late ones left out": flagged(inOrder, RULE),
      "at the limit": flagged(withoutRepeats(rows), { ...RULE, limitMinor: 999_999n }),
      "a closed window": flagged(withoutRepeats(rows), { ...RULE, windowMs: 120_001 }),
      "a shorter window": flagged(withoutRepeats(rows), { ...RULE, windowMs: 119_999 }),
      "a cent less": flagged(withoutRepeats(rows), { ...RULE, limitMinor: 1_000_001n }),
    };
    for (const [mistake, wallets] of Object.entries(wrong)) {
      expect({ mistake, isRight: Bun.deepEquals(wallets, right) }).toEqual({
        mistake,
        isRight: false,
      });
    }
  });
});

function sha256Of(plan: typeof PLAN): string {
  const hasher = new Bun.CryptoHasher("sha256");
  for (const text of sampleText(plan)) hasher.update(text);
  return hasher.digest("hex");
}

function flagged(own: readonly SampledRow[], rule: typeof RULE): string[] {
  return [...Map.groupBy(own, ({ walletId }) => walletId)]
    .filter(([, deposits]) => oracleIsFlagged(deposits, rule))
    .map(([walletId]) => walletId)
    .sort();
}

/** How many share their name with another. */
function countOf(own: readonly SampledRow[], nameOf: (row: SampledRow) => string): number {
  const groups = [...Map.groupBy(own, nameOf).values()];
  return groups.filter((group) => group.length > 1).flat().length;
}
