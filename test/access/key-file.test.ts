/** The file that keys lie in, and what may stand in its place. */

import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readKeyText } from "../../src/access/key-file.ts";

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
