import { afterEach, describe, expect, test } from "bun:test";
import { type EmbeddedLog, openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import type { EventLog, LogRecord, NewRecord } from "../../src/log/event-log.ts";
import { copyChosen, copyToSameOffsets } from "../../src/log/exact-copy.ts";
import { errorOf, readAll, record, text, texts } from "../conformance/fixture.ts";
import { rejection } from "../rejection.ts";

const TOPIC = "events";
const OFFSET_HEADER = "origin";
const opened: EmbeddedLog[] = [];
afterEach(async () => {
  for (const log of opened.splice(0)) await log.close();
});

async function newLog(values: readonly string[] = []): Promise<EmbeddedLog> {
  const log = openEmbeddedLog({ folder: ":memory:", create: true, nowMs: () => 1_000 });
  opened.push(log);
  await log.ensureTopics([{ name: TOPIC, partitions: 1, cleanup: "keep", retentionMs: null }]);
  await log.append(values.map((value) => record(TOPIC, value)));
  return log;
}

function copying(source: EventLog, target: EventLog, signal = new AbortController().signal) {
  let done = 0n;
  const onDone = (records: bigint) => (done += records);
  return { source, target, topic: TOPIC, partition: 0, signal, onDone, done: () => done };
}

const NUMBERS = Array.from({ length: 3_000 }, (_, number) => `${number} ${"x".repeat(500)}`);

/** Appends that fail, or are written and then fail; as often as is said. */
function failing(log: EventLog, at: number, isWritten: boolean): EventLog {
  let appends = 0;
  return new Proxy(log, {
    get(target, name) {
      if (name === "append") {
        return async (records: readonly NewRecord[]) => {
          appends += 1;
          if (appends !== at) return target.append(records);
          if (isWritten) await target.append(records);
          throw new Error("the power is cut");
        };
      }
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

describe("a copy to the same offsets", () => {
  test("keeps every record: key, value or tombstone, headers, offset, checksum", async () => {
    const source = await newLog();
    const target = await newLog();
    const headers = [
      ["b", new Uint8Array([1, 2])],
      ["a", new Uint8Array()],
      ["b", new Uint8Array([0])],
    ] as const;
    await source.append([
      record(TOPIC, "first", { headers }),
      record(TOPIC, null, { key: "" }),
      record(TOPIC, ""),
    ]);
    const copy = copying(source, target);
    await copyToSameOffsets(copy);
    expect(await readAll(target, TOPIC)).toEqual(await readAll(source, TOPIC));
    expect(copy.done()).toBe(3n);
  });

  test.each([
    ["before it was written", false],
    ["after it was written", true],
  ])("goes on at the target's end when an append failed %s", async (_when, isWritten) => {
    const source = await newLog(NUMBERS);
    const target = await newLog();
    const cut = copyToSameOffsets(copying(source, failing(target, 2, isWritten)));
    expect((await rejection(cut)).message).toContain("the power is cut");
    const { end } = await target.bounds(TOPIC, 0);
    expect(end).toBeGreaterThan(0n);
    expect(end).toBeLessThan(3_000n);
    const again = copying(source, target);
    await copyToSameOffsets(again);
    expect(again.done()).toBe(3_000n);
    expect(texts(await readAll(target, TOPIC))).toEqual(NUMBERS);
    await copyToSameOffsets(copying(source, target)); // nothing is left
    expect((await target.bounds(TOPIC, 0)).end).toBe(3_000n);
  });

  test("ends between two appends when it is asked to", async () => {
    const source = await newLog(NUMBERS);
    const target = await newLog();
    const stopping = new AbortController();
    const copy = copying(source, target, stopping.signal);
    await copyToSameOffsets({ ...copy, onDone: (records) => records > 0n && stopping.abort() });
    const { end } = await target.bounds(TOPIC, 0);
    expect(end).toBeGreaterThan(0n);
    expect(end).toBeLessThan(3_000n);
  });

  test("stops when it is answered another offset", async () => {
    const source = await newLog(NUMBERS);
    const target = await newLog();
    const intruded = new Proxy(failing(target, 0, false), {
      get: (log, name) => {
        const value: unknown = Reflect.get(log, name);
        if (name !== "append") return value;
        return async (records: readonly NewRecord[]) => {
          if (records[0]?.value !== null && text(records[0]?.value).startsWith("0 ")) {
            return log.append(records);
          }
          await log.append([record(TOPIC, "intruder")]);
          return log.append(records);
        };
      },
    });
    const error = await errorOf(copyToSameOffsets(copying(source, intruded)));
    expect(error.code).toBe("topic_mismatch");
    expect(error.message).toMatch(/events partition 0 .*: offset (\d+) was written as \d+\. /);
    expect(error.message).toContain("empty the target and start again");
  });

  test("refuses to go on behind records that are not the source's", async () => {
    const source = await newLog(["a", "b"]);
    const other = await errorOf(copyToSameOffsets(copying(source, await newLog(["x"]))));
    expect(other.message).toContain("offset 0 is not the source's");
    const longer = await newLog(["a", "b", "c"]);
    const error = await errorOf(copyToSameOffsets(copying(source, longer)));
    expect(error.message).toContain("it holds 3 records, of 2");
    expect(error.message).toContain("empty the target and start again");
  });
});

describe("a copy of chosen records", () => {
  const isEven = ({ value }: LogRecord) => Number(text(value).split(" ")[0]) % 2 === 0;
  const chosen = (source: EventLog, target: EventLog) => ({
    ...copying(source, target),
    offsetHeader: OFFSET_HEADER,
    copyOf: (each: LogRecord) => (isEven(each) ? each : null),
  });

  test("keeps their order, and says where each comes from", async () => {
    const source = await newLog(["0", "1", "2", "3", "5", "6"]);
    const target = await newLog();
    await copyChosen(chosen(source, target));
    const copied = await readAll(target, TOPIC);
    expect(texts(copied)).toEqual(["0", "2", "6"]);
    const origins = copied.map(({ headers }) => headers.map(([name, of]) => [name, text(of)]));
    expect(origins).toEqual(["0", "2", "5"].map((offset) => [[OFFSET_HEADER, offset]]));
  });

  test.each([
    ["before it was written", false],
    ["after it was written", true],
  ])("goes on behind the last one when an append failed %s", async (_when, isWritten) => {
    const source = await newLog(NUMBERS);
    const target = await newLog();
    await copyChosen(chosen(source, failing(target, 3, isWritten))).catch(() => {});
    const { end } = await target.bounds(TOPIC, 0);
    expect(end).toBeGreaterThan(0n);
    await copyChosen(chosen(source, target));
    await copyChosen(chosen(source, target)); // nothing is left
    const wanted = NUMBERS.filter((_, number) => number % 2 === 0);
    expect(texts(await readAll(target, TOPIC))).toEqual(wanted);
  });

  test("refuses a target with a record of somebody else", async () => {
    const source = await newLog(["0", "2"]);
    const error = await errorOf(copyChosen(chosen(source, await newLog(["2"]))));
    expect(error.code).toBe("topic_mismatch");
    expect(error.message).toContain("offset 0 does not come from the source");
  });
});
