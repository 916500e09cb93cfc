import { afterEach, describe, expect, test } from "bun:test";
import { MAX_RECORD_BYTES } from "../../src/log/event-log.ts";
import { jsonCodec } from "../../src/stream/codec.ts";
import {
  type Context,
  defineGroup,
  input,
  type RecordInfo,
  type RowKind,
  type Stream,
} from "../../src/stream/group.ts";
import { createTester, type Tester } from "../../src/stream/tester.ts";
import { keyIn, memoryLog } from "./tally.ts";

const asked: RecordInfo[] = [];
const texts: Stream<string> = {
  topic: "texts",
  codec: jsonCodec(),
  validate: (text, record) => {
    asked.push(record);
    return text === "bad" ? "it is bad" : null;
  },
};
const out: Stream<string> = { topic: "out", codec: jsonCodec(), validate: () => null };
const sameTopic: Stream<string> = { ...out };
const notes: RowKind<string> = { name: "note", tag: 1, codec: jsonCodec() };
const others: RowKind<string> = { name: "other", tag: 2, codec: jsonCodec() };

let tester: Tester;
afterEach(() => tester.close());

async function run(
  callback: (context: Context, text: string) => void,
  fingerprint?: (text: string) => string,
): Promise<unknown> {
  asked.length = 0;
  const options = fingerprint === undefined ? {} : { fingerprint };
  const inputs = [input(texts, callback, options)];
  const group = defineGroup({ name: "g", inputs, outputs: [out], rows: [notes] });
  tester = await createTester({ groups: [group], openLog: memoryLog(), startMs: 1_000 });
  const [key, id] = [keyIn(1), "the id"];
  await tester.send(texts, { key, message: "first" }, { key, message: "bad" });
  tester.nowMs = 2_000;
  await tester.send(texts, { key, message: "last", id });
  return tester.settle().catch((error: unknown) => error);
}

describe("a callback", () => {
  test("and validation are told of the record in hand", async () => {
    const told: RecordInfo[] = [];
    await run((context) => told.push(context.record));
    const record = { key: keyIn(1), topic: "texts", partition: 1, timestampMs: 1_000, id: null };
    const first = { ...record, offset: 0n };
    const last = { ...record, offset: 2n, timestampMs: 2_000, id: "the id" };
    expect(told).toEqual([first, last]);
    expect(asked).toEqual([first, { ...record, offset: 1n }, last]);
  });

  test("sees what passed validation, and only that has a fingerprint", async () => {
    const [seen, marked]: [string[], string[]] = [[], []];
    const fingerprint = (text: string) => {
      marked.push(text);
      return text;
    };
    await run((_context, text) => seen.push(text), fingerprint);
    expect([seen, marked]).toEqual([["first", "last"], ["last"]]);
  });

  test("emits in order, to the partition of the key that it names", async () => {
    await run((context, text) => {
      context.emit(out, context.record.key, `${text} 1`);
      context.emit(out, keyIn(3), `${text} 2`);
      context.emit(out, context.record.key, `${text} 3`);
    });
    const messages = await tester.messages(out);
    expect(messages.map(({ partition, key, message }) => [partition, key, message])).toEqual([
      [1, keyIn(1), "first 1"],
      [1, keyIn(1), "first 3"],
      [1, keyIn(1), "last 1"],
      [1, keyIn(1), "last 3"],
      [3, keyIn(3), "first 2"],
      [3, keyIn(3), "last 2"],
    ]);
    expect(messages.every(({ id }) => id === null)).toBe(true);
  });
});

describe("a callback stops at its record when it", () => {
  const touching: [string, (context: Context) => unknown][] = [
    ["gets", (context) => context.get(others)],
    ["sets", (context) => context.set(others, "x")],
    ["deletes", (context) => context.delete(others)],
    ["ranges over", (context) => context.range(others)],
  ];
  test.each(touching)("%s rows that its group does not declare", async (_, touch) => {
    const error = await run((context) => void touch(context));
    expect(error).toMatchObject({ code: "rule_failed", cause: { code: "undeclared" } });
    expect((error as Error).message).toContain('offset 0: g touches rows "other": declare them');
  });

  test("emits to a stream that its group does not declare, whatever its topic", async () => {
    const error = await run((context) => context.emit(sameTopic, "k", "x"));
    expect(error).toMatchObject({ code: "rule_failed", cause: { code: "undeclared" } });
    expect((error as Error).message).toContain("offset 0: g emits to out: declare it");
  });

  test("emits what is too large for a record", async () => {
    const large = "x".repeat(MAX_RECORD_BYTES);
    const error = await run((context, text) => {
      if (text === "last") context.emit(out, "k", large);
    });
    expect(error).toMatchObject({ code: "rule_failed" });
    expect((error as Error).message).toMatch(/offset 2: a message of \d+ bytes for out is over/);
    expect((await tester.messages(out)).length).toBe(0);
  });

  test("throws what is no Error", async () => {
    const thrown: unknown = "a text";
    const error = await run(() => {
      throw thrown;
    });
    expect(error).toMatchObject({ code: "rule_failed", cause: { message: "a text" } });
  });
});
