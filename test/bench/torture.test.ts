import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import type { DepositLog, LoggedDeposit, WalletLog } from "../../bench/torture/deposit-log.ts";
import { expectedWallets, judgeLog, judgeWallet } from "../../bench/torture/judgement.ts";
import { keyOf, Witness } from "../../bench/torture/witness.ts";
import {
  OperatorAction_Kind,
  OperatorActionSchema,
} from "../../src/gen/depositaja/v1/flag_wallet_pb.ts";
import { runBench } from "./program.ts";

/** Some ten seconds on a quiet machine. */
const TIMEOUT_MS = 180_000;

test(
  "kill -9 of any process under load loses nothing and counts nothing twice",
  async () => {
    const { exitCode, stdout } = await runBench(
      ...["torture.ts", "--only", "kills", "--kills", "6", "--minutes", "1"],
    );
    expect(exitCode, stdout).toBe(0);
    expect(stdout).toMatch(/^seed \d+: nothing lost, nothing twice, \d+ s$/m);
  },
  TIMEOUT_MS,
);

test("arguments that cannot be meant are refused at once", async () => {
  const wrong = [["--brokers", "own"], ["--only", "kill"], ["--kills", "0"], ["--minutes", "x"]];
  for (const args of wrong) {
    const { exitCode, stdout } = await runBench("torture.ts", ...args);
    expect([args, exitCode, stdout]).toEqual([args, 2, ""]);
  }
});

describe("the judgement", () => {
  const deposit = (over: Partial<LoggedDeposit> = {}): LoggedDeposit => {
    const first = { wallet: "w", id: "k1", amountMinor: 5n, timeMs: 1_000, position: "0-0" };
    return { ...first, ...over };
  };
  const logOf = (counted: LoggedDeposit[], held: Partial<WalletLog> = {}): DepositLog => ({
    wallets: new Map([["w", { counted, events: [], actions: [], ...held }]]),
    byPosition: new Map(counted.map((each) => [each.position, each])),
    firstOfId: new Map(
      counted.flatMap((each) => (each.id === null ? [] : [[keyOf(each.wallet, each.id), each]])),
    ),
    repeats: 0,
    conflicts: 0,
  });
  const answer = (position: string) => JSON.stringify({ position });
  const told = (position = "0-0", amountMinor = 5n): Witness => {
    const witness = new Witness();
    witness.told(witness.ask("w", "k1", amountMinor), answer(position));
    return witness;
  };

  test("finds nothing where nothing is wrong", () => {
    expect(judgeLog(logOf([deposit()]), told())).toEqual([]);
  });

  test("misses what was acknowledged and is not in the log", () => {
    expect(judgeLog(logOf([]), told())).toEqual(["k1: acknowledged, and not in the log"]);
    const unkeyed = new Witness();
    unkeyed.toldUnkeyed(unkeyed.askUnkeyed("w", 5n), answer("0-7"));
    expect(judgeLog(logOf([]), unkeyed)).toEqual(["w: the acknowledged 0-7 is not in the log"]);
  });

  test("sees another amount, another place, and two answers for one key", () => {
    expect(judgeLog(logOf([deposit()]), told("0-0", 6n))).toHaveLength(1);
    expect(judgeLog(logOf([deposit()]), told("0-1"))).toHaveLength(1);
    const witness = told();
    const [known] = witness.keyed.values();
    if (known !== undefined) witness.told(known, `${answer("0-0")} `);
    expect(witness.problems).toHaveLength(1);
  });

  test("sees what nobody sent, what was refused, and what was written too often", () => {
    expect(judgeLog(logOf([deposit()]), new Witness())).toHaveLength(1);
    const refused = told();
    refused.refused.push({ wallet: "w", key: "k1" });
    expect(judgeLog(logOf([deposit()]), refused)).toEqual(["k1: refused, and in the log"]);
    const once = new Witness();
    once.askUnkeyed("w", 5n);
    const twice = [deposit({ id: null }), deposit({ id: null, position: "0-1" })];
    expect(judgeLog(logOf(twice), once)).toEqual(["w: 0-1 was written more often than sent"]);
  });

  test("sees an answer that stands before what was answered when it was sent", () => {
    const witness = new Witness();
    const first = witness.ask("w", "k1", 5n);
    const second = witness.ask("v", "k2", 5n);
    witness.told(first, answer("3-17"));
    witness.told(second, answer("3-16")); // sent before the first was answered
    expect(witness.problems).toEqual([]);
    witness.toldUnkeyed(witness.askUnkeyed("v", 5n), answer("4-0"));
    expect(witness.problems).toEqual([]);
    witness.toldUnkeyed(witness.askUnkeyed("v", 5n), answer("3-17"));
    const wrong = "3-17 was sent after 3-17 was answered, and stands before it";
    expect(witness.problems).toEqual([`v: ${wrong}`]);
  });

  test("sees a read that lacks what stands before its position, or has what nobody sent", () => {
    const witness = told();
    witness.toldUnkeyed(witness.askUnkeyed("w", 700_000n), answer("0-1"));
    witness.toldUnkeyed(witness.askUnkeyed("w", 700_000n), answer("0-2"));
    const read = (position: string, totalMinor: bigint, isFlagged: boolean) => {
      const before = witness.problems.length;
      const at = { wallet: "w", key: null, amountMinor: 0n, position };
      witness.sawAfter(at, { totalMinor, isFlagged });
      return witness.problems.slice(before);
    };
    expect(read("0-1", 700_005n, false)).toEqual([]);
    expect(read("0-1", 700_004n, false).join()).toContain("lacks some of 700005");
    expect(read("0-2", 1_400_005n, true)).toEqual([]);
    expect(read("0-2", 1_400_005n, false).join()).toContain("over the limit, and no flag");
    expect(read("0-2", 1_400_006n, true).join()).toContain("more than was ever sent");
    witness.operated.add("w");
    expect(read("0-2", 1_400_005n, false)).toEqual([]);
  });

  test("sees what was refused for now, and is in the log", () => {
    const witness = new Witness();
    witness.refusedUnkeyed(witness.askUnkeyed("w", 5n));
    const faults = judgeLog(logOf([deposit({ id: null })]), witness);
    expect(faults).toEqual(["w: 0-0 was written more often than sent"]);
  });

  test("sees a missing event, and an operator's action that is not there", () => {
    const over = deposit({ amountMinor: 1_000_001n });
    const faults = judgeLog(logOf([over]), told("0-0", 1_000_001n));
    expect(faults.join()).toContain("no event for deposit 1");
    const operated = told();
    operated.operatedOn("w", "case 17");
    expect(judgeLog(logOf([deposit()]), operated)).toHaveLength(1);
  });

  test("expects sums, flags and removals as published", () => {
    const over = deposit({ amountMinor: 1_000_001n });
    const removal = create(OperatorActionSchema, {
      kind: OperatorAction_Kind.REMOVE,
      seenOrdinal: 1n,
    });
    const [flagged] = expectedWallets(logOf([over]));
    const [removed] = expectedWallets(logOf([over], { actions: [removal] }));
    expect(flagged).toMatchObject({ totalMinor: 1_000_001n, count: 1, isFlagged: true });
    expect(removed).toMatchObject({ isFlagged: false, exceeding: [1], episodes: 1 });
    const right = { totalMinor: 1_000_001n, count: 1, isFlagged: true, eventCount: 1, episodes: 1 };
    if (flagged === undefined) throw new Error("no wallet");
    expect(judgeWallet(flagged, right, "a table")).toEqual([]);
    expect(judgeWallet(flagged, { ...right, isFlagged: false }, "a table")).toHaveLength(1);
    expect(judgeWallet(flagged, { totalMinor: 0n }, "an answer")).toHaveLength(1);
  });
});
