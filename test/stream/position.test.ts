import { expect, test } from "bun:test";
import { formatPosition, parsePosition } from "../../src/stream/position.ts";

test("reads back what it prints", () => {
  for (const position of [
    { partition: 0, offset: 0n },
    { partition: 3, offset: 17n },
    { partition: 1_023, offset: 9_007_199_254_740_991n },
  ]) {
    expect(parsePosition(formatPosition(position))).toEqual(position);
  }
  expect(formatPosition({ partition: 3, offset: 17n })).toBe("3-17");
});

test("reads nothing else", () => {
  const parts = ["", "3", "3-", "-17", "3--1", "3-1-1", "a-1", "٣-1", "3-1.0"];
  const forms = ["03-1", "3-017", "3-1 ", " 3-1", "3-1\n", "10000-1", `3-1${"0".repeat(16)}`];
  for (const text of [...parts, ...forms]) {
    expect([text, parsePosition(text)]).toEqual([text, null]);
  }
});
