import { afterEach, expect, test } from "bun:test";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import type { EventLog } from "../../src/log/event-log.ts";
import { jsonCodec } from "../../src/stream/codec.ts";
import { createEmitter, type Emitter } from "../../src/stream/emitter.ts";
import type { Stream } from "../../src/stream/group.ts";
import { partitionOf } from "../../src/stream/partitioner.ts";
import { rejection } from "../rejection.ts";

const words: Stream<string> = { topic: "words", codec: jsonCodec(), validate: () => "never asked" };
let log: EventLog;
afterEach(() => log.close());

async function make(): Promise<Emitter<string>> {
  log = openEmbeddedLog({ folder: ":memory:", create: true, nowMs: () => 7 });
  await log.ensureTopics([{ name: "words", partitions: 4, cleanup: "keep", retentionMs: null }]);
  return createEmitter({ log, stream: words, partitions: 4 });
}

async function records() {
  const all = [];
  for (let partition = 0; partition < 4; partition += 1) {
    const { start: from, end: until } = await log.bounds("words", partition);
    const batches = log.read({ topic: "words", partition, from, until });
    all.push(...(await Array.fromAsync(batches)).flat());
  }
  return all;
}

test("writes a message where its key belongs, and answers with its position", async () => {
  const emitter = await make();
  for (const key of ["a", "b", "grün", ""]) {
    const partition = partitionOf(Buffer.from(key), 4);
    expect(emitter.partitionOf(key)).toBe(partition);
    const { end } = await log.bounds("words", partition);
    expect(await emitter.emit({ key, message: `of ${key}` })).toEqual({ partition, offset: end });
  }
  const found = (await records()).map(({ key, value, headers, timestampMs }) => ({
    key: Buffer.from(key).toString(),
    message: words.codec.decode(value as Uint8Array),
    ...{ headers, timestampMs },
  }));
  expect(found.map(({ key, message }) => `${key}: ${message}`).sort()).toEqual(
    ["a", "b", "grün", ""].map((key) => `${key}: of ${key}`).sort(),
  );
  expect(found.flatMap(({ headers }) => headers)).toEqual([]);
  expect(found.map(({ timestampMs }) => timestampMs)).toEqual([7, 7, 7, 7]);
});

test("carries an id as a header, an empty one too, and none for null", async () => {
  const emitter = await make();
  for (const id of ["é", "", null, undefined]) {
    await emitter.emit({ key: "a", message: "x", ...(id === undefined ? {} : { id }) });
  }
  const headers = (await records()).map((record) =>
    record.headers.map(([name, value]) => [name, Buffer.from(value).toString()]),
  );
  expect(headers).toEqual([[["id", "é"]], [["id", ""]], [], []]);
});

test("writes many in order, with positions in the same order", async () => {
  const emitter = await make();
  const emissions = Array.from({ length: 50 }, (_, n) => ({ key: `k${n % 7}`, message: `${n}` }));
  const positions = await emitter.emitAll(emissions);
  const byPosition = new Map(
    (await records()).map(({ partition, offset, value }) => [
      `${partition}-${offset}`,
      words.codec.decode(value as Uint8Array),
    ]),
  );
  const found = positions.map(({ partition, offset }) => byPosition.get(`${partition}-${offset}`));
  expect(found).toEqual(emissions.map(({ message }) => message));
  expect(await emitter.emitAll([])).toEqual([]);
});

test("writes nothing of a call with a message that cannot be written", async () => {
  const emitter = await make();
  const emissions = ["x", "y".repeat(1_000_001)].map((message) => ({ key: "a", message }));
  expect(await rejection(emitter.emitAll(emissions))).toMatchObject({ code: "record_too_large" });
  const missing = { key: "a", message: undefined as never };
  const emitting = emitter.emitAll([{ key: "a", message: "x" }, missing]);
  expect((await rejection(emitting)).message).toContain("no JSON");
  expect(await records()).toEqual([]);
});
