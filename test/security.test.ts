/** SECURITY.md names tests: they are there, under these titles. */

import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PROJECT_ROOT } from "./house/source-files.ts";

const text = readFileSync(join(PROJECT_ROOT, "SECURITY.md"), "utf8");
const rows = text.split("\n").filter((line) => /^\| (?!Who|---)/.test(line));

test("each threat of SECURITY.md names a test, and that test is there", () => {
  expect(rows.length).toBeGreaterThan(10);
  let isNamed = false;
  for (const row of rows) {
    const [, , , , shown = ""] = row.split(/ ?\| ?/);
    const [, path = "", title = ""] = /^`([^`]+)`: (.+)$/.exec(shown) ?? [];
    if (path.startsWith("test/")) {
      const source = existsSync(join(PROJECT_ROOT, path))
        ? readFileSync(join(PROJECT_ROOT, path), "utf8")
        : "";
      expect([path, title, source.includes(`"${title}"`)]).toEqual([path, title, true]);
      isNamed = true;
    } else if (shown === "the same") expect([row, isNamed]).toEqual([row, true]);
    else {
      const [, file = ""] = /^by construction: `([^`]+)`$/.exec(shown) ?? [];
      expect([row, file !== "" && existsSync(join(PROJECT_ROOT, file))]).toEqual([row, true]);
    }
  }
});
