import { afterEach, expect, test } from "bun:test";
import { LogError, MAX_RECORD_BYTES, type NewRecord } from "../../src/log/event-log.ts";
import { readDeadLetter, toDeadLetter } from "../../src/stream/dead-letter.ts";
import { partitionOf } from "../../src/stream/partitioner.ts";
import { createTester, type Tester } from "../../src/stream/tester.ts";
import type { Faults } from "./faulty-log.ts";
import { keyIn, memoryLog, numbers, sums, tallyGroup } from "./tally.ts";

const group = tallyGroup();
const key = keyIn(1);

let tester: Tester;
afterEach(() => tester.close());

async function start(faults: Faults = {}): Promise<void> {
  tester = await createTester({ groups: [group], openLog: memoryLog(faults) });
}

function raw(value: string | Uint8Array | null, more: Partial<NewRecord> = {}): NewRecord {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return { topic: "numbers", partition: 1, key: Buffer.from(key), value: bytes, ...more };
}

/** One of these keys that stands in partition 1. */
function inPartition(keys: readonly Uint8Array[]): Uint8Array {
  return keys.find((each) => partitionOf(each, 4) === 1) as Uint8Array;
}

const noText = Array.from({ length: 20 }, (_, n) => Uint8Array.of(0xff, n));
const longKeys = Array.from({ length: 20 }, (_, n) => Buffer.alloc(65_536 + n, "k"));

test.each<[string, string, () => NewRecord]>([
  ["a value that the codec cannot read", "undecodable", () => raw("{")],
  ["a value that is no UTF-8", "undecodable", () => raw(Uint8Array.of(0x22, 0xff, 0x22))],
  ["a tombstone", "undecodable", () => raw(null)],
  ["a key that is no UTF-8", "undecodable", () => raw("1", { key: inPartition(noText) })],
  [
    "a key that is too long for a table",
    "undecodable",
    () => raw("1", { key: inPartition(longKeys) }),
  ],
  [
    "an id that is no UTF-8",
    "undecodable",
    () => raw("1", { headers: [["id", Uint8Array.of(0xff)]] }),
  ],
  ["a message that the stream refuses", "invalid_record", () => raw("1.5")],
  [
    "a record in a partition that is not its key's",
    "wrong_partition",
    () => raw("1", { key: Buffer.from(keyIn(3)) }),
  ],
])("%s goes to the dead letters as %s, and the partition goes on", async (_, reason, record) => {
  await start();
  await tester.send(numbers, { key, message: 1 });
  const bad = record();
  const position = await tester.sendRaw(bad);
  await tester.send(numbers, { key, message: 2 });
  await tester.settle();
  expect(tester.row(group, key, sums)).toEqual({ total: 3, count: 2 });
  const [letter, ...others] = await tester.deadLetters(group);
  expect(others).toEqual([]);
  const detail = expect.stringMatching(/./) as unknown as string;
  expect(letter).toEqual({ topic: "numbers", ...position, reason: reason as never, detail });
  const [stored] = await recordsOf("tally-dead-letters");
  expect(stored?.partition).toBe(1);
  expect(stored?.value && Buffer.from(stored.value)).toEqual(bad.value && Buffer.from(bad.value));
  expect(Buffer.from(stored?.key ?? [])).toEqual(Buffer.from(bad.key));
});

test("names why: the stream's own words, the partition that the key belongs to", async () => {
  await start();
  await tester.sendRaw(raw("1.5"));
  await tester.sendRaw(raw("1", { key: Buffer.from(keyIn(3)) }));
  await tester.settle();
  expect((await tester.deadLetters(group)).map(({ detail }) => detail)).toEqual([
    "1.5 is no integer",
    "its key belongs to partition 3",
  ]);
});

test("stands there once, with the progress or not at all, whatever commits fail", async () => {
  let calls = 0;
  const fault = (rest: number) => () => {
    calls += 1;
    if (calls % 3 === rest) throw new LogError("outcome_unknown", "lost");
  };
  await start({ beforeCommit: fault(1), afterCommit: fault(2) });
  for (let n = 0; n < 10; n += 1) {
    await tester.send(numbers, { key, message: n });
    await tester.sendRaw(raw("no number"));
    await tester.settle();
  }
  await tester.restart({ losesStores: true });
  await tester.settle();
  expect(calls).toBeGreaterThan(20);
  const offsets = (await tester.deadLetters(group)).map(({ offset }) => offset);
  expect(offsets).toEqual(Array.from({ length: 10 }, (_, n) => BigInt(2 * n + 1)));
  expect(tester.row(group, key, sums)).toEqual({ total: 45, count: 10 });
});

test("a record as large as records may be does not stop its partition", async () => {
  await start();
  const large = Buffer.alloc(MAX_RECORD_BYTES - key.length, "x");
  await tester.sendRaw(raw(large));
  const headers: NewRecord["headers"] = [["id", Buffer.alloc(MAX_RECORD_BYTES - 100, "i")]];
  await tester.sendRaw(raw("1.5", { headers }));
  await tester.send(numbers, { key, message: 1 });
  await tester.settle();
  expect(tester.row(group, key, sums)).toEqual({ total: 1, count: 1 });
  const letters = await tester.deadLetters(group);
  expect(letters.map(({ offset, reason }) => `${offset} ${reason}`)).toEqual([
    "0 undecodable",
    "1 invalid_record",
  ]);
  const stored = await recordsOf("tally-dead-letters");
  expect(stored.map(({ value }) => value)).toEqual([null, null]);
});

test("keeps the record's own headers, and reads its own after them", async () => {
  await start();
  const headers: NewRecord["headers"] = [
    ["a", Buffer.from("1")],
    ["dead-letter-offset", Buffer.from("99")],
    ["a", Buffer.from("2")],
  ];
  await tester.sendRaw(raw("1.5", { headers }));
  await tester.settle();
  const [stored] = await recordsOf("tally-dead-letters");
  const own = stored?.headers.filter(([name]) => name === "a").map(([, value]) => String(value));
  expect(own).toHaveLength(2);
  expect((await tester.deadLetters(group))[0]?.offset).toBe(0n);
});

test("quotes at most 500 characters of what a client sent", () => {
  const record = {
    ...raw("1"),
    ...{ headers: [], offset: 7n, timestampMs: 0, checksum: 0 },
  };
  const detail = "é".repeat(10_000);
  const letter = toDeadLetter(group, record, { reason: "invalid_record", detail });
  expect(readDeadLetter(letter).detail).toBe("é".repeat(500));
});

async function recordsOf(topic: string) {
  const { start: from, end: until } = await tester.log.bounds(topic, 1);
  return (await Array.fromAsync(tester.log.read({ topic, partition: 1, from, until }))).flat();
}
