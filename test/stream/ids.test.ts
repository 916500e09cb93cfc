import { afterEach, expect, test } from "bun:test";
import { LogError } from "../../src/log/event-log.ts";
import { jsonCodec } from "../../src/stream/codec.ts";
import { defineGroup, input, type RowKind, type Stream } from "../../src/stream/group.ts";
import { createTester, type Tester } from "../../src/stream/tester.ts";
import { keyIn, memoryLog } from "./tally.ts";

const stream = (topic: string): Stream<number> => ({
  topic,
  codec: jsonCodec(),
  validate: () => null,
});
const credits = stream("credits");
const debits = stream("debits");
const sums: RowKind<number> = { name: "sum", tag: 1, codec: jsonCodec() };
const counted = { fingerprint: String };

const group = defineGroup({
  name: "account",
  inputs: [
    input(credits, (context, n) => context.set(sums, (context.get(sums) ?? 0) + n), counted),
    input(debits, (context, n) => context.set(sums, (context.get(sums) ?? 0) - n), counted),
  ],
  rows: [sums],
});

const [key, other] = [keyIn(1), keyIn(2)];
let tester: Tester;
afterEach(() => tester.close());

async function start(openLog = memoryLog()): Promise<void> {
  tester = await createTester({ groups: [group], openLog });
}

async function send(to: Stream<number>, message: number, id: string | null, of = key) {
  const [position] = await tester.send(to, { key: of, message, id });
  await tester.settle();
  return position;
}

const sum = (of = key) => tester.row(group, of, sums);

test("counts a record with an id once, however often and late it comes", async () => {
  await start();
  for (let n = 0; n < 3; n += 1) await send(credits, 10, "a");
  await send(credits, 1, "b");
  await send(credits, 10, "a");
  expect(sum()).toBe(11);
  expect(await tester.deadLetters(group)).toEqual([]);
});

test("counts records without an id each time", async () => {
  await start();
  for (let n = 0; n < 3; n += 1) await send(credits, 10, null);
  expect(sum()).toBe(30);
});

test("repeats within one batch are repeats", async () => {
  await start();
  const twice = { key, message: 10, id: "a" };
  await tester.send(credits, twice, twice, { ...twice, id: "b" }, twice);
  await tester.settle();
  expect(sum()).toBe(20);
});

test("the same id with another fingerprint is not counted, and both places are named", async () => {
  await start();
  await send(credits, 1, null);
  await send(credits, 10, "a");
  const position = await send(credits, 11, "a");
  expect(sum()).toBe(11);
  expect(await tester.deadLetters(group)).toEqual([
    {
      reason: "id_conflict",
      detail: 'id "a" was counted at 1-1 with 10; 1-2 has 11',
      ...{ topic: "credits", partition: 1, offset: position?.offset as bigint },
    },
  ]);
  await send(credits, 10, "a");
  expect([sum(), (await tester.deadLetters(group)).length]).toEqual([11, 1]);
});

test("an empty id is an id, and ids of any length and letters are told apart", async () => {
  await start();
  const ids = ["", " ", "é", "e\u0301", "x".repeat(100_000), `${"x".repeat(100_000)}y`, "\0"];
  for (const id of [...ids, ...ids]) await send(credits, 1, id);
  expect(sum()).toBe(ids.length);
});

test("an id is one key's and one topic's own", async () => {
  await start();
  await send(credits, 10, "a");
  await send(credits, 20, "a", other);
  await send(debits, 3, "a");
  await send(debits, 3, "a");
  expect([sum(), sum(other)]).toEqual([7, 20]);
});

test("is remembered over restarts and lost stores, with the first record's position", async () => {
  await start();
  await send(credits, 10, "a");
  for (const losesStores of [false, true]) {
    await tester.restart({ losesStores });
    await send(credits, 10, "a");
    await send(credits, 99, "a");
    expect(sum()).toBe(10);
  }
  const details = (await tester.deadLetters(group)).map(({ detail }) => detail);
  expect(details).toEqual([
    'id "a" was counted at 1-0 with 10; 1-2 has 99',
    'id "a" was counted at 1-0 with 10; 1-4 has 99',
  ]);
});

test("is remembered when, and only when, the commit that counted it was written", async () => {
  let calls = 0;
  const lost = () => new LogError("outcome_unknown", "lost");
  await start(
    memoryLog({
      beforeCommit: () => {
        calls += 1;
        if (calls === 1) throw lost();
      },
      afterCommit: () => {
        if (calls === 3) throw lost();
      },
    }),
  );
  await send(credits, 10, "a");
  await send(credits, 10, "a");
  await send(credits, 10, "a");
  expect([sum(), calls]).toEqual([10, 4]);
});

test("a record that is refused does not take its id", async () => {
  await start();
  const bytes = Buffer.from(key);
  const headers = [["id", Buffer.from("a")]] as const;
  await tester.sendRaw({
    ...{ topic: "credits", partition: 1, key: bytes, value: Buffer.from("{"), headers },
  });
  await send(credits, 10, "a");
  expect(sum()).toBe(10);
});

test("a view knows an id by its key, topic and text; its rows are no domain's", async () => {
  await start();
  await send(credits, 10, "a");
  await send(credits, 5, null);
  expect(tester.rows(group, sums).map(({ value }) => value)).toEqual([15]);
  const view = tester.view(group);
  const row = { offset: 0n, fingerprint: "10" };
  expect(view.id(key, { topic: "credits", id: "a" })).toEqual(row);
  expect(view.id(key, { topic: "credits", id: "b" })).toBeNull();
  expect(view.id(key, { topic: "debits", id: "a" })).toBeNull();
  expect(view.id(other, { topic: "credits", id: "a" })).toBeNull();
  expect(view.read(key, (rows) => rows.range(sums)).map(({ value }) => value)).toEqual([15]);
});
