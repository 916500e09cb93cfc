/** What is said of a file for a log that is not there yet. */

import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkFirstImport } from "../../src/administration/first-import.ts";
import { rejection } from "../rejection.ts";

const folder = mkdtempSync(join(tmpdir(), "depositaja-first-import-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function* pipeOf(content: string) {
  yield Buffer.from(content);
}

function check(content: string, data: string, skipBad: string | null = null) {
  const request = {
    ...{ path: "-", pipe: pipeOf(content), skipBad, signal: new AbortController().signal },
    ...{ onProgress: () => {}, onBadLine: () => {} },
  };
  return checkFirstImport(request, { folder: data, decimals: 3, nowMs: () => 1_000 });
}

const GOOD = "wallet_id,amount,accepted_at\nalice,0.001,1\n";

test("a pipe is checked beside the folder that is to be, and leaves nothing", async () => {
  const data = join(folder, "made", "later");
  const checked = await check(GOOD, data);
  expect(checked).toMatchObject({ file: { rows: 1, badLines: 0 }, rules: { decimals: 3 } });
  await checked?.source.close();
  const bad = await rejection(check(GOOD.replace("0.001", "0.0001"), data));
  expect(bad).toMatchObject({ code: "bad_lines" });
  expect(readdirSync(folder)).toEqual([]);
});

test("is left to whoever opens the log where one is, or none can be made", async () => {
  const data = join(folder, "data");
  mkdirSync(data);
  writeFileSync(join(data, "log.db"), "");
  expect(await check(GOOD, data)).toBeNull();
  expect(await check(GOOD, join(data, "log.db", "inside a file"))).toBeNull();
});

test("with a folder that is there for the bad lines, a file is checked first", async () => {
  const data = join(folder, "there");
  mkdirSync(data);
  const refusal = await rejection(check("alice", data, join(data, "bad.csv")));
  expect(refusal).toMatchObject({ name: "ImportError" });
  expect(readdirSync(data)).toEqual([]);
});

test("a file whose bad lines are to stand in the folder waits for the folder", async () => {
  const data = join(folder, "none");
  expect(await check("alice", data, join(data, "bad.csv"))).toBeNull();
  const bad = join(folder, "none-bad.csv");
  const aside = await check(GOOD.replace("0.001", "x"), data, bad);
  expect(aside).toMatchObject({ file: { rows: 0, badLines: 1 } });
  await aside?.source.close();
  expect(existsSync(bad)).toBe(true);
});
