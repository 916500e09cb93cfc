import { expect, test } from "bun:test";
import fc from "fast-check";
import { balanceRow } from "../../src/collector/balance-row.ts";
import { balanceGroup } from "../../src/collector/collector.ts";
import { depositStream, newDeposit } from "../../src/deposits/deposit.ts";
import { thresholdGroup } from "../../src/detector/detector.ts";
import { FIRST_WINDOW_MS as WINDOW_MS } from "../../src/detector/window-rows.ts";
import { flagRow, isFlagged } from "../../src/flagger/flag-rows.ts";
import { flagWalletStream } from "../../src/flagger/flag-wallet.ts";
import { flaggerGroup } from "../../src/flagger/flagger.ts";
import type { FlagWallet } from "../../src/gen/depositaja/v1/flag_wallet_pb.ts";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import { createTester } from "../../src/stream/tester.ts";
import { oracleVerdicts } from "./oracle.ts";

/** The three groups on the engine's own tasks and stores, with restarts, against the oracle. */

const RULE = { windowMs: WINDOW_MS, limitMinor: 1_000_000n };
const BASE_MS = 1_790_000_000_000;

const sent = fc.record({
  wallet: fc.constantFrom("ana", "ben", "eve"),
  timeMs: fc.oneof(
    fc.integer({ min: BASE_MS, max: BASE_MS + 4 * WINDOW_MS }),
    fc.integer({ min: 0, max: 8 }).map((halves) => BASE_MS + halves * (WINDOW_MS / 2)),
  ),
  amountMinor: fc.bigInt({ min: 1n, max: 150_000n }),
  /** Few, so that they repeat, with one amount or another. */
  id: fc.option(fc.constantFrom("1", "2", "3", "4", "5"), { freq: 2 }),
});

/** What is sent before each restart; `losesStores` tells which kind that is. */
const parts = fc.array(
  fc.record({
    deposits: fc.array(sent, { minLength: 20, maxLength: 90, size: "max" }),
    losesStores: fc.boolean(),
  }),
  { minLength: 2, maxLength: 3 },
);

const NUM_RUNS = 25;

test("balances, events and flags are the oracle's, over restarts and lost stores", async () => {
  await fc.assert(
    fc.asyncProperty(parts, async (inParts) => {
      const thresholds = thresholdGroup({ decimals: 2, maxBlockEntries: 3 });
      const tester = await createTester({
        groups: [balanceGroup, thresholds, flaggerGroup],
        openLog: (nowMs) => openEmbeddedLog({ folder: ":memory:", create: true, nowMs }),
        startMs: BASE_MS + 10 * WINDOW_MS,
        partitions: 2,
      });
      try {
        for (const { deposits, losesStores } of inParts) {
          const emissions = deposits.map(({ wallet, timeMs, amountMinor, id }) => {
            return { key: wallet, id, message: newDeposit({ amountMinor, acceptedAtMs: timeMs }) };
          });
          await tester.send(depositStream, ...emissions);
          await tester.settle();
          await tester.restart({ losesStores });
        }
        await tester.settle();
        const events = await tester.messages(flagWalletStream);
        const all = inParts.flatMap(({ deposits }) => deposits);
        let conflicts = 0;
        for (const wallet of ["ana", "ben", "eve"]) {
          const counted = countedOnce(all.filter((one) => one.wallet === wallet));
          conflicts += counted.conflicts;
          const verdicts = oracleVerdicts(counted.deposits, RULE);
          const exceeding = verdicts.filter((verdict) => verdict.exceeding !== null);
          const emitted = events.filter(({ key }) => key === wallet).map(({ message }) => message);
          expect(emitted.map(summaryOf)).toEqual(
            exceeding.map(({ ordinal, isLate, episode, exceeding: window }) => ({
              ordinal,
              isLate,
              episode,
              endMs: window?.endMs as number,
              totalMinor: window?.totalMinor as bigint,
            })),
          );
          expect(isFlagged(tester.row(flaggerGroup, wallet, flagRow))).toBe(exceeding.length > 0);
          const balance = tester.row(balanceGroup, wallet, balanceRow);
          const total = counted.deposits.reduce((sum, { amountMinor }) => sum + amountMinor, 0n);
          expect(balance?.totalMinor ?? 0n).toBe(total);
        }
        expect((await tester.deadLetters(thresholds)).length).toBe(conflicts);
      } finally {
        await tester.close();
      }
    }),
    { numRuns: NUM_RUNS, endOnFailure: true },
  );
}, 60_000);

/** The first deposit of each id counts; one of another amount is a conflict, else a repeat. */
function countedOnce<D extends { readonly id: string | null; readonly amountMinor: bigint }>(
  sentOnes: readonly D[],
): { deposits: D[]; conflicts: number } {
  const amounts = new Map<string, bigint>();
  const deposits: D[] = [];
  let conflicts = 0;
  for (const one of sentOnes) {
    const first = one.id === null ? undefined : amounts.get(one.id);
    if (first === undefined) {
      if (one.id !== null) amounts.set(one.id, one.amountMinor);
      deposits.push(one);
    } else if (first !== one.amountMinor) conflicts++;
  }
  return { deposits, conflicts };
}

function summaryOf({ kind }: FlagWallet) {
  if (kind.case !== "event") throw new Error("the detector emitted no event");
  const { deposit, isLate, episode, windowEndMs, totalMinor } = kind.value;
  return {
    ordinal: Number(deposit?.ordinal),
    isLate,
    episode: Number(episode),
    endMs: Number(windowEndMs),
    totalMinor: BigInt(totalMinor),
  };
}
