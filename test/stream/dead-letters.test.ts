import { afterEach, describe, expect, test } from "bun:test";
import { MAX_RECORD_BYTES, type NewRecord } from "../../src/log/event-log.ts";
import { type Codec, jsonCodec } from "../../src/stream/codec.ts";
import { toMark } from "../../src/stream/dead-letter-mark.ts";
import type { Replay } from "../../src/stream/dead-letter-replay.ts";
import {
  createDeadLetters,
  type DeadLetters,
  type FullLetter,
} from "../../src/stream/dead-letters.ts";
import {
  defineGroup,
  type Group,
  input,
  type RowKind,
  type Stream,
} from "../../src/stream/group.ts";
import type { Position } from "../../src/stream/position.ts";
import { createTester, type Tester } from "../../src/stream/tester.ts";
import { defineTopology } from "../../src/stream/topology.ts";
import { keyIn, memoryLog } from "./tally.ts";

/** A fault of codec and validation, until a test mends it. */
let isMended = false;

const faultyCodec: Codec<number> = {
  ...jsonCodec<number>(),
  decode: (bytes) => {
    const text = Buffer.from(bytes).toString();
    if (!isMended && text.startsWith("+")) throw new Error("a sign is not known");
    return JSON.parse(text.replace("+", "")) as number;
  },
};
const amounts: Stream<number> = {
  topic: "amounts",
  codec: faultyCodec,
  validate: (n) => (!isMended && n > 100 ? `${n} is too much` : null),
};
const sums: RowKind<number> = { name: "sum", tag: 1, codec: jsonCodec() };
const group = (name: string, options: { fingerprint?: (n: number) => string }): Group =>
  defineGroup({
    name,
    inputs: [
      input(amounts, (context, n) => context.set(sums, (context.get(sums) ?? 0) + n), options),
    ],
    rows: [sums],
  });
const first = group("first", { fingerprint: String });
const second = group("second", { fingerprint: String });
/** Counts no ids, and so takes what conflicts. */
const plain = group("plain", {});
const groups = [first, second, plain];

const [key, other] = [keyIn(1), keyIn(2)];
const by = { actor: "ann", reason: "mended" };
let tester: Tester;
let desk: DeadLetters;
afterEach(async () => {
  isMended = false;
  await tester.close();
});

async function start(): Promise<void> {
  tester = await createTester({ groups, openLog: memoryLog(), startMs: 1_000 });
  const views = Object.fromEntries(
    groups.map((each) => [
      each.name,
      { id: (...of: Parameters<ReturnType<Tester["view"]>["id"]>) => tester.view(each).id(...of) },
    ]),
  );
  const topology = defineTopology(groups);
  const nowMs = () => tester.nowMs;
  desk = createDeadLetters({ log: tester.log, topology, partitions: 4, views, nowMs });
}

async function send(
  value: string,
  more: Partial<NewRecord> & { id?: string; of?: string } = {},
): Promise<Position> {
  const { id, of = key, ...place } = more;
  const headers: NewRecord["headers"] = [
    ...(place.headers ?? []),
    ...(id === undefined ? [] : [["id", Buffer.from(id)] as const]),
  ];
  const record = { topic: "amounts", partition: 1, key: Buffer.from(of), ...place, headers };
  const position = await tester.sendRaw({ value: Buffer.from(value), ...record });
  await tester.settle();
  return position;
}

async function letter(of: Group, position: Position): Promise<FullLetter> {
  const [found] = await desk.find(of.name, [{ topic: "amounts", ...position }]);
  expect(found?.record).not.toBeNull();
  return found as FullLetter;
}

async function replay(of: Group, position: Position, { newId = false } = {}): Promise<string> {
  const found = await letter(of, position);
  const plan = desk.plan(found, { newId });
  if (plan.kind === "refused") return plan.problem;
  if (plan.kind === "counted") {
    await desk.mark(found, by, plan.position);
    return "counted";
  }
  return replayAs(of, found, plan);
}

async function replayAs(of: Group, found: FullLetter, plan: Replay): Promise<string> {
  const at = await desk.replay(found, plan, by);
  await tester.settle();
  const [verdict] = await desk.verdicts(of.name, [{ replay: plan, at }]);
  return verdict?.kind ?? "none";
}

const totals = (of = key) => groups.map((each) => tester.row(each, of, sums) ?? 0);
const texts = (headers: NewRecord["headers"] = []) =>
  headers.map(([name, value]) => `${name}=${Buffer.from(value).toString()}`);
const openLetters = async (of: Group) => {
  const all = await Array.fromAsync(desk.list(of.name));
  return all.filter(({ marks }) => marks.length === 0).map(({ name }) => name);
};

describe("a letter is replayed once in each group that refused it, and in no other", () => {
  const REASONS: [string, () => Promise<Position>, { of?: string; newId?: boolean }][] = [
    ["undecodable", () => send("+7"), {}],
    ["undecodable", () => send("+7", { id: "x" }), {}],
    ["invalid_record", () => send("107"), {}],
    ["invalid_record", () => send("107", { id: "x" }), {}],
    ["wrong_partition", () => send("7", { of: other }), { of: other }],
    ["wrong_partition", () => send("7", { of: other, id: "x" }), { of: other }],
  ];
  for (const [reason, write, { of = key }] of REASONS) {
    test(`${reason}, ${write.toString().includes("id:") ? "an id" : "no id"}`, async () => {
      await start();
      const position = await write();
      const amount = reason === "invalid_record" ? 107 : 7;
      expect((await letter(first, position)).reason as string).toBe(reason);
      isMended = true;
      expect(totals(of)).toEqual([0, 0, 0]);
      expect(await replay(first, position)).toBe("taken");
      expect(totals(of)).toEqual([amount, 0, 0]);
      expect(await replay(second, position)).toBe("taken");
      expect(totals(of)).toEqual([amount, amount, 0]);
      for (const each of [first, second]) expect(await replay(each, position)).toBe("counted");
      expect(totals(of)).toEqual([amount, amount, 0]);
      expect(await openLetters(first)).toEqual([]);
      expect(await openLetters(plain)).toEqual([`amounts:1-${position.offset}`]);
      // Built anew by the mended rules, what was refused stays refused: it counts as replayed.
      for (const losesStores of [false, true]) {
        await tester.restart({ losesStores });
        await send("1", { of, partition: of === key ? 1 : 2 });
        expect(totals(of)[0]).toBe(amount + (losesStores ? 2 : 1));
      }
      expect(totals(of)).toEqual([amount + 2, amount + 2, 2]);
    });
  }

  test("id_conflict, under a new id; the group that had counted it passes it by", async () => {
    await start();
    await send("10", { id: "x" });
    const refused = await send("20", { id: "x" });
    expect(totals()).toEqual([10, 10, 30]);
    expect(await replay(first, refused)).toBe("id_conflict");
    expect(totals()).toEqual([10, 10, 30]);
    expect(await replay(first, refused, { newId: true })).toBe("taken");
    expect(totals()).toEqual([30, 10, 30]);
    expect(await replay(first, refused, { newId: true })).toBe("counted");
    expect(await replay(second, refused, { newId: true })).toBe("taken");
    await tester.restart({ losesStores: true });
    await send("20", { id: "x" });
    expect(totals()).toEqual([30, 30, 50]);
  });

  test("a client's retries of what conflicts are one record under the new id", async () => {
    await start();
    await send("10", { id: "x" });
    const retries = [await send("20", { id: "x" }), await send("20", { id: "x" })];
    const another = await send("30", { id: "x" });
    const [a, b] = retries as [Position, Position];
    expect(await replay(first, b, { newId: true })).toBe("taken");
    expect(await replay(first, a, { newId: true })).toBe("counted");
    expect(await replay(first, another, { newId: true })).toBe("taken");
    expect(totals()).toEqual([60, 10, 80]);
    expect(await openLetters(first)).toEqual([]);
  });
});

describe("nothing is replayed that", () => {
  test.each<[string, string, NewRecord["headers"]]>([
    ["undecodable", "+7", []],
    ["undecodable", "7", [["id", Uint8Array.of(0xff)]]],
    ["invalid_record", "107", []],
  ])("would be refused again as %s", async (reason, value, headers = []) => {
    await start();
    const position = await send(value, { headers });
    const end = (await tester.log.bounds("amounts", 1)).end;
    expect(await replay(first, position)).toBe(reason);
    expect(await replay(first, position, { newId: true })).toBe(reason);
    expect((await tester.log.bounds("amounts", 1)).end).toBe(end);
    expect(await openLetters(first)).toEqual([`amounts:1-${position.offset}`]);
  });

  test("was sent again and counted meanwhile", async () => {
    await start();
    const position = await send("+7", { id: "x" });
    isMended = true;
    const again = await send("7", { id: "x" });
    const plan = desk.plan(await letter(first, position), { newId: false });
    expect(plan).toEqual({ kind: "counted", id: "x", position: again });
    expect(totals()).toEqual([7, 7, 7]);
  });

  test("has an id of its own that is free, as another", async () => {
    await start();
    const position = await send("+7", { id: "x" });
    isMended = true;
    expect(await replay(first, position, { newId: true })).toBe("id_is_free");
    expect(totals()).toEqual([0, 0, 0]);
  });

  test("was replayed before, where a group counts no ids", async () => {
    await start();
    const position = await send("+7");
    isMended = true;
    expect(await replay(plain, position)).toBe("taken");
    expect(await replay(plain, position)).toBe("unwritable");
    expect(totals()).toEqual([0, 0, 7]);
  });

  test("is too large with the headers of a replay, or is gone", async () => {
    await start();
    const value = `+7${" ".repeat(MAX_RECORD_BYTES - key.length - 2)}`;
    const position = await send(value);
    isMended = true;
    expect(await replay(first, position)).toBe("unwritable");
    const gone = await tester.sendRaw({
      ...{ topic: "first-dead-letters", partition: 1, key: new Uint8Array(), value: null },
      headers: Object.entries({ topic: "amounts", partition: "1", offset: "99", reason: "x" }).map(
        ([name, text]) => [`dead-letter-${name}`, Buffer.from(text)],
      ),
    });
    expect(gone.offset).toBe(1n);
    const place = { topic: "amounts", partition: 1, offset: 99n };
    expect(await desk.find("first", [place])).toMatchObject([{ record: null, reason: "x" }]);
  });
});

describe("a replay", () => {
  test("of a record too large for a copy takes it from where it stood", async () => {
    await start();
    const value = `+7${" ".repeat(MAX_RECORD_BYTES - 1_000)}`;
    const position = await send(value, { id: "x" });
    const [listed] = await Array.fromAsync(desk.list("first"));
    expect(listed?.record).toBeNull();
    isMended = true;
    expect(await replay(first, position)).toBe("taken");
    expect(totals()).toEqual([7, 0, 0]);
  });

  test("keeps the record's headers, and has one id and one group", async () => {
    await start();
    const headers: NewRecord["headers"] = [
      ["a", Buffer.from("1")],
      ["dead-letter-reason", Buffer.from("mine")],
      ["id", Buffer.from("x")],
      ["id", Buffer.from("y")],
      ["for-group", Buffer.from("first")],
      ["for-group", Buffer.from("second")],
    ];
    const found = await letter(first, await send("+7", { headers }));
    expect(texts(found.record.headers).sort()).toEqual(texts(headers).sort());
    isMended = true;
    const plan = desk.plan(found, { newId: false }) as Replay;
    expect(texts(plan.record.headers)).toEqual([
      "a=1",
      "dead-letter-reason=mine",
      "id=x",
      "for-group=first",
    ]);
    const free = await letter(first, await send("7", { of: other }));
    const placed = desk.plan(free, { newId: false }) as Replay;
    expect([placed.id, placed.record.partition]).toEqual([free.name, 2]);
  });

  test("that a crash parted from its mark leaves the letter open, and counts once", async () => {
    await start();
    const position = await send("+7");
    isMended = true;
    const plan = desk.plan(await letter(first, position), { newId: false }) as Replay;
    await tester.log.append([plan.record]);
    await tester.settle();
    expect(await openLetters(first)).toHaveLength(1);
    expect(await replay(first, position)).toBe("counted");
    expect(totals()).toEqual([7, 0, 0]);
  });

  test("of two operators at once counts once, and the second hears of it", async () => {
    await start();
    const found = await letter(first, await send("+7"));
    isMended = true;
    const plan = desk.plan(found, { newId: false }) as Replay;
    expect(await replayAs(first, found, plan)).toBe("taken");
    expect(await replayAs(first, found, plan)).toBe("repeat");
    expect(totals()).toEqual([7, 0, 0]);
  });

  test("that the group refuses again is told, and is a letter of its own", async () => {
    await start();
    const found = await letter(first, await send("+7"));
    isMended = true;
    const plan = desk.plan(found, { newId: false }) as Replay;
    isMended = false; // the group that runs is of the old version still
    expect(await replayAs(first, found, plan)).toBe("refused_again");
    expect(await openLetters(first)).toEqual(["amounts:1-1"]);
    isMended = true;
    expect(await replay(first, { partition: 1, offset: 1n })).toBe("taken");
    expect(await replay(first, found)).toBe("counted");
    expect(totals()).toEqual([7, 0, 0]);
  });
});

describe("letters", () => {
  test("are listed with what was done about them, by name, time and record", async () => {
    await start();
    await send("1");
    tester.nowMs = 2_000;
    const position = await send("107", { id: "x" });
    tester.nowMs = 3_000;
    await desk.mark(await letter(first, position), { actor: "ben", reason: "a test" }, null);
    const marks = [{ how: "dropped", actor: "ben", reason: "a test", atMs: 3_000, as: null }];
    expect(await Array.fromAsync(desk.list("first"))).toMatchObject([
      {
        ...{ group: "first", name: "amounts:1-1", topic: "amounts", partition: 1, offset: 1n },
        ...{ reason: "invalid_record", detail: "107 is too much", refusedAtMs: 2_000, marks },
      },
    ]);
    expect(await openLetters(second)).toEqual(["amounts:1-1"]);
    expect((await tester.deadLetters(first)).length).toBe(1);
    expect(desk.read(await letter(second, position))).toEqual({
      type: "json",
      message: 107,
      problem: "invalid_record: 107 is too much",
    });
  });

  test("are not taken for marks, whatever headers their records have", async () => {
    await start();
    const place = { topic: "amounts", partition: 1, offset: 0n };
    const mark = { how: "dropped", actor: "eve", reason: "", atMs: 0, as: null } as const;
    const { headers } = toMark(first, place, mark);
    await send("107", { headers });
    expect(await openLetters(first)).toEqual(["amounts:1-0"]);
  });

  test.each<[string, object | null]>([
    ["1-7", { topic: "amounts", partition: 1, offset: 7n }],
    ["amounts:1-7", { topic: "amounts", partition: 1, offset: 7n }],
    ["a:b:3-0", { topic: "a:b", partition: 3, offset: 0n }],
    ["4-7", null],
    ["1-07", null],
    ["amounts", null],
    ["", null],
  ])("%s names a record, or does not", async (name, place) => {
    await start();
    expect(desk.place("first", name)).toEqual(place as never);
    expect(await desk.find("first", [{ topic: "amounts", partition: 1, offset: 7n }])).toEqual([
      null,
    ]);
  });

  test.each<[string, string, RegExp | null]>([
    ["ann", "", null],
    ["", "why", /must not be empty/],
    ["ann\n", "", /name must be plain text/],
    ["ann", "\u001b[2J", /reason must be plain text/],
    ["a".repeat(129), "", /129 UTF-8 bytes; at most 128/],
    ["ann", "é".repeat(501), /1002 UTF-8 bytes; at most 1000/],
  ])("%j with reason %j can stand in a mark, or not", async (actor, reason, problem) => {
    await start();
    const found = desk.operatorProblem({ actor, reason });
    if (problem === null) expect(found).toBeNull();
    else expect(found).toMatch(problem);
  });
});
