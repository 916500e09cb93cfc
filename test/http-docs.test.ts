import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { OPERATIONS } from "../src/service/document/operations.ts";
import { STATUS } from "../src/service/problem.ts";
import { PROJECT_ROOT } from "./house/source-files.ts";

const text = readFileSync(join(PROJECT_ROOT, "docs/http.md"), "utf8");

test("docs/http.md names every route and every code", () => {
  for (const { method, path } of OPERATIONS) {
    expect(text).toContain(`${method.toUpperCase()} ${path}`);
  }
  for (const [code, status] of Object.entries(STATUS)) {
    const row = text.split("\n").find((line) => line.startsWith(`| ${status} |`));
    expect([code, row?.includes(`\`${code}\``)]).toEqual([code, true]);
  }
});
