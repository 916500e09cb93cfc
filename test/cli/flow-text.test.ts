import { describe, expect, test } from "bun:test";
import { flowOf } from "../../src/administration/flow.ts";
import { flowLines, mermaidLines } from "../../src/cli/flow-text.ts";
import { jsonCodec } from "../../src/stream/codec.ts";
import { defineGroup, input, type Stream } from "../../src/stream/group.ts";
import { defineTopology } from "../../src/stream/topology.ts";

const stream = (topic: string): Stream<number> => ({
  topic,
  codec: jsonCodec(),
  validate: () => null,
});
const [orders, deposit, end] = [stream("orders"), stream("deposit"), stream("end")];
const row = { name: "total", tag: 1, codec: jsonCodec<unknown>() };

function group(name: string, from: readonly Stream<number>[], to: readonly Stream<number>[]) {
  const inputs = from.map((each) => input(each, () => {}));
  return defineGroup({ name, inputs, outputs: to, rows: [row] });
}

/** Two ways lead to the last group, and two groups write its stream. */
const flow = flowOf(
  defineTopology([
    group("last", [deposit, end], []),
    group("left", [orders, deposit], [end]),
    group("right", [orders], [end]),
  ]),
);

describe("the flow", () => {
  test("as text names everything, and draws once what several ways lead to", () => {
    const keeps = (name: string) => `keeps ${name}-table (total), refuses to ${name}-dead-letters`;
    const widest = "│       └─> last".length;
    expect(flowLines(flow)).toEqual(
      [
        ["deposit", "json, written by service, commands"],
        ["├─> left", keeps("left")],
        ["│   └─> end", "json, written by left, right"],
        ["│       └─> last", keeps("last")],
        ["└─> last", "as above"],
        ["orders", "json"],
        ["├─> left", "as above"],
        ["└─> right", keeps("right")],
        ["    └─> end", "as above"],
      ].map(([name = "", about = ""]) => `${name.padEnd(widest)}  ${about}`),
    );
  });

  test("as Mermaid has an arrow for each stream read and written", () => {
    expect(mermaidLines(flow).filter((line) => line.includes("-->"))).toEqual([
      "  outside --> stream1",
      "  stream3 --> group1",
      "  stream1 --> group1",
      "  group1 --> stream2",
      "  group1 --> table1",
      "  stream3 --> group2",
      "  group2 --> stream2",
      "  group2 --> table2",
      "  stream1 --> group3",
      "  stream2 --> group3",
      "  group3 --> table3",
    ]);
  });
});
