import { describe, expect, test } from "bun:test";
import { jsonCodec } from "../../src/stream/codec.ts";
import {
  type Context,
  defineGroup,
  type Group,
  input,
  type RowKind,
  type Stream,
} from "../../src/stream/group.ts";
import { consumersOf, defineTopology, topicSpecs } from "../../src/stream/topology.ts";

const stream = (topic: string): Stream<number> => ({
  topic,
  codec: jsonCodec(),
  validate: () => null,
});
const [a, b, c] = [stream("a"), stream("b"), stream("c")];
const ignore = (_context: Context) => {};

function group(name: string, from: readonly Stream<number>[], to: readonly Stream<number>[] = []) {
  const inputs = from.map((each) => input(each, ignore));
  return defineGroup({ name, inputs, outputs: to, rows: [] });
}
const codeOf = (groups: readonly Group[]) => {
  try {
    defineTopology(groups);
  } catch (error) {
    return error;
  }
  return null;
};

describe("a group", () => {
  test("is refused without a good name or an input", () => {
    for (const name of ["", "A", "a b", "a.b", "a/b", "x".repeat(101)]) {
      expect(() => group(name, [a])).toThrow(`group name "${name}"`);
    }
    expect(group("x".repeat(100), [a]).outputs).toEqual([]);
    expect(() => group("g", [])).toThrow("group g has no input");
  });

  test("is refused with one stream twice, for one callback would never be called", () => {
    expect(() => group("g", [a, a])).toThrow("group g takes a twice");
  });

  test("is refused with a row kind's tag that is taken or out of range", () => {
    const kind = (tag: number): RowKind<number> => ({ name: `k${tag}`, tag, codec: jsonCodec() });
    const define = (...tags: number[]) => () =>
      defineGroup({ name: "g", inputs: [input(a, ignore)], rows: tags.map(kind) });
    for (const tags of [[0], [255], [-1], [1.5], [Number.NaN], [7, 8, 7]]) {
      expect(define(...tags)).toThrow("needs a tag of its own, 1 to 254");
    }
    expect(define(1, 254)).not.toThrow();
  });
});

describe("a topology", () => {
  test("puts groups in the order of the flow, whatever order they are given in", () => {
    const groups = [group("last", [c]), group("middle", [b, a], [c]), group("first", [a], [b])];
    const { groups: ordered, streams } = defineTopology(groups);
    expect(ordered.map(({ name }) => name)).toEqual(["first", "middle", "last"]);
    expect(streams.map(({ topic }) => topic).sort()).toEqual(["a", "b", "c"]);
    expect(consumersOf({ groups: ordered, streams }, "a").map(({ name }) => name)).toEqual([
      "first",
      "middle",
    ]);
  });

  test("is refused with a cycle, of one group or of several, which are named", () => {
    expect(codeOf([group("self", [a], [a])])).toMatchObject({
      code: "bad_topology",
      message: expect.stringContaining("self"),
    });
    const cyclic = [group("in", [a], [b]), group("x", [b], [c]), group("y", [c], [b])];
    expect(codeOf(cyclic)).toMatchObject({
      code: "bad_topology",
      message: expect.stringContaining("x, y"),
    });
  });

  test("is refused with two groups of one name, or two streams of one topic", () => {
    expect(codeOf([group("g", [a]), group("g", [b])])).toMatchObject({ code: "bad_topology" });
    expect(codeOf([group("g", [a]), group("h", [stream("a")])])).toMatchObject({
      code: "bad_topology",
      message: expect.stringContaining("topic a"),
    });
    expect(codeOf([group("g", [a]), group("h", [a])])).toBeNull();
  });

  test("is refused with a stream that stands where a group keeps its own", () => {
    for (const topic of ["g-table", "h-dead-letters"]) {
      const taken = [group("g", [a]), group("h", [stream(topic)])];
      expect(codeOf(taken)).toMatchObject({
        code: "bad_topology",
        message: expect.stringContaining(topic),
      });
    }
  });

  test("needs its streams and dead letters for good, and changelogs where they are kept", () => {
    const topology = defineTopology([group("g", [a], [b])]);
    const kept = { partitions: 3, cleanup: "keep", retentionMs: null };
    const streams = ["a", "b", "g-dead-letters"].map((name) => ({ name, ...kept }) as never);
    expect(topicSpecs(topology, { partitions: 3, keepsChangelogs: false })).toEqual(streams);
    const sevenDaysMs = 7 * 24 * 60 * 60 * 1_000;
    expect(topicSpecs(topology, { partitions: 3, keepsChangelogs: true })).toEqual([
      ...streams,
      { name: "g-table", partitions: 3, cleanup: "compact", retentionMs: sevenDaysMs },
    ]);
  });
});
