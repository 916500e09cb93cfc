import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  DEADLINE_MS,
  PROJECT_ROOT,
  Running,
  run,
  PROGRAM,
  temporaryFolder,
} from "./end-to-end/program.ts";
import { OPERATIONS } from "../src/service/document/operations.ts";
import { STATUS } from "../src/service/problem.ts";
import { readmeBlocks, showsOutput } from "./readme/readme-blocks.ts";

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

describe("docs/http.md's blocks do what it says", () => {
  const folder = temporaryFolder();
  const options = { folder: folder.path };
  let up: Running;
  let url = "";
  let printed = "";
  beforeAll(async () => {
    up = new Running(options, "up", "--port", "0");
    url = await up.serves();
    const shim = join(folder.path, "depositaja");
    writeFileSync(shim, `#!/bin/sh\nexec ${PROGRAM.map((each) => `'${each}'`).join(" ")} "$@"\n`);
    chmodSync(shim, 0o755);
  });
  afterAll(async () => {
    await up[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  for (const block of readmeBlocks(text)) {
    if (block.kind === "service") continue;
    const [firstLine] = block.text.split("\n");
    test(`line ${block.line}: ${firstLine}`, async () => {
      if (block.kind === "output") return expectShown(block.text, printed);
      const script = block.text
        .replaceAll("http://localhost:8080", url)
        .replaceAll(/^depositaja /gm, "./depositaja ");
      const program = ["bash", "-euo", "pipefail", "-c"];
      const { code, out, err } = await run({ ...options, program }, script);
      expect({ code, err }).toEqual({ code: 0, err: "" });
      printed = out;
    }, DEADLINE_MS);
  }
});

/** JSON by its values: a document breaks its lines. … stands for any value, or part of a text. */
function expectShown(shown: string, given: string): void {
  const wanted = JSON.parse(shown.replaceAll(/: …/g, ': "…"')) as unknown;
  expect(likeShown(JSON.parse(given), wanted)).toEqual(wanted);
}

/** What was given, with each value that the document leaves open as the document has it. */
function likeShown(given: unknown, shown: unknown): unknown {
  if (typeof shown === "string" && shown.includes("…")) {
    return showsOutput(shown, String(given)) ? shown : given;
  }
  if (Array.isArray(given) && Array.isArray(shown)) {
    return given.map((each, i) => likeShown(each, shown[i]));
  }
  if (!isObject(given) || !isObject(shown)) return given;
  return Object.fromEntries(
    Object.entries(given).map(([key, value]) => [key, likeShown(value, shown[key])]),
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
