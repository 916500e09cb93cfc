/** Rows of text in columns. */

import { expect, test } from "bun:test";
import { table } from "../../src/cli/table.ts";

/** As arguments of one call they would be more than the stack holds. */
const MANY_ROWS = 1_000_000;

test("makes columns as wide as their widest cell, of a million rows", () => {
  const rows = Array.from({ length: MANY_ROWS }, () => ["a", "1"]);
  rows.push(["alice", "1000000"]);
  const lines = table(["id", "total"], rows);
  expect(lines).toHaveLength(MANY_ROWS + 2);
  expect(lines.slice(0, 2)).toEqual(["id       total", "a            1"]);
  expect(lines.at(-1)).toBe("alice  1000000");
});
