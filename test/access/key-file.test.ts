/** The file that keys lie in, and what may stand in its place. */

import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keyLine, MAX_KEYS, newApiKey } from "../../src/access/api-key.ts";
import { addKey, readKeys, readKeyText, revokeKey } from "../../src/access/key-file.ts";

const NOW_MS = Date.UTC(2026, 0, 31, 12);
const keyOf = (name: string) => newApiKey({ name, scope: "client", nowMs: NOW_MS }).key;

/** `using` removes it. */
function temporaryFolder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "depositaja-keys-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

test("what is no file is refused, unread: a pipe has its text once, or waits for it", () => {
  using folder = temporaryFolder();
  const pipe = join(folder.path, "pipe");
  expect(Bun.spawnSync(["mkfifo", "-m", "600", pipe]).exitCode).toBe(0);
  const inner = join(folder.path, "inner");
  mkdirSync(inner, { mode: 0o700 });
  for (const path of [inner, pipe]) {
    const told = `the key file ${path} is no regular file`;
    expect(() => readKeyText(path)).toThrow(told);
  }
});

test("making and revoking keys keeps an operator's own comments in their places", () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "keys");
  const [shop, desk, till, kiosk] = [keyOf("shop"), keyOf("desk"), keyOf("till"), keyOf("kiosk")];
  addKey(file, shop);
  const header = readFileSync(file, "utf8").split("\n")[0] as string;
  expect(header).toStartWith("# Keys of the API");
  // By hand: comments, a blank line, two keys in one line, and no line break at the end.
  const head = ["# Of the shops: ask ann", ...[header, "", "  # the web shop"]];
  const tail = ["# till is rented, until 2027"];
  const both = `${keyLine(desk)}, ${keyLine(till)}`;
  writeFileSync(file, [...head, keyLine(shop), ...tail, both].join("\r\n"));
  addKey(file, kiosk);
  const revoked = revokeKey(file, "desk", NOW_MS + 1);
  const keys = [revoked, till, kiosk].map(keyLine);
  const lines = [...head, keyLine(shop), ...tail, ...keys];
  expect(readFileSync(file, "utf8")).toBe(`${lines.join("\n")}\n`);
  expect(readKeys(file)).toEqual([shop, revoked, till, kiosk]);
});

test("no key is added that would make a file which nothing reads any more", () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "keys");
  addKey(file, keyOf("shop"));
  const written = readFileSync(file, "utf8");
  const remark = `# ${"x".repeat(2 * 1024 * 1024 - written.length - 10)}\n`;
  const many = Array.from({ length: MAX_KEYS }, (_, i) => `${keyLine(keyOf(`k${i}`))}\n`);
  for (const [text, told] of [
    [written + remark, "no key file is larger than"],
    [many.join(""), `more than ${MAX_KEYS} keys`],
  ] as const) {
    writeFileSync(file, text);
    expect(() => addKey(file, keyOf("desk"))).toThrow(told);
    expect(readFileSync(file, "utf8")).toBe(text);
  }
});
