import { afterEach, describe, expect, test } from "bun:test";
import type { NewRecord } from "../../src/log/event-log.ts";
import { jsonCodec } from "../../src/stream/codec.ts";
import { CONTROL_HEADER, controlRecord } from "../../src/stream/control.ts";
import { createDeadLetters } from "../../src/stream/dead-letters.ts";
import {
  type Control,
  control,
  defineGroup,
  input,
  type RowKind,
  type RowReader,
  type Stream,
} from "../../src/stream/group.ts";
import { contentOf } from "../../src/stream/record-content.ts";
import { createTester, type Tester } from "../../src/stream/tester.ts";
import { defineTopology } from "../../src/stream/topology.ts";
import { keyIn, memoryLog } from "./tally.ts";
import { rejection } from "../rejection.ts";

/** Numbers are multiplied by a factor that controls set. */
const numbers: Stream<number> = {
  topic: "numbers",
  codec: jsonCodec(),
  validate: (n) => (typeof n === "number" ? null : "it is no number"),
};
const products: Stream<number> = { topic: "products", codec: jsonCodec(), validate: () => null };
const last: RowKind<number> = { name: "last", tag: 1, codec: jsonCodec() };
const factor: RowKind<number> = { name: "factor", tag: 2, codec: jsonCodec() };

const setFactor: Control<number> = {
  name: "factor",
  codec: jsonCodec(),
  apply: (context, to) => {
    if (to === 0) return "nothing is left of a number times 0";
    context.set(factor, to);
    return null;
  },
};

let derived = 0;
let fails = false;
const inForce = (rows: RowReader): number => {
  derived += 1;
  return rows.get(factor) ?? 1;
};

const scaled = defineGroup({
  name: "scaled",
  inputs: [
    input(
      numbers,
      (context, n) => {
        if (n === 13 && fails) throw new Error("13 brings bad luck");
        const product = n * context.ofPartition(inForce);
        context.set(last, product);
        context.emit(products, context.record.key, product);
      },
      { control: control(setFactor) },
    ),
  ],
  outputs: [products],
  rows: [last, factor],
});
const plain = defineGroup({
  name: "plain",
  inputs: [input(numbers, (context, n) => context.set(last, n))],
  rows: [last],
});

const PARTITIONS = 2;
const [here, there] = [keyIn(0, PARTITIONS), keyIn(1, PARTITIONS)];

let tester: Tester;
afterEach(() => tester.close());

async function begin(keepsChangelogs = false): Promise<void> {
  [derived, fails] = [0, false];
  const openLog = memoryLog({}, { keepsChangelogs });
  tester = await createTester({ groups: [scaled, plain], openLog, partitions: PARTITIONS });
}

async function send(key: string, ...all: number[]): Promise<void> {
  await tester.send(numbers, ...all.map((message) => ({ key, message })));
}

async function sendFactor(to: number, change: Partial<NewRecord> = {}): Promise<void> {
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const record = controlRecord({ topic: "numbers", partition }, setFactor, to);
    await tester.sendRaw({ ...record, ...change });
  }
}

async function productsOf(key: string): Promise<number[]> {
  await tester.settle();
  const all = await tester.messages(products);
  return all.filter((each) => each.key === key).map(({ message }) => message);
}

describe("a control record", () => {
  test("is in force for what stands behind it, in every partition", async () => {
    await begin();
    await send(here, 1, 2);
    await sendFactor(10);
    await send(here, 3);
    await send(there, 4);
    await sendFactor(100);
    await send(there, 5);
    expect(await productsOf(here)).toEqual([1, 2, 30]);
    expect(await productsOf(there)).toEqual([40, 500]);
    expect(await tester.deadLetters(scaled)).toEqual([]);
    const factors = [0, 1].map((partition) =>
      tester.view(scaled).readPartition(partition, (rows) => rows.get(factor)),
    );
    expect(factors).toEqual([100, 100]);
  });

  test("is passed by in a group that has no use for it", async () => {
    await begin();
    await sendFactor(10);
    await send(here, 3);
    await tester.settle();
    expect(tester.row(plain, here, last)).toBe(3);
    expect(await tester.deadLetters(plain)).toEqual([]);
  });

  test("is looked up once, not with each record behind it", async () => {
    await begin();
    await sendFactor(10);
    await send(here, ...Array.from({ length: 500 }, () => 1));
    await tester.settle();
    expect(derived).toBeLessThan(10);
  });

  test.each([false, true])("holds after restarts and lost stores (changelogs: %p)", async (own) => {
    await begin(own);
    await sendFactor(10);
    await send(here, 1);
    await tester.settle();
    for (const losesStores of [false, true]) {
      await tester.restart({ losesStores });
      await send(here, 2);
    }
    expect(await productsOf(here)).toEqual([10, 20, 20]);
  });

  test("is forgotten with the batch that failed, and taken again with it", async () => {
    await begin();
    await send(here, 1);
    await tester.settle();
    fails = true;
    await tester.restart(); // what is sent meanwhile is one batch
    await sendFactor(10);
    await send(here, 2, 13);
    expect((await rejection(tester.settle())).message).toContain("13 brings bad luck");
    fails = false;
    await tester.restart();
    expect(await productsOf(here)).toEqual([1, 20, 130]);
  });
});

describe("a record without a key", () => {
  const encoder = new TextEncoder();
  const named = (name: string) => ({ headers: [[CONTROL_HEADER, encoder.encode(name)] as const] });

  test.each([
    ["of a control that is not known", 10, named("colour"), "undecodable"],
    ["that cannot be decoded", 10, { value: encoder.encode("{") }, "undecodable"],
    ["without a value", 10, { value: null }, "undecodable"],
    ["that the group refuses", 0, {}, "invalid_record"],
  ])("%s is a dead letter, and changes nothing", async (_, to, change, reason) => {
    await begin();
    await sendFactor(to, change);
    await send(here, 3);
    expect(await productsOf(here)).toEqual([3]);
    const letters = await tester.deadLetters(scaled);
    expect(letters.map((letter) => String(letter.reason))).toEqual([reason, reason]);
    expect(await tester.deadLetters(plain)).toEqual([]);
  });

  test("that is no control is judged like any other", async () => {
    await begin();
    await sendFactor(10, { headers: [] });
    await tester.settle();
    const reasons = (await tester.deadLetters(plain)).map(({ reason }) => reason);
    expect(reasons).toEqual(["wrong_partition"]); // the empty key has a home, too
  });

  test("that is a control is shown as what it says, and never replayed", async () => {
    await begin();
    await sendFactor(0);
    await tester.settle();
    const topology = defineTopology([plain, scaled]);
    const records = await Array.fromAsync(
      tester.log.read({ topic: "numbers", partition: 0, from: 0n, until: 1n }),
    );
    const [record] = records.flat();
    if (record === undefined) throw new Error("no record");
    expect(contentOf(topology, record)).toMatchObject({ about: "control factor", message: 0 });
    const letters = createDeadLetters({
      ...{ log: tester.log, topology, partitions: PARTITIONS, nowMs: () => 0 },
      views: { scaled: tester.view(scaled), plain: tester.view(plain) },
    });
    const [letter] = await Array.fromAsync(letters.list("scaled"));
    if (letter?.record == null) throw new Error("no letter with its record");
    const plan = letters.plan({ ...letter, record: letter.record }, { newId: false });
    expect(plan).toMatchObject({ kind: "refused", problem: "unwritable" });
  });
});
