import { afterEach, describe, expect, test } from "bun:test";
import type { Headers } from "../../src/log/event-log.ts";
import { jsonCodec } from "../../src/stream/codec.ts";
import { isFor } from "../../src/stream/for-group.ts";
import {
  defineGroup,
  type Group,
  input,
  type RowKind,
  type Stream,
} from "../../src/stream/group.ts";
import { createTester, type Tester } from "../../src/stream/tester.ts";
import { keyIn, memoryLog } from "./tally.ts";

const words: Stream<string> = {
  topic: "words",
  codec: jsonCodec(),
  validate: (word) => (word === "bad" ? "it is bad" : null),
};
const copies: Stream<string> = { topic: "copies", codec: jsonCodec(), validate: () => null };
const seen: RowKind<string[]> = { name: "seen", tag: 1, codec: jsonCodec() };
const group = (name: string, outputs: Stream<string>[] = []): Group =>
  defineGroup({
    name,
    outputs,
    inputs: [
      input(
        words,
        (context, word) => {
          context.set(seen, [...(context.get(seen) ?? []), word]);
          for (const output of outputs) context.emit(output, context.record.key, word);
        },
        { fingerprint: (word) => word },
      ),
    ],
    rows: [seen],
  });
const groups = [group("a", [copies]), group("ab"), group("c")];
const key = keyIn(1);
const ALL = ["a", "ab", "c"];

/** The header's values, and which groups take a record with them. */
const TABLE: readonly (readonly [values: readonly (string | Uint8Array)[], takers: string[]])[] = [
  [[], ALL],
  [["a"], ["a"]],
  [["ab"], ["ab"]],
  [["a", "c"], ["a", "c"]],
  [["c", "a", "c"], ["a", "c"]],
  [["another"], []],
  [["A"], []],
  [["a,ab"], []],
  [["a "], []],
  [[""], []],
  [[Uint8Array.of(0xff)], []],
  [[Uint8Array.of(0xff), "c"], ["c"]],
];

const marks = (values: readonly (string | Uint8Array)[]): Headers =>
  values.map((value) => ["for-group", Buffer.from(value as string)]);

let tester: Tester;
afterEach(() => tester?.close());

async function start(): Promise<void> {
  tester = await createTester({ groups, openLog: memoryLog() });
}

function send(word: string, headers: Headers, more: { partition?: number } = {}) {
  const place = { topic: "words", partition: 1, key: Buffer.from(key), ...more };
  return tester.sendRaw({ ...place, value: Buffer.from(word), headers });
}

const wordsOf = (name: string) =>
  tester.row(groups.find((each) => each.name === name) as Group, key, seen) ?? [];

describe("a record is for the groups that its headers name, and for all without one", () => {
  for (const [values, takers] of TABLE) {
    const title = JSON.stringify(values.map(String));
    test(`${title}: ${takers.join(" and ") || "nobody"}`, async () => {
      const headers: Headers = [["x", Buffer.from("a")], ...marks(values), ["y", Buffer.from("b")]];
      expect(ALL.filter((name) => isFor({ name }, headers))).toEqual(takers);
      await start();
      await send('"first"', headers);
      await send('"last"', []);
      await tester.settle();
      for (const name of ALL) {
        expect(wordsOf(name)).toEqual(takers.includes(name) ? ["first", "last"] : ["last"]);
      }
      const copied = (await tester.messages(copies)).map(({ message }) => message);
      expect(copied).toEqual(wordsOf("a"));
    });
  }
});

describe("a group that passes a record by", () => {
  test.each<[string, string, { partition?: number }]>([
    ["undecodable", "{", {}],
    ["invalid_record", '"bad"', {}],
    ["wrong_partition", '"good"', { partition: 2 }],
  ])("does not refuse what is %s either", async (reason, value, more) => {
    await start();
    const { partition, offset } = await send(value, marks(["ab"]), more);
    await tester.settle();
    for (const each of groups) {
      const letters = await tester.deadLetters(each);
      expect(letters.map((letter) => letter.reason as string)).toEqual(
        each.name === "ab" ? [reason] : [],
      );
      const progress = await tester.log.progress(each.name, partition);
      expect(progress?.inputs[0]?.nextOffset).toBe(offset + 1n);
    }
  });

  test("does not take its id: a later record with it is counted there", async () => {
    await start();
    const id: Headers = [["id", Buffer.from("1")]];
    await send('"one"', [...id, ...marks(["a"])]);
    await send('"two"', id);
    await tester.settle();
    expect([wordsOf("a"), wordsOf("c")]).toEqual([["one"], ["two"]]);
    expect((await tester.deadLetters(groups[0] as Group)).map(({ reason }) => reason)).toEqual([
      "id_conflict",
    ]);
  });

  test("passes it by again when its store is built anew", async () => {
    await start();
    await send('"one"', marks(["a"]));
    await send('"two"', []);
    await tester.settle();
    const before = ALL.map(wordsOf);
    await tester.restart({ losesStores: true });
    await tester.settle();
    expect(ALL.map(wordsOf)).toEqual(before);
    expect(before).toEqual([["one", "two"], ["two"], ["two"]]);
  });
});

test("a record for one group counts its id once there, however often it is written", async () => {
  await start();
  const headers: Headers = [["id", Buffer.from("1")], ...marks(["c"])];
  await send('"one"', headers);
  await send('"one"', headers);
  await tester.settle();
  expect(ALL.map(wordsOf)).toEqual([[], [], ["one"]]);
});
