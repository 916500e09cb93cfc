/** Conformance: bounds, and reading without a group. */

import { expect } from "bun:test";
import type { Bounds, LogRecord } from "../../src/log/event-log.ts";
import {
  codeOf,
  type Fixture,
  errorOf,
  newTopic,
  readAll,
  record,
  texts,
  until,
  within,
} from "./fixture.ts";

export function readCases(fixture: Fixture): void {
  const { features } = fixture.adapter;

  fixture.case(
    "reads from any offset to any other, in batches of at most the size asked for",
    async () => {
      const { log, topic } = await fixture.withTopic();
      const values = Array.from({ length: 10 }, (_, i) => `${i}`);
      const offsets = await log.append(values.map((value) => record(topic, value)));
      const at = (i: number) => offsets[i] as bigint;
      const batches: string[][] = [];
      const options = { topic, partition: 0, from: at(2), until: at(9), maxRecords: 3 };
      for await (const batch of log.read(options)) batches.push(texts(batch));
      expect(batches.flat()).toEqual(values.slice(2, 9));
      expect(Math.max(...batches.map(({ length }) => length))).toBeLessThanOrEqual(3);
      expect(Math.min(...batches.map(({ length }) => length))).toBeGreaterThan(0);
      expect(texts(await readAll(log, topic))).toEqual(values);
      expect(await readAll(log, topic, 0, { from: at(4), until: at(4) })).toEqual([]);
      expect(await readAll(log, topic, 1)).toEqual([]);
    },
  );

  fixture.case("reads far more than one batch, without a gap or a repeat", async () => {
    const { log, topic } = await fixture.withTopic();
    const count = 5_000;
    await log.append(Array.from({ length: count }, (_, i) => record(topic, `${i}`)));
    expect(texts(await readAll(log, topic))).toEqual(
      Array.from({ length: count }, (_, i) => `${i}`),
    );
  });

  fixture.case("knows the bounds of a partition: the first offset and the next one", async () => {
    const { log, topic } = await fixture.withTopic();
    const offsets = await log.append([record(topic, "a"), record(topic, "b")]);
    const bounds = await log.bounds(topic, 0);
    expect(bounds.start).toBe(offsets[0] as bigint);
    expect(bounds.end).toBeGreaterThan(offsets[1] as bigint);
    const [next] = await log.append([record(topic, "c")]);
    expect(next).toBeGreaterThanOrEqual(bounds.end);
    expect(await log.bounds(topic, 1)).toEqual({ start: 0n, end: 0n });
  });

  fixture.case("a reader up to an offset is told when the log is closed before it", async () => {
    const place = fixture.adapter.newPlace();
    const { log, topic } = await fixture.withTopic({}, { place });
    await log.append([record(topic, "a")]);
    const { end } = await log.bounds(topic, 0);
    const range = { topic, partition: 0, from: 0n, until: end + 1_000n };
    const { signal } = new AbortController();
    const seen: string[] = [];
    const readings = [log.read(range), log.read({ ...range, signal })].map(async (batches) => {
      for await (const batch of batches) seen.push(...texts(batch));
    });
    const codes = Promise.all(readings.map((each) => codeOf(each)));
    await until("both readers to wait for more", () => seen.length === 2);
    await log.close();
    expect(await codes).toEqual(["closed", "closed"]);
  });

  fixture.case("waits at the end and wakes for each append", async () => {
    const { log, topic } = await fixture.withTopic();
    const wakes = await wakeTimesMs(log.read({ topic, partition: 0, from: 0n }), (i) =>
      log.append([record(topic, `${i}`)]),
    );
    expect(median(wakes)).toBeLessThan(WAKE_MS);
  });

  fixture.sharedCase(
    "wakes for each append of another instance",
    "waits at the end and wakes for each append",
    async () => {
      const [log, other] = [await fixture.open(), await fixture.open()];
      const topic = await newTopic(log);
      const wakes = await wakeTimesMs(other.read({ topic, partition: 0, from: 0n }), (i) =>
        log.append([record(topic, `${i}`)]),
      );
      expect(median(wakes)).toBeLessThan(WAKE_MS);
    },
  );

  fixture.case("waits for an end that is not there yet, and stops at it", async () => {
    const { log, topic } = await fixture.withTopic();
    await log.append([record(topic, "a")]);
    const seen: string[] = [];
    const reading = (async () => {
      const options = { topic, partition: 0, from: 0n, until: 3n, maxRecords: 1 };
      for await (const batch of log.read(options)) seen.push(...texts(batch));
    })();
    await until("the first record", () => seen.length === 1);
    await log.append(["b", "c", "d"].map((value) => record(topic, value)));
    await within(reading, "the reader's end");
    expect(seen).toEqual(["a", "b", "c"].slice(0, seen.length));
    expect(seen.length).toBeGreaterThan(1);
  });

  fixture.case(
    "ends when its signal fires: before the first read, at work, and while waiting",
    async () => {
      const { log, topic } = await fixture.withTopic();
      await log.append([record(topic, "a"), record(topic, "b")]);
      for (const when of [0, 1, 2]) {
        const controller = new AbortController();
        const seen: string[] = [];
        if (when === 0) controller.abort();
        const { signal } = controller;
        const reading = (async () => {
          const options = { topic, partition: 0, from: 0n, maxRecords: 1, signal };
          for await (const batch of log.read(options)) {
            seen.push(...texts(batch));
            if (when === 1) controller.abort();
          }
        })();
        if (when === 2) {
          await until("both records", () => seen.length === 2);
          controller.abort();
        }
        await within(reading, "the reader's end");
        expect(seen).toHaveLength(when);
      }
    },
  );

  fixture.case("refuses a position outside the log by name, also when it is negative", async () => {
    const { log, topic } = await fixture.withTopic();
    await log.append([record(topic, "a")]);
    const { end } = await log.bounds(topic, 0);
    for (const from of [-1n, -2n, end + 1n, end + 1_000n]) {
      const error = await errorOf(readAll(log, topic, 0, { from, until: from + 1n }));
      expect(error.code).toBe("position_out_of_range");
      expect(error.message).toContain(topic);
      expect(error.message).toContain(`${from}`);
    }
    expect(await readAll(log, topic, 0, { from: end, until: end })).toEqual([]);
  });

  fixture.sharedCase(
    "hands nothing out that is not committed",
    "waits at the end and wakes for each append",
    async () => {
      const seen: { step: string; bounds: Promise<Bounds> }[] = [];
      const other = await fixture.open();
      const topic = await newTopic(other);
      const log = await fixture.open({
        onStep: async (step) => {
          const bounds = other.bounds(topic, 0);
          seen.push({ step, bounds });
          await bounds; // the next step, of a log that can wait, comes after the answer
        },
      });
      const first = other.read({ topic, partition: 0, from: 0n })[Symbol.asyncIterator]().next();
      const [offset] = await log.append([record(topic, "whole")]);
      const ends = new Map<string, bigint>();
      for (const { step, bounds } of seen) ends.set(step, (await bounds).end);
      for (const step of features.stepsBeforeWritten.append) {
        expect(`${step}: ends at ${ends.get(step)}`).toBe(`${step}: ends at 0`);
      }
      const { value } = await within(first, "the record");
      expect((value as readonly LogRecord[]).map((each) => each.offset)).toEqual([
        offset as bigint,
      ]);
    },
  );
}

/** Well below the second after which a slow poll would find it; the bench measures the rest. */
const WAKE_MS = 100;
const WAKES = 15;

/** From the append's answer to the record in the reader's hands. */
async function wakeTimesMs(
  batches: AsyncIterable<readonly LogRecord[]>,
  append: (i: number) => Promise<unknown>,
): Promise<number[]> {
  const reader = batches[Symbol.asyncIterator]();
  const times: number[] = [];
  for (let i = 0; i < WAKES; i += 1) {
    const next = reader.next();
    await new Promise((resolve) => setImmediate(resolve)); // the reader waits by now
    await append(i);
    const answeredMs = performance.now();
    const { value } = await within(next, `record ${i}`);
    expect(texts(value as readonly LogRecord[])).toEqual([`${i}`]);
    times.push(performance.now() - answeredMs);
  }
  await within(Promise.resolve(reader.return?.()), "the reader's end");
  return times;
}

function median(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] as number;
}
