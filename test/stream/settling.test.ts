import { afterEach, describe, expect, test } from "bun:test";
import type { Progress } from "../../src/log/event-log.ts";
import { jsonCodec } from "../../src/stream/codec.ts";
import { type Context, defineGroup, input, type Stream } from "../../src/stream/group.ts";
import {
  newestPositions,
  Settling,
  type StreamPosition,
  whenSettled,
} from "../../src/stream/settling.ts";
import { createTester, type Tester } from "../../src/stream/tester.ts";
import { defineTopology } from "../../src/stream/topology.ts";
import { keyIn, memoryLog } from "./tally.ts";
import { rejection } from "../rejection.ts";

/** Far above what settles here at once, on a machine that may stand still. */
const HANGS_MS = 20_000;

const stream = (topic: string): Stream<number> => ({
  topic,
  codec: jsonCodec(),
  validate: () => null,
});
const [a, b, c] = [stream("a"), stream("b"), stream("c")];

/** Passes odd numbers on to a key of the next partition. */
const passOn = (to: Stream<number>) => (context: Context, n: number) => {
  if (n % 2 === 0) return;
  context.emit(to, keyIn((context.record.partition + 1) % 4), n);
};
const first = defineGroup({ name: "first", inputs: [input(a, passOn(b))], outputs: [b], rows: [] });
const middle = defineGroup({
  name: "middle",
  inputs: [input(b, passOn(c))],
  outputs: [c],
  rows: [],
});
const last = defineGroup({ name: "last", inputs: [input(c, () => {})], rows: [] });
const beside = defineGroup({ name: "beside", inputs: [input(a, () => {})], rows: [] });
const topology = defineTopology([first, middle, last, beside]);

const at = (topic: string, partition: number, offset: number): StreamPosition => ({
  topic,
  partition,
  offset: BigInt(offset),
});
const waiting = (group: string, position: StreamPosition) => ({ group, ...position });

describe("a position", () => {
  /** What each group has done, by hand. */
  let done: Map<string, Progress>;
  const progressOf = (group: string, of: number) => done.get(`${group}/${of}`) ?? null;
  /** The group has done the topic's partition up to the offset, and last wrote to these. */
  function did(group: string, input_: StreamPosition, ...wrote: StreamPosition[]): void {
    const { topic, partition, offset } = input_;
    const inputs = [{ topic, nextOffset: offset + 1n, checksum: null }];
    const outputs = wrote.map(({ offset: lastOffset, ...place }) => ({ ...place, lastOffset }));
    done.set(`${group}/${partition}`, { inputs, outputs, changelogOffset: null });
  }
  function settling(...positions: StreamPosition[]) {
    done = new Map();
    return new Settling(topology, positions);
  }

  test("is settled when every group that reads it is beyond, and wrote nothing", () => {
    const each = settling(at("a", 1, 5));
    expect(each.advance(progressOf)).toBe(false);
    did("first", at("a", 1, 4));
    did("beside", at("a", 1, 5));
    expect(each.advance(progressOf)).toBe(false);
    expect(each.first).toEqual(waiting("first", at("a", 1, 5)));
    did("first", at("a", 1, 5));
    expect([each.advance(progressOf), each.first]).toEqual([true, null]);
  });

  test("waits for what it caused, in whatever partition, and for what that caused", () => {
    const each = settling(at("a", 1, 5));
    did("beside", at("a", 1, 9));
    did("first", at("a", 1, 5), at("b", 2, 7), at("b", 3, 1));
    expect(each.advance(progressOf)).toBe(false);
    did("middle", at("b", 2, 7), at("c", 0, 3));
    expect(each.advance(progressOf)).toBe(false);
    expect(each.first?.group).toBe("middle");
    did("middle", at("b", 3, 1));
    expect(each.advance(progressOf)).toBe(false);
    expect(each.first).toEqual(waiting("last", at("c", 0, 3)));
    did("last", at("c", 0, 2));
    expect(each.advance(progressOf)).toBe(false);
    did("last", at("c", 0, 3));
    expect(each.advance(progressOf)).toBe(true);
  });

  test("does not wait for what came later", () => {
    const each = settling(at("a", 1, 5));
    did("beside", at("a", 1, 5));
    did("first", at("a", 1, 5), at("b", 2, 7));
    expect(each.advance(progressOf)).toBe(false);
    // Traffic goes on: the first group writes more, which nobody has read yet.
    did("first", at("a", 1, 90), at("b", 2, 70));
    did("middle", at("b", 2, 7));
    expect(each.advance(progressOf)).toBe(true);
  });

  test("of a stream that nobody reads is settled at once, and so is none at all", () => {
    expect(settling(at("nobody", 0, 5)).advance(progressOf)).toBe(true);
    expect(settling().advance(progressOf)).toBe(true);
  });

  test("among several waits for the furthest of its partition, and for every partition", () => {
    const each = settling(at("c", 0, 3), at("c", 0, 9), at("c", 0, 1), at("c", 1, 2));
    did("last", at("c", 0, 8));
    done.set("last/1", { ...progressOf("last", 0) } as Progress);
    expect(each.advance(progressOf)).toBe(false);
    expect(each.first).toEqual(waiting("last", at("c", 0, 9)));
    did("last", at("c", 0, 9));
    expect(each.advance(progressOf)).toBe(true);
  });
});

describe("waiting", () => {
  let tester: Tester;
  afterEach(() => tester.close());
  const gates = new Map<string, Promise<void>>();

  async function start(): Promise<void> {
    gates.clear();
    const openLog = memoryLog({ beforeCommit: (claim) => gates.get(claim.group) });
    tester = await createTester({ groups: [first, middle, last, beside], openLog });
  }

  function wait(positions: readonly StreamPosition[], signal: AbortSignal) {
    return whenSettled({
      log: tester.log,
      settling: new Settling(topology, positions),
      progressOf: (name, partition) => {
        const group = topology.groups.find((each) => each.name === name);
        return group === undefined ? null : tester.view(group).progress(partition);
      },
      signal,
    });
  }

  async function send(message: number): Promise<StreamPosition> {
    const [position] = await tester.send(a, { key: keyIn(1), message });
    return { topic: "a", ...(position as { partition: number; offset: bigint }) };
  }

  test("ends when a chain of groups over several partitions is through", async () => {
    await start();
    expect(await wait([await send(1)], AbortSignal.timeout(HANGS_MS))).toBeNull();
    const messages = await tester.messages(c);
    expect(messages.map(({ partition, message }) => [partition, message])).toEqual([[3, 1]]);
    expect(tester.view(last).progress(3)?.inputs[0]?.nextOffset).toBe(1n);
  });

  test("ends when the signal fires, and names the first group that has not passed", async () => {
    await start();
    const gate = Promise.withResolvers<void>();
    gates.set("middle", gate.promise);
    const position = await send(1);
    const [short, long] = [new AbortController(), new AbortController()];
    const pending = wait([position], short.signal);
    const settled = wait([position], long.signal);
    // The first group's output stands; the middle one is held up.
    while ((await tester.messages(b)).length === 0) await new Promise(setImmediate);
    while (tester.view(first).progress(1) === null) await new Promise(setImmediate);
    while (tester.view(beside).progress(1) === null) await new Promise(setImmediate);
    short.abort();
    expect(await pending).toEqual(waiting("middle", at("b", 2, 0)));
    gate.resolve();
    expect(await settled).toBeNull();
  });

  test("with a signal that has fired looks once", async () => {
    await start();
    const position = await send(2);
    await tester.settle();
    expect(await wait([position], AbortSignal.abort())).toBeNull();
    const beyond = { ...position, offset: position.offset + 1n };
    const pending = await wait([beyond], AbortSignal.abort());
    expect(pending).toEqual(waiting("first", beyond));
  });

  test("up to now is up to the newest record of each stream that has one", async () => {
    await start();
    await send(2);
    const newest = await send(1);
    await wait([newest], AbortSignal.timeout(HANGS_MS));
    const ends = (...partitions: number[]) =>
      newestPositions(tester.log, topology, partitions);
    expect(await ends(0, 1, 2, 3)).toEqual([at("a", 1, 1), at("b", 2, 0), at("c", 3, 0)]);
    expect(await ends(1)).toEqual([newest]);
    expect(await ends(0)).toEqual([]);
  });

  test("ends with what reading the progress throws", async () => {
    await start();
    const failing = whenSettled({
      log: tester.log,
      settling: new Settling(topology, [at("a", 0, 0)]),
      progressOf: () => {
        throw new Error("no store");
      },
      signal: AbortSignal.timeout(HANGS_MS),
    });
    expect((await rejection(failing)).message).toContain("no store");
  });

  test("needs no output: a group far behind is waited for all the same", async () => {
    await start();
    const gate = Promise.withResolvers<void>();
    gates.set("beside", gate.promise);
    const many = Array.from({ length: 3_000 }, () => ({ key: keyIn(1), message: 2 }));
    await tester.send(a, ...many);
    const position = await send(2);
    const settled = wait([position], AbortSignal.timeout(HANGS_MS));
    while (tester.view(first).progress(1)?.inputs[0]?.nextOffset !== 3_001n) {
      await new Promise(setImmediate);
    }
    expect(tester.view(beside).progress(1)).toBeNull();
    gate.resolve();
    expect(await settled).toBeNull();
    expect(tester.view(beside).progress(1)?.inputs[0]?.nextOffset).toBe(3_001n);
  });
});
