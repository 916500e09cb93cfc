import { afterAll, beforeAll, expect, test } from "bun:test";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import type { EventLog, NewRecord, Progress, ReadOptions } from "../../src/log/event-log.ts";
import { toDeadLetter } from "../../src/stream/dead-letter.ts";
import { toMark } from "../../src/stream/dead-letter-mark.ts";
import { refusedBetween } from "../../src/stream/refused-before.ts";

const TOPIC = "g-dead-letters";
const LETTERS = 3_000;
const group = { name: "g" };
const nothing = { key: new Uint8Array(), value: null, headers: [] };
const why = { reason: "invalid_record", detail: "" } as const;

/** Letters of every second record of two topics in turns, and a mark beside each tenth. */
let log: EventLog;
let lastOffset = 0n;
beforeAll(async () => {
  log = openEmbeddedLog({ folder: ":memory:", create: true, nowMs: () => 0 });
  const spec = { partitions: 2, cleanup: "keep", retentionMs: null } as const;
  await log.ensureTopics([{ name: TOPIC, ...spec }]);
  const records: NewRecord[] = [];
  for (let n = 0; n < LETTERS; n += 1) {
    const place = { topic: n % 2 === 0 ? "a" : "b", partition: 1, offset: BigInt(n - (n % 2)) };
    records.push(toDeadLetter(group, { ...nothing, ...place, timestampMs: 0, checksum: 0 }, why));
    const mark = { how: "dropped", actor: "ann", reason: "", atMs: 0, as: null } as const;
    if (n % 10 === 0) records.push(toMark(group, place, mark));
  }
  lastOffset = (await log.append(records)).at(-1) as bigint;
});
afterAll(() => log.close());

const progress = (a: bigint, b: bigint, last: bigint | null): Progress => ({
  inputs: [
    { topic: "a", nextOffset: a, checksum: null },
    { topic: "b", nextOffset: b, checksum: null },
  ],
  outputs: last === null ? [] : [{ topic: TOPIC, partition: 1, lastOffset: last }],
  changelogOffset: null,
});

test.each<[string, Progress | null, number, number]>([
  ["from the start", null, LETTERS / 2, LETTERS],
  ["from the middle", progress(1_500n, 1_500n, null), LETTERS / 4, 2_100],
  ["from where one topic is further than the other", progress(2_990n, 2_980n, null), 5, 1_024],
  ["from the end", progress(2_999n, 2_999n, null), 0, 1_024],
])("finds what was refused %s, and reads little more", async (_, from, count, mostRead) => {
  let read = 0;
  const counting: Pick<EventLog, "read" | "bounds"> = {
    bounds: (topic, partition) => log.bounds(topic, partition),
    async *read(options: ReadOptions) {
      for await (const records of log.read(options)) {
        read += records.length;
        yield records;
      }
    },
  };
  const to = progress(3_000n, 3_000n, lastOffset);
  const found = await refusedBetween({ log: counting, group: "g", partition: 1, from, to });
  const expected = (start: bigint) =>
    Array.from({ length: LETTERS / 2 }, (__, n) => BigInt(2 * n)).filter((each) => each >= start);
  const [a, b] = from?.inputs.map(({ nextOffset }) => nextOffset) ?? [0n, 0n];
  expect([...(found.get("a") ?? [])].sort(ascending)).toEqual(expected(a as bigint));
  expect([...(found.get("b") ?? [])].sort(ascending)).toEqual(expected(b as bigint));
  expect(found.get("a")?.size ?? 0).toBe(count);
  expect(read).toBeLessThanOrEqual(mostRead * 1.1 + 1);
});

test("reads nothing where nothing was refused", async () => {
  const to = progress(3_000n, 3_000n, null);
  const unread = {
    bounds: () => Promise.reject(new Error("asked")),
    read: () => {
      throw new Error("read");
    },
  };
  const found = await refusedBetween({ log: unread, group: "g", partition: 1, from: null, to });
  expect(found.size).toBe(0);
});

const ascending = (a: bigint, b: bigint) => Number(a - b);
