import { describe, expect, test } from "bun:test";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import type { LogRecord } from "../../src/log/event-log.ts";
import { jsonCodec } from "../../src/stream/codec.ts";
import { toDeadLetter } from "../../src/stream/dead-letter.ts";
import { toMark } from "../../src/stream/dead-letter-mark.ts";
import { defineGroup, input, type Stream } from "../../src/stream/group.ts";
import { keyPrefix, rowKey, toBytes } from "../../src/stream/row-key.ts";
import { Tails, type TailOptions } from "../../src/stream/tail.ts";
import { defineTopology, topicSpecs } from "../../src/stream/topology.ts";
import { until } from "../end-to-end/program.ts";

const PARTITIONS = 2;
const lines: Stream<number> = { topic: "lines", codec: jsonCodec(), validate: () => null };
const total = { name: "total", tag: 1, codec: jsonCodec<unknown>() };
const count = defineGroup({ name: "count", inputs: [input(lines, () => {})], rows: [total] });
const topology = defineTopology([count]);
const bytes = (text: string) => new TextEncoder().encode(text);
const position = ({ partition, offset }: LogRecord) => `${partition}-${offset}`;

/** A log whose records 0-0, 1-0, 0-1, 1-1, ... were taken a second after the other. */
async function filled(records: number) {
  let nowMs = 0;
  const keepsChangelogs = true;
  const now = () => nowMs;
  const log = openEmbeddedLog({ folder: ":memory:", create: true, nowMs: now, keepsChangelogs });
  await log.ensureTopics(topicSpecs(topology, { partitions: PARTITIONS, keepsChangelogs }));
  const append = async (i: number) => {
    nowMs = i * 1_000;
    const key = bytes(`key ${i % 5}`);
    const place = { topic: "lines", partition: i % PARTITIONS };
    await log.append([{ ...place, key, value: bytes(String(i)) }]);
  };
  for (let i = 0; i < records; i += 1) await append(i);
  const tails = new Tails(log, topology, PARTITIONS);
  const signal = new AbortController().signal;
  const newest = async (options: Partial<TailOptions>) => {
    const found = await tails.newest({ topic: "lines", last: 3, signal, ...options });
    return { ...found, positions: found.records.map(position) };
  };
  return { log, append, tails, newest, [Symbol.asyncDispose]: () => log.close() };
}

describe("the end of a topic", () => {
  test("is its newest records of all partitions, in the order of time", async () => {
    await using here = await filled(1_001);
    const { positions, ends } = await here.newest({});
    expect(positions).toEqual(["0-499", "1-499", "0-500"]);
    expect(ends).toEqual([501n, 500n]);
    expect((await here.newest({ last: 0 })).positions).toEqual([]);
    expect((await here.newest({ last: 5_000 })).positions).toHaveLength(1_001);
  });

  test("is of those that fit, however far back they stand", async () => {
    await using here = await filled(1_001);
    const fits = ({ key }: LogRecord) => Buffer.from(key).equals(bytes("key 4"));
    expect((await here.newest({ fits })).positions).toEqual(["1-494", "0-497", "1-499"]);
    const early = await here.newest({ fromMs: 2_000, toMs: 5_000, last: 10 });
    expect(early.positions).toEqual(["0-1", "1-1", "0-2"]);
    expect((await here.newest({ toMs: 3_000 })).positions).toEqual(["0-0", "1-0", "0-1"]);
    expect((await here.newest({ fromMs: 1_000_000 })).positions).toEqual(["0-500"]);
  });

  test("keeps no more than so many bytes, and says so", async () => {
    await using here = await filled(100);
    const { positions, isCut } = await here.newest({ last: 50, maxKeptBytes: 1_000 });
    expect(isCut).toBe(true);
    expect(positions).toEqual(["1-48", "0-49", "1-49"]);
    expect((await here.newest({ last: 50 })).isCut).toBe(false);
  });

  test("keeps records alone, not the batches that a log has them in", async () => {
    const batch = new Uint8Array(1_000_000);
    const key = batch.subarray(7, 8);
    const given = { topic: "lines", partition: 0, offset: 0n, key, value: batch.subarray(9, 12) };
    const record: LogRecord = { ...given, headers: [["a", key]], timestampMs: 0, checksum: 0 };
    const log = {
      keepsChangelogs: false,
      bounds: async () => ({ start: 0n, end: 1n }),
      async *read() {
        yield [record];
      },
    };
    const { signal } = new AbortController();
    const tails = new Tails(log, topology, 1);
    const { records } = await tails.newest({ topic: "lines", last: 1, signal });
    expect(records).toEqual([record]);
    const [kept] = records;
    const parts = [kept?.key, kept?.value, kept?.headers[0]?.[1]];
    expect(parts.map((part) => part?.buffer.byteLength)).toEqual([1, 3, 1]);
  });

  test("is followed from where it was read to, until the signal fires", async () => {
    await using here = await filled(10);
    const { ends } = await here.newest({});
    await here.append(10);
    const seen: string[] = [];
    const stopping = new AbortController();
    const options = { topic: "lines", signal: stopping.signal };
    const following = here.tails.follow(options, ends, (record) => seen.push(position(record)));
    await until(() => seen.length === 1, () => String(seen));
    await here.append(11);
    await until(() => seen.length === 2, () => String(seen));
    stopping.abort();
    await following;
    expect(seen).toEqual(["0-5", "1-5"]);
  });

  test("ends for all partitions when one record cannot be taken", async () => {
    await using here = await filled(10);
    const failing = () => {
      throw new Error("nobody reads");
    };
    const { signal } = new AbortController();
    const following = here.tails.follow({ topic: "lines", signal }, [0n, 5n], failing);
    expect(await following.catch((error: unknown) => error)).toEqual(new Error("nobody reads"));
  });
});

describe("what a record holds", () => {
  const record = (from: Partial<LogRecord>): LogRecord => ({
    ...{ topic: "lines", partition: 1, offset: 7n, key: bytes("k"), value: bytes("42") },
    ...{ headers: [], timestampMs: 0, checksum: 0, ...from },
  });
  const content = async (from: Partial<LogRecord>) => {
    await using here = await filled(0);
    const found = here.tails.content(record(from));
    return { ...found, key: new TextDecoder().decode(found.key), id: found.id };
  };

  test("is a stream's message, where it can be read", async () => {
    expect(await content({})).toMatchObject({ key: "k", type: "json", message: 42, about: null });
    const garbled = await content({ value: bytes("{") });
    expect(garbled).toMatchObject({ type: "json", message: undefined });
    expect(await content({ headers: [["id", bytes("x")]] })).toMatchObject({ id: bytes("x") });
  });

  test("is why a record was refused and what it held, and what was done about it", async () => {
    const why = { reason: "invalid_record", detail: "too long" } as const;
    const letter = toDeadLetter(count, record({}), why) as LogRecord;
    expect(await content(letter)).toMatchObject({
      ...{ key: "k", message: 42, about: "lines:1-7 invalid_record: too long" },
    });
    const mark = { how: "dropped", actor: "ann", reason: "a test", atMs: 0, as: null } as const;
    const marked = toMark(count, { topic: "lines", partition: 1, offset: 7n }, mark) as LogRecord;
    expect(await content(marked)).toMatchObject({ about: "lines:1-7 dropped by ann: a test" });
  });

  test("is a changelog's row with its own key", async () => {
    const key = toBytes(rowKey(keyPrefix(bytes("alice")), total.tag, bytes("sub")));
    const row = await content({ topic: "count-table", key });
    expect(row).toMatchObject({ key: "alice", type: "total", message: 42 });
    const foreign = await content({ topic: "count-table", key: bytes("\xff") });
    expect(foreign).toMatchObject({ type: null, message: undefined });
  });
});
