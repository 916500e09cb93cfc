import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LogError } from "../../src/log/event-log.ts";
import { tryLock } from "../../src/log/file-lock.ts";

test("a file that cannot be locked is named", () => {
  const folder = mkdtempSync(join(tmpdir(), "file-lock-"));
  const path = join(folder, "lock.db");
  try {
    writeFileSync(path, Buffer.alloc(8_192, "x"));
    expect(() => tryLock(path)).toThrow(LogError);
    expect(() => tryLock(path)).toThrow(`${path} cannot be locked (file is not a database)`);
    expect(() => tryLock(join(path, "below"))).toThrow(`${join(path, "below")} cannot be locked`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
