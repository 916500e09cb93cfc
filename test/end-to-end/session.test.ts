import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BUILD_DEADLINE_MS, buildExecutable } from "./executable.ts";
import { PROJECT_ROOT, Running, run, SOURCE, temporaryFolder } from "./program.ts";
import { playSession } from "./session.ts";

const TEST_MS = 60_000;
/** What the package's scripts need of a clone. */
const CLONED = ["package.json", "bun.lock", "bunfig.toml", "patches", "src", "node_modules"];

const built = temporaryFolder();
let executable = "";
beforeAll(async () => {
  executable = await buildExecutable(built.path);
}, BUILD_DEADLINE_MS);
afterAll(() => built[Symbol.dispose]());

describe("up, deposit, check, kill -9, restart, check", () => {
  test("from source", async () => {
    using folder = temporaryFolder();
    await playSession({ folder: folder.path, program: SOURCE });
  }, TEST_MS);

  test("as an executable, in a folder with a hostile .env and bunfig.toml", async () => {
    using folder = temporaryFolder();
    makeHostile(folder.path);
    writeFileSync(join(folder.path, "bunfig.toml"), 'preload = ["./hostile.ts"]\nenv = true\n');
    await playSession({ folder: folder.path, program: [executable] });
  }, TEST_MS);

  test("by the package's scripts, with a hostile .env beside package.json", async () => {
    using folder = temporaryFolder();
    const clone = join(folder.path, "clone");
    mkdirSync(clone);
    for (const name of CLONED) {
      symlinkSync(join(PROJECT_ROOT, name), join(clone, name));
    }
    makeHostile(clone);
    const data = join(folder.path, "data");
    const program = [process.execPath, "run", "depositaja"];
    const options = { folder: clone, program };
    const deposit = await run(options, "deposit", "alice", "1", "--data", data);
    expect(deposit.code).toBe(1);
    expect(deposit.err).toContain(`there is no data in ${data}`);
    await using up = new Running(options, "up", "--port", "0", "--data", data);
    await up.serves();
    expect(up.out).toContain(`\n  bun run depositaja flags alice --data ${data}\n`);
    expect(await run(options, "deposit", "alice", "1", "--data", data)).toMatchObject({ code: 0 });
  }, TEST_MS);
});

test("the executable prints next commands that work as they stand", async () => {
  using folder = temporaryFolder();
  const options = { folder: folder.path, program: [executable] };
  await using up = new Running(options, "up", "--port", "0", "--data", "some data");
  await up.says(/Ctrl-C/);
  const commands = up.out.split("\n").filter((line) => line.startsWith("  "));
  expect(commands).toHaveLength(4);
  const printed: string[] = [];
  for (const command of commands) {
    const { code, out, err } = await run({ ...options, program: ["bash", "-c"] }, command);
    const complaints = err.replace(/^ +%[^]*$/, ""); // curl's progress
    expect({ command, code, complaints }).toEqual({ command, code: 0, complaints: "" });
    printed.push(out);
  }
  expect(printed[2]).toContain('"balance":10000.01');
  expect(printed[3]).toContain("flagged  yes");
}, TEST_MS);

test("the executable has the document and its page inside", async () => {
  using folder = temporaryFolder();
  const options = { folder: folder.path, program: [executable] };
  await using up = new Running(options, "up", "--port", "0");
  const url = await up.serves();
  const [page, script, openapi] = await Promise.all(
    ["/docs", "/docs/scalar.js", "/openapi.json"].map((path) => fetch(`${url}${path}`)),
  );
  expect(await page?.text()).toContain('src="/docs/scalar.js"');
  expect((await script?.text())?.length).toBeGreaterThan(4_000_000);
  expect(await openapi?.json()).toMatchObject({ openapi: "3.1.0", info: { title: "Depositaja" } });
}, TEST_MS);

/** Each would stop the program, or let it run elsewhere, if it were read. */
function makeHostile(folder: string): void {
  const hostile = "DEPOSITAJA_DATA=/nowhere/at/all\nDEPOSITAJA_PORT=none\nDEPOSITAJA_BROKERS=a:1\n";
  for (const name of [".env", ".env.local", ".env.development", ".env.production"]) {
    writeFileSync(join(folder, name), hostile);
  }
  writeFileSync(join(folder, "hostile.ts"), 'throw new Error("preloaded");\n');
}
