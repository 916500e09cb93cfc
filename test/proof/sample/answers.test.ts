import { expect, test } from "bun:test";
import fc from "fast-check";
import { answerJson } from "../../../src/cli/answer-json.ts";
import { answersTo, eventsOf } from "../../../src/proof/sample/answers.ts";
import { sampleText } from "../../../src/proof/sample/sample-file.ts";
import { importRun } from "../../deposits/import-run.ts";
import { oracleVerdicts } from "../../detector/oracle.ts";
import { sampledRows, withoutRepeats } from "./sample-rows.ts";

const RULE = { windowMs: 120_000, limitMinor: 1_000_000n };

test("the answers are those of the rule by brute force", () => {
  const plan = { deposits: 4_000, wallets: 400, seed: 7 };
  const byWallet = Map.groupBy(withoutRepeats(sampledRows(plan)), ({ walletId }) => walletId);
  const expected = [...byWallet].flatMap(([walletId, rows]) => {
    const found = oracleVerdicts(rows, RULE).filter(({ exceeding }) => exceeding !== null);
    if (found.length === 0) return [];
    const openings = found.filter(({ opening }) => opening !== null);
    return [
      {
        walletId,
        eventCount: found.length,
        newestOrdinal: Math.max(...found.map(({ ordinal }) => ordinal)),
        openings: openings.map(({ ordinal, isLate, exceeding, opening }) => ({
          ordinal,
          isLate,
          exceeding,
          deposits: opening?.map((each) => rows[each - 1]?.id).slice(-100),
        })),
      },
    ];
  });
  expect(expected.length).toBeGreaterThan(10);
  const answers = [...answersTo(plan)].map(({ walletId, eventCount, newestOrdinal, episodes }) => ({
    walletId,
    eventCount,
    newestOrdinal,
    openings: episodes.map(({ opening: { entry, isLate, window, totalMinor, opening } }) => ({
      ordinal: entry.ordinal,
      isLate,
      exceeding: { ...window, totalMinor, count: opening?.count },
      deposits: opening?.deposits.map(({ id }) => id),
    })),
  }));
  const byName = (a: { walletId: string }, b: { walletId: string }) =>
    a.walletId < b.walletId ? -1 : 1;
  expect(answers.sort(byName)).toEqual(expected.sort(byName) as object[] as typeof answers);
});

test("what lies in no window over the limit may be left out of the question", () => {
  const deposit = fc.record({
    acceptedAtMs: fc.integer({ min: 0, max: 12 }).map((part) => part * 30_000),
    amountMinor: fc.integer({ min: 1, max: 600_000 }),
  });
  fc.assert(
    fc.property(fc.array(deposit, { minLength: 1, maxLength: 30 }), (history) => {
      const numbered = history.map((each, i) => ({ ...each, number: i + 1 }));
      const events = eventsOf(numbered).map(({ entry, window, totalMinor, isLate, episode }) => ({
        ordinal: entry.ordinal,
        endMs: window.endMs,
        totalMinor,
        isLate,
        episode,
      }));
      const arrived = history.map(({ acceptedAtMs, amountMinor }) => ({
        timeMs: acceptedAtMs,
        amountMinor: BigInt(amountMinor),
      }));
      const expected = oracleVerdicts(arrived, RULE).flatMap(
        ({ ordinal, exceeding, isLate, episode }) =>
          exceeding === null
            ? []
            : [{ ordinal, ...ofWindow(exceeding), isLate, episode }],
      );
      expect(events).toEqual(expected);
    }),
    { numRuns: 200 },
  );
});

function ofWindow({ endMs, totalMinor }: { readonly endMs: number; readonly totalMinor: bigint }) {
  return { endMs, totalMinor };
}

test("an imported sample is flagged as the answers say: wallets, episodes, windows", async () => {
  const plan = { deposits: 4_000, wallets: 400, seed: 1 };
  const run = await importRun();
  try {
    const imported = await run.import(run.file("deposits.csv", [...sampleText(plan)].join("")));
    expect(imported).toMatchObject({ rows: plan.deposits, conflicts: 0 });
    expect(imported.repeats).toBeGreaterThan(0);
    const { wallets, partitions, decimals } = run.app;
    const flagged = Array.from({ length: partitions }, (_, partition) => [
      ...wallets.flagged(partition),
    ]).flat();
    const answers = new Map([...answersTo(plan)].map((answer) => [answer.walletId, answer]));
    expect(flagged.map(({ walletId }) => walletId).sort()).toEqual([...answers.keys()].sort());
    for (const [walletId, answer] of answers) {
      const evidence = wallets.evidenceJson(walletId, wallets.evidence(walletId), decimals);
      expect(evidence).toMatchObject(answerJson(answer));
    }
  } finally {
    await run.close();
  }
});
