import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEmbeddedLog } from "../../../src/log/embedded/embedded-log.ts";
import type { MemberRow } from "../../../src/log/embedded/member-rows.ts";
import { otherUsers } from "../../../src/log/embedded/other-users.ts";
import { thisProcess } from "../../../src/log/embedded/processes.ts";

const LOG = join(import.meta.dir, "../../../src/log/embedded/embedded-log.ts");
/** Opens the log in the folder, and ends when its input does. */
const HOLDER =
  `const { openEmbeddedLog } = await import(${JSON.stringify(LOG)});` +
  "const log = openEmbeddedLog({ folder: process.argv.at(-1), nowMs: Date.now });" +
  "await log.meta('any'); console.log('open');" +
  "for await (const _ of process.stdin); process.exit(0);";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "other-users-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("names whoever has the log open, member of a group or not, and nobody else", async () => {
  const log = openEmbeddedLog({ folder, create: true, nowMs: Date.now });
  expect(await log.otherUsers()).toEqual([]);
  const holder = Bun.spawn([process.execPath, "-e", HOLDER, folder], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  const said = await holder.stdout.getReader().read();
  expect(new TextDecoder().decode(said.value)).toBe("open\n");
  expect(await log.otherUsers()).toEqual([holder.pid]);
  await holder.stdin.end();
  await holder.exited;
  expect(await log.otherUsers()).toEqual([]);
  await log.close();
});

test("where the system lists no locks, a member lives by its pid or its counter", async () => {
  const own = thisProcess();
  const asked = (...rows: Partial<MemberRow>[]) => {
    let looks = 0;
    let nowMs = 0;
    return otherUsers({
      path: join(folder, "not-there.db"),
      members: () => {
        looks += 1;
        return rows.map((row, index) => {
          const counter = row.pid === 71 ? looks : 1;
          return { ...own, started: "", id: `${index}`, counter, ...row };
        });
      },
      monotonicMs: () => (nowMs += 2_000),
    });
  };
  expect(await asked()).toEqual([]);
  expect(await asked({})).toEqual([]); // this process
  expect(await asked({ pid: process.ppid })).toEqual([process.ppid]);
  expect(await asked({ pid: 2 ** 22 + 1 })).toEqual([]); // above what Linux gives out
  expect(await asked({ pid: 71, host: "elsewhere" }, { pid: 72, host: "elsewhere" })).toEqual([71]);
  expect(await asked({ pid: 72, host: "elsewhere" })).toEqual([]);
});
