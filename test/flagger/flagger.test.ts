import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { MAX_EPISODE_EVENTS, readEvents } from "../../src/flagger/episode-events.ts";
import {
  actionRow,
  episodeEventsRow,
  episodeOpeningRow,
  type FlagRow,
  flagRow,
  isFlagged,
  NO_FLAG,
  numberKey,
} from "../../src/flagger/flag-rows.ts";
import { newAction } from "../../src/flagger/flag-wallet.ts";
import { applyAction, applyEvent, flaggerGroup } from "../../src/flagger/flagger.ts";
import {
  type FlagWallet,
  OperatorAction_Kind,
} from "../../src/gen/depositaja/v1/flag_wallet_pb.ts";
import type { Input } from "../../src/stream/group.ts";
import { memoryContext } from "../stream/memory-context.ts";
import { event } from "./flag-messages.ts";

const [flagInput] = flaggerGroup.inputs as [Input<unknown>];

type Step = ["event", number] | ["add"] | ["remove", number];

function apply(row: FlagRow, step: Step): FlagRow {
  if (step[0] === "event") return applyEvent(row, { ordinal: step[1], episode: 1 });
  return applyAction(row, { kind: step[0], seenOrdinal: step[0] === "remove" ? step[1] : 0 });
}

describe("the flag: given these records, then flagged or not", () => {
  const cases: [string, Step[], boolean][] = [
    ["nothing happened", [], false],
    ["an event flags", [["event", 3]], true],
    [
      "more events keep it",
      [
        ["event", 3],
        ["event", 4],
      ],
      true,
    ],
    [
      "a removal that saw the event unflags",
      [
        ["event", 3],
        ["remove", 3],
      ],
      false,
    ],
    [
      "a removal that saw less does not",
      [
        ["event", 3],
        ["event", 5],
        ["remove", 3],
      ],
      true,
    ],
    [
      "the next event flags again",
      [
        ["event", 3],
        ["remove", 3],
        ["event", 4],
      ],
      true,
    ],
    [
      "a late event with a lower ordinal stays covered",
      [
        ["event", 5],
        ["remove", 5],
        ["event", 4],
      ],
      false,
    ],
    [
      "a lower ordinal after a higher hides nothing",
      [
        ["event", 5],
        ["event", 3],
        ["remove", 4],
      ],
      true,
    ],
    ["an add flags without an event", [["add"]], true],
    ["a removal ends an add", [["add"], ["remove", 0]], false],
    ["an add after a removal flags", [["event", 3], ["remove", 3], ["add"]], true],
    [
      "a removal of an add that saw no event keeps the event's flag",
      [["event", 3], ["add"], ["remove", 0]],
      true,
    ],
    ["coverage never shrinks", [["event", 3], ["remove", 3], ["add"], ["remove", 1]], false],
    [
      "a removal may cover what comes later",
      [
        ["remove", 3],
        ["event", 3],
      ],
      false,
    ],
    [
      "but not what is above",
      [
        ["remove", 3],
        ["event", 4],
      ],
      true,
    ],
  ];
  test.each(cases)("%s", (_, steps, flagged) => {
    const row = steps.reduce(apply, NO_FLAG);
    expect(isFlagged(row)).toBe(flagged);
  });

  test("a wallet without a row is not flagged", () => {
    expect(isFlagged(null)).toBe(false);
  });

  test("is the same in whatever order events and operators' records meet", () => {
    const events = fc.array(fc.integer({ min: 1, max: 6 }).map((n): Step => ["event", n]));
    const actions = fc.array(
      fc.oneof(
        fc.constant<Step>(["add"]),
        fc.integer({ min: 0, max: 6 }).map((n): Step => ["remove", n]),
      ),
    );
    fc.assert(
      fc.property(events, actions, fc.infiniteStream(fc.boolean()), (some, others, takesEvent) => {
        const merged: Step[] = [];
        const left = [...some];
        const right = [...others];
        for (const first of takesEvent) {
          const next = (first ? left : right).shift() ?? left.shift() ?? right.shift();
          if (next === undefined) break;
          merged.push(next);
        }
        const flagged = isFlagged([...some, ...others].reduce(apply, NO_FLAG));
        expect(isFlagged(merged.reduce(apply, NO_FLAG))).toBe(flagged);
      }),
    );
  });
});

describe("the flagger group", () => {
  test("keeps an episode's opening once, and counts what goes on with it", () => {
    const context = memoryContext("w");
    flagInput.callback(context, event({ ordinal: 4, episode: 1, isOpening: true }));
    flagInput.callback(context, event({ ordinal: 5, episode: 1 }));
    flagInput.callback(context, event({ ordinal: 9, episode: 2, isOpening: true }));
    context.reload();
    expect(context.get(flagRow)).toEqual({
      lastAction: null,
      highestOrdinal: 9,
      coveredOrdinal: 0,
      episode: 2,
      eventCount: 3,
      actionCount: 0,
    });
    const first = context.get(episodeOpeningRow, numberKey(1));
    expect(first?.opening?.deposits.map(({ ordinal }) => ordinal)).toEqual([1n, 4n]);
    const events = context.get(episodeEventsRow, numberKey(1));
    expect(events?.count).toBe(2);
    expect(readEvents(events ?? { count: 0, newest: [] })).toEqual([
      {
        windowStartMs: -70_000,
        windowEndMs: 50_000,
        totalMinor: 10n ** 30n,
        position: "3-105",
        clientId: null,
        amountMinor: 5n,
        acceptedAtMs: 45_000,
        ordinal: 5,
        isLate: false,
      },
    ]);
    expect(context.get(episodeEventsRow, numberKey(2))).toEqual({ count: 1, newest: [] });
  });

  test("keeps the newest 100 events of an episode, and their count", () => {
    const context = memoryContext("w");
    for (let ordinal = 1; ordinal <= 250; ordinal++) {
      const isOpening = ordinal === 1;
      const clientId = ordinal % 2 === 0 ? `id-${ordinal}` : undefined;
      flagInput.callback(
        context,
        event({ ordinal, episode: 1, isOpening, clientId, isLate: ordinal % 3 === 0 }),
      );
      if (ordinal % 50 === 0) context.reload();
    }
    const events = context.get(episodeEventsRow, numberKey(1));
    if (events === null) throw new Error("no events row");
    expect(events.count).toBe(250);
    const read = readEvents(events);
    expect(read.length).toBe(MAX_EPISODE_EVENTS);
    expect(read.map(({ ordinal }) => ordinal)).toEqual(
      Array.from({ length: 100 }, (_, i) => 151 + i),
    );
    expect(read.map(({ clientId }) => clientId).slice(0, 2)).toEqual([null, "id-152"]);
    expect(read.map(({ isLate }) => isLate).slice(0, 3)).toEqual([false, false, true]);
  });

  test("keeps each operator's action under its number", () => {
    const context = memoryContext("w");
    flagInput.callback(
      context,
      newAction({ kind: "add", actor: "ana", reason: "looks odd", atMs: 7 }),
    );
    flagInput.callback(
      context,
      newAction({ kind: "remove", actor: "ben", reason: "", atMs: 9, seenOrdinal: 12 }),
    );
    context.reload();
    expect(context.get(flagRow)).toEqual({
      ...NO_FLAG,
      lastAction: "remove",
      coveredOrdinal: 12,
      actionCount: 2,
    });
    const rows = context.range(actionRow).map(({ value }) => value);
    expect(
      rows.map(({ kind, actor, reason, seenOrdinal, atMs }) => ({
        kind,
        actor,
        reason,
        seenOrdinal,
        atMs,
      })),
    ).toEqual([
      {
        kind: OperatorAction_Kind.ADD,
        actor: "ana",
        reason: "looks odd",
        seenOrdinal: 0n,
        atMs: 7n,
      },
      { kind: OperatorAction_Kind.REMOVE, actor: "ben", reason: "", seenOrdinal: 12n, atMs: 9n },
    ]);
  });

  test("treats a second opening of an episode as one more event", () => {
    const context = memoryContext("w");
    flagInput.callback(context, event({ ordinal: 4, episode: 1, isOpening: true }));
    flagInput.callback(context, event({ ordinal: 6, episode: 1, isOpening: true }));
    expect(context.get(episodeOpeningRow, numberKey(1))?.deposit?.ordinal).toBe(4n);
    expect(context.get(episodeEventsRow, numberKey(1))?.count).toBe(2);
  });

  test("tells a retried action from another one", () => {
    const print = (message: FlagWallet) => flagInput.fingerprint?.(message);
    const action = { actor: "a", reason: "", atMs: 1 };
    const add = print(newAction({ kind: "add", ...action }));
    const remove = print(newAction({ kind: "remove", ...action, seenOrdinal: 3 }));
    const removeMore = print(newAction({ kind: "remove", ...action, seenOrdinal: 4 }));
    expect(new Set([add, remove, removeMore]).size).toBe(3);
    expect(print(newAction({ kind: "add", ...action, atMs: 2 }))).toBe(add as string);
  });

  test("touches three rows for an event, however many came before", () => {
    const context = memoryContext("w");
    for (let ordinal = 1; ordinal <= 300; ordinal++) {
      const before = { ...context.reads };
      flagInput.callback(context, event({ ordinal, episode: 1, isOpening: ordinal === 1 }));
      expect(context.reads.gets - before.gets).toBe(2);
      expect(context.reads.sets - before.sets).toBeLessThanOrEqual(3);
      expect(context.reads.ranges).toBe(0);
    }
  });
});

describe("the flagger's rows", () => {
  test("the flag row has these bytes", () => {
    const row: FlagRow = {
      lastAction: "remove",
      highestOrdinal: 300,
      coveredOrdinal: 7,
      episode: 2,
      eventCount: 5,
      actionCount: 1,
    };
    expect(Buffer.from(flagRow.codec.encode(row)).toString("hex")).toBe("0102ac0207020501");
    expect(() => flagRow.codec.decode(new Uint8Array([2]))).toThrow("format 2");
    expect(() => flagRow.codec.decode(new Uint8Array([1, 3, 0, 0, 0, 0, 0]))).toThrow(
      "unknown action",
    );
  });

  test("the events row has these bytes", () => {
    const context = memoryContext("w");
    const message = event({ ordinal: 5, episode: 1, clientId: "a", isLate: true });
    flagInput.callback(context, message);
    const row = context.get(episodeEventsRow, numberKey(1));
    if (row === null) throw new Error("no events row");
    expect(Buffer.from(episodeEventsRow.codec.encode(row)).toString("hex")).toBe(
      "01010123" +
        "dfc508c0a907" +
        "80808080a4bdbbbac6a0f3e4f293" +
        "0305332d31303503016105c8df0205",
    );
  });
});
