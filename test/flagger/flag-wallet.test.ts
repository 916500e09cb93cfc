import { describe, expect, test } from "bun:test";
import {
  actorProblem,
  flagWalletStream,
  newAction,
  reasonProblem,
} from "../../src/flagger/flag-wallet.ts";
import type {
  FlagEvent,
  FlagWallet,
  OperatorAction_Kind,
} from "../../src/gen/depositaja/v1/flag_wallet_pb.ts";
import type { RecordInfo } from "../../src/stream/group.ts";
import { event } from "./flag-messages.ts";

const record: RecordInfo = {
  key: "wallet",
  topic: "flag_wallet",
  partition: 3,
  offset: 0n,
  timestampMs: 1_790_000_000_000,
  id: null,
};
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

function changed(change: (value: FlagEvent) => void): FlagWallet {
  const message = event({ ordinal: 4, episode: 1, isOpening: true });
  if (message.kind.case !== "event") throw new Error("no event");
  change(message.kind.value);
  return message;
}

describe("the flag_wallet stream", () => {
  test("lets in what the detector and operators write", () => {
    for (const message of [
      event({ ordinal: 4, episode: 1, isOpening: true, clientId: "order-7" }),
      event({ ordinal: 5, episode: 1, isLate: true }),
      newAction({ kind: "add", actor: "ana", reason: "", atMs: 0 }),
      newAction({
        kind: "remove",
        actor: "x".repeat(128),
        reason: "y".repeat(1_000),
        atMs: 1,
        seenOrdinal: 0,
      }),
      newAction({ kind: "remove", actor: "ana", reason: "", atMs: 1, seenOrdinal: 2 ** 53 - 1 }),
    ]) {
      expect(flagWalletStream.validate(message, record)).toBeNull();
      const again = flagWalletStream.codec.decode(flagWalletStream.codec.encode(message));
      expect(again).toEqual(message);
    }
  });

  const bad: [string, FlagWallet, string][] = [
    ["neither", { ...event({ ordinal: 1, episode: 1 }), kind: { case: undefined } }, "neither"],
    ["no deposit", changed((e) => delete e.deposit), "without its deposit"],
    ["ordinal 0", event({ ordinal: 0, episode: 1 }), "not a count from 1"],
    ["episode 0", event({ ordinal: 1, episode: 0 }), "episode 0"],
    [
      "a huge ordinal",
      changed((e) => void (e.deposit && (e.deposit.ordinal = 2n ** 53n))),
      "ordinal",
    ],
    [
      "a window that ends before it starts",
      changed((e) => void (e.windowEndMs = -70_001n)),
      "no window",
    ],
    ["a window far off", changed((e) => void (e.windowStartMs = -(2n ** 60n))), "no window"],
    ["a total in words", changed((e) => void (e.totalMinor = "much")), "decimal digits"],
    ["a negative total", changed((e) => void (e.totalMinor = "-1")), "decimal digits"],
    ["an endless total", changed((e) => void (e.totalMinor = "9".repeat(65))), "decimal digits"],
    ["no limit", changed((e) => void (e.limitMinor = "")), "decimal digits"],
    [
      "a bad position",
      changed((e) => void (e.deposit && (e.deposit.position = "17"))),
      "not a position",
    ],
    ["no amount", changed((e) => void (e.deposit && (e.deposit.amountMinor = 0n))), "more than 0"],
    [
      "a negative time",
      changed((e) => void (e.deposit && (e.deposit.acceptedAtMs = -1n))),
      "not a time",
    ],
    ["an empty client id", changed((e) => void (e.deposit && (e.deposit.clientId = ""))), "empty"],
    ["a long rule id", changed((e) => void (e.ruleId = "r".repeat(101))), "rule_id"],
    [
      "a bad deposit in the list",
      changed(
        (e) => void (e.opening && e.opening.deposits[0] && (e.opening.deposits[0].ordinal = 0n)),
      ),
      "not a count from 1",
    ],
    [
      "101 deposits in the list",
      changed(
        (e) => void (e.opening && e.deposit && (e.opening.deposits = Array(101).fill(e.deposit))),
      ),
      "at most 100",
    ],
    [
      "no actor",
      newAction({ kind: "add", actor: "", reason: "", atMs: 1 }),
      "actor must not be empty",
    ],
    [
      "a long actor",
      newAction({ kind: "add", actor: "x".repeat(129), reason: "", atMs: 1 }),
      "actor has 129",
    ],
    [
      "a long reason",
      newAction({ kind: "add", actor: "a", reason: "x".repeat(1_001), atMs: 1 }),
      "reason has",
    ],
    [
      "a time before 1970",
      newAction({ kind: "add", actor: "a", reason: "", atMs: -1 }),
      "not a time",
    ],
    [
      "a negative coverage",
      newAction({ kind: "remove", actor: "a", reason: "", atMs: 1, seenOrdinal: -1 }),
      "not a count",
    ],
  ];
  test.each(bad)("refuses %s", (_, message, problem) => {
    expect(flagWalletStream.validate(message, record)).toContain(problem);
  });

  test("refuses an action of a kind that is not known, and a key that is no wallet id", () => {
    const action = newAction({ kind: "add", actor: "a", reason: "", atMs: 1 });
    if (action.kind.case === "action") action.kind.value.kind = 7 as OperatorAction_Kind;
    expect(flagWalletStream.validate(action, record)).toContain("kind 7");
    const add = newAction({ kind: "add", actor: "a", reason: "", atMs: 1 });
    expect(flagWalletStream.validate(add, { ...record, key: "" })).toContain("wallet_id");
  });

  // The bytes are those that \`buf convert\` writes for the same messages in JSON.
  test("has the bytes that any protobuf client writes", () => {
    const add = newAction({ kind: "add", actor: "ana", reason: "odd", atMs: 7 });
    expect(hex(flagWalletStream.codec.encode(add))).toBe("120e08011203616e611a036f64642807");
    const remove = newAction({
      kind: "remove",
      actor: "ana",
      reason: "",
      atMs: 7,
      seenOrdinal: 300,
    });
    expect(hex(flagWalletStream.codec.encode(remove))).toBe("120c08021203616e6120ac022807");
    const opening = event({ ordinal: 4, episode: 1, isOpening: true, clientId: "a", isLate: true });
    expect(hex(flagWalletStream.codec.encode(opening))).toBe(
      [
        "0a91010a136465706f736974732d6f7665722d6c696d697410011890ddfbffffffffffff0120d086",
        "032a1f31303030303030303030303030303030303030303030303030303030303030320731303030",
        "3030303a120a05332d313034120161180420e0d70228044001480152270a0f0a05332d3130311801",
        "20a8c00228010a120a05332d313034120161180420e0d70228041002",
      ].join(""),
    );
  });
});

test("an actor has 1 to 128 bytes, a reason at most 1,000 and may be empty", () => {
  expect(actorProblem("ana")).toBeNull();
  expect(actorProblem("a\u0007")).toBe("actor must not have control characters");
  expect(reasonProblem("")).toBeNull();
  expect(reasonProblem("é".repeat(501))).toBe(
    "reason has 1002 UTF-8 bytes; at most 1000 are allowed",
  );
  expect(reasonProblem("a\ud800")).toContain("lone surrogate");
});
