/** What callbacks and the engine count: in the progress, once for each record, for good. */

import { afterEach, expect, test } from "bun:test";
import { jsonCodec } from "../../src/stream/codec.ts";
import { defineGroup, input, type Stream } from "../../src/stream/group.ts";
import { createTester, type Tester } from "../../src/stream/tester.ts";
import { keyIn, memoryLog } from "./tally.ts";
import { rejection } from "../rejection.ts";

const numbers: Stream<number> = {
  topic: "numbers",
  codec: jsonCodec(),
  validate: (n) => (n < 0 ? "it is below zero" : null),
};

/** Counts odd numbers; a 7 fails after it was counted, while `fails`. */
function oddCounter(faults: { fails: boolean }) {
  return defineGroup({
    name: "odds",
    inputs: [
      input(
        numbers,
        (context, n) => {
          if (n % 2 === 1) context.count("odd");
          if (n === 7 && faults.fails) throw new Error("a seven");
        },
        { fingerprint: String },
      ),
    ],
    rows: [],
    counts: ["odd", "never"],
  });
}

let tester: Tester;
afterEach(() => tester.close());
const key = keyIn(1);
const counts = async () => (await tester.log.progress("odds", 1))?.counts;

test("counts are all there is, also after a failing rule, a restart and a lost store", async () => {
  const faults = { fails: true };
  tester = await createTester({ groups: [oddCounter(faults)], openLog: memoryLog() });
  await tester.send(numbers, { key, message: 1 }, { key, message: 2 }, { key, message: -3 });
  await tester.send(numbers, { key, message: 5, id: "five" }, { key, message: 5, id: "five" });
  await tester.settle();
  const first = { odd: 2, never: 0, dead_letters: 1, repeats: 1 };
  expect(await counts()).toEqual(first);
  await tester.send(numbers, { key, message: 4 }, { key, message: 7 });
  expect(await rejection(tester.settle())).toMatchObject({ code: "rule_failed" });
  expect(await counts()).toEqual(first);
  faults.fails = false;
  await tester.restart({ losesStores: true });
  await tester.settle();
  expect(await counts()).toEqual({ ...first, odd: 3 });
});

test("a store's place has none: a program that does not count takes it as it is", async () => {
  const group = oddCounter({ fails: false });
  tester = await createTester({ groups: [group], openLog: memoryLog() });
  await tester.send(numbers, { key, message: 1 });
  await tester.settle();
  const store = tester.stored(group, 1);
  const place = store?.progress();
  store?.close();
  expect(await counts()).toMatchObject({ odd: 1 });
  expect(place?.inputs).toMatchObject([{ nextOffset: 1n }]);
  expect(place).not.toHaveProperty("counts");
});

test("a callback that counts what its group does not declare stops at its record", async () => {
  const group = defineGroup({
    name: "odds",
    inputs: [input(numbers, (context) => context.count("odd"))],
    rows: [],
  });
  tester = await createTester({ groups: [group], openLog: memoryLog() });
  await tester.send(numbers, { key, message: 1 });
  expect(await rejection(tester.settle())).toMatchObject({ cause: { code: "undeclared" } });
  const taken = { name: "g", inputs: [], rows: [], counts: ["repeats"] };
  const inputs = [input(numbers, () => {})];
  expect(() => defineGroup({ ...taken, inputs })).toThrow("the engine counts repeats itself");
});
