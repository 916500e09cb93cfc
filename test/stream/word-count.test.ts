import { afterEach, expect, test } from "bun:test";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import { jsonCodec } from "../../src/stream/codec.ts";
import { defineGroup, input, type RowKind, type Stream } from "../../src/stream/group.ts";
import { createTester, type Tester } from "../../src/stream/tester.ts";

const lines: Stream<string> = { topic: "lines", codec: jsonCodec(), validate: () => null };
const words: Stream<string> = { topic: "words", codec: jsonCodec(), validate: () => null };
const counts: RowKind<number> = { name: "count", tag: 1, codec: jsonCodec() };

const split = defineGroup({
  name: "split",
  inputs: [
    input(lines, (context, line) => {
      for (const word of line.toLowerCase().match(/\w+/g) ?? []) context.emit(words, word, word);
    }),
  ],
  outputs: [words],
  rows: [],
});
const count = defineGroup({
  name: "count",
  inputs: [input(words, (context) => context.set(counts, (context.get(counts) ?? 0) + 1))],
  rows: [counts],
});

let tester: Tester;
afterEach(() => tester.close());

test("counts words over partitions, and again after a lost store", async () => {
  tester = await createTester({
    groups: [split, count],
    openLog: (nowMs) => openEmbeddedLog({ folder: ":memory:", create: true, nowMs }),
  });
  const sent = ["To be, or not to be", "be"];
  await tester.send(lines, ...sent.map((message) => ({ key: message, message })));
  await tester.settle();
  const seen = () => Object.fromEntries(tester.rows(count, counts).map((r) => [r.key, r.value]));
  expect(seen()).toEqual({ to: 2, be: 3, or: 1, not: 1 });

  await tester.restart({ losesStores: true });
  await tester.settle();
  expect(seen()).toEqual({ to: 2, be: 3, or: 1, not: 1 });
});
