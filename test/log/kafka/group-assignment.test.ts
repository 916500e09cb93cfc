import { expect, test } from "bun:test";
import { assignedTo } from "../../../src/log/kafka/group-assignment.ts";

test("a partition that moves is given to nobody until its owner has let go of it", () => {
  const rounds: [what: string, owned: Record<string, number[]>, given: Record<string, number[]>][] =
    [
      ["one comes alone", { a: [] }, { a: [0, 1, 2, 3] }],
      ["another comes", { a: [0, 1, 2, 3], b: [] }, { a: [0, 1], b: [] }],
      ["the first has let go", { a: [0, 1], b: [] }, { a: [0, 1], b: [2, 3] }],
      ["a third comes", { a: [0, 1], b: [2, 3], c: [] }, { a: [0, 1], b: [2], c: [] }],
      ["and is given what is free", { a: [0, 1], b: [2], c: [] }, { a: [0, 1], b: [2], c: [3] }],
      ["the first has gone", { b: [2], c: [3] }, { b: [0, 2], c: [1, 3] }],
      ["more members than partitions", { a: [0, 1, 2, 3], b: [], c: [], d: [], e: [] }, {
        a: [0],
        b: [],
        c: [],
        d: [],
        e: [],
      }],
    ];
  for (const [what, owned, given] of rounds) {
    const found = Object.fromEntries(assignedTo(new Map(Object.entries(owned)), 4));
    expect({ what, ...found }).toEqual({ what, ...given });
  }
});

test("a partition that two claim goes to one of them", () => {
  const found = assignedTo(new Map([["a", [0, 1]], ["b", [0, 1]]]), 2);
  const all = [...found.values()].flat();
  expect(new Set(all).size).toBe(all.length);
});
