import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type App, openApp } from "../../src/app.ts";
import { delay } from "../../src/cli/stopping.ts";
import {
  countDeposits,
  csvOf,
  expectedVerdicts,
  history,
  ndjsonOf,
  shuffled,
  verdicts,
} from "../deposits/import-run.ts";
import { PROGRAM } from "../end-to-end/program.ts";

const HEADER = "wallet_id,amount,accepted_at,id";
/** A start of the program, on a machine that does other things too. */
const TEST_MS = 60_000;

let folder: string;
let data: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cli-import-"));
  data = join(folder, "data");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function start(args: readonly string[], stdin: Uint8Array | "ignore" = "ignore") {
  return Bun.spawn([...PROGRAM, "import", ...args, "--data", data], {
    cwd: folder,
    stdin,
    stdout: "pipe",
    stderr: "pipe",
  });
}

async function run(args: readonly string[], stdin: Uint8Array | "ignore" = "ignore") {
  const child = start(args, stdin);
  const [out, err, code] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  return { out, err, code };
}

function file(name: string, content: string | Uint8Array): string {
  writeFileSync(join(folder, name), content);
  return name;
}

async function withApp<T>(options: { create: boolean }, use: (app: App) => Promise<T>): Promise<T> {
  const app = await openApp({ folder: data, ...options, nowMs: Date.now, delay });
  try {
    return await use(app);
  } finally {
    await app.close();
  }
}

describe("import", () => {
  test("makes the data folder and says so; the same file again changes nothing", async () => {
    const name = file("a.csv", `${HEADER}\na,1.25,1000,\nb,2,2026-01-31T12:00:00Z,x\n`);
    const first = await run([name]);
    expect(first.err).toContain(`data: ${data} (created, 8 partitions, 2 decimals)`);
    expect(first).toMatchObject({
      code: 0,
      out: "a.csv: 2 rows imported: 2 new, 0 repeats, 0 conflicts\n",
    });
    const again = await run([name]);
    expect(again).toMatchObject({ code: 0, err: "" });
    expect(again.out).toContain("2 rows, imported before");
    await withApp({ create: false }, async (app) => {
      expect(await countDeposits(app)).toBe(2n);
      expect(verdicts(app, ["a"])).toMatchObject({ a: { totalMinor: 125n } });
    });
  }, TEST_MS);

  test("takes a pipe, gzip too, and leaves no temporary file", async () => {
    const rows = history({ rows: 500, wallets: 20, seed: 1 });
    const { code, out } = await run(["-", "--json"], gzipSync(ndjsonOf(rows)));
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({
      file: "-",
      sha256: new Bun.CryptoHasher("sha256").update(ndjsonOf(rows)).digest("hex"),
      rows: 500,
      new: 500,
      repeats: 0,
      conflicts: 0,
      skipped_lines: 0,
      imported_before_at: null,
      left_out_rows: 0,
      conflicting: [],
      unlisted_conflicts: 0,
    });
    expect(readdirSync(data).filter((name) => name.endsWith(".tmp"))).toEqual([]);
    const bad = await run(["-"], Buffer.from("neither\nnor\n"));
    expect(bad).toMatchObject({ code: 1, err: expect.stringContaining("the pipe line 1 names") });
    expect(readdirSync(data).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  }, TEST_MS);

  test("names every bad line and imports nothing, exit 1; with --skip-bad the rest", async () => {
    const name = file("a.csv", `${HEADER}\na,1,1000,\na,0,1000,\na,1.001,1000,\n`);
    const refused = await run([name]);
    expect(refused).toMatchObject({ code: 1, out: "" });
    expect(refused.err).toContain(
      "line 3: amount must be more than 0\nline 4: amount has 3 decimals",
    );
    expect(refused.err).toContain("2 of 3 lines of a.csv are bad, nothing was imported");
    expect(existsSync(data)).toBe(false);
    const piped = await run(["-"], Buffer.from("neither\nnor\n"));
    expect(piped).toMatchObject({ code: 1, err: expect.stringContaining("the pipe line 1 names") });
    expect(readdirSync(folder)).toEqual([name]);
    const skipped = await run([name, "--skip-bad", "bad.csv"]);
    expect(skipped).toMatchObject({
      code: 0,
      out: "a.csv: 1 row imported: 1 new, 0 repeats, 0 conflicts; 2 bad lines written to bad.csv\n",
    });
    expect(await Bun.file(join(folder, "bad.csv")).text()).toBe(
      `${HEADER}\na,0,1000,\na,1.001,1000,\n`,
    );
  }, TEST_MS);

  test("lists conflicts with both positions, exit 1", async () => {
    const name = file("a.csv", `${HEADER}\na,1,1000,x\na,2,1000,x\n`);
    const { code, out, err } = await run([name]);
    expect(code).toBe(1);
    expect(out.split("\n")).toEqual([
      expect.stringMatching(/^conflict: (\d)-1 id "x" of a has 2\.00, was counted at \1-0 with 1/),
      "a.csv: 2 rows imported: 1 new, 0 repeats, 1 conflict",
      "",
    ]);
    expect(err).toContain("1 row has an id that was counted with another amount");
    expect(err).not.toContain("at ImportError");
  }, TEST_MS);

  test("lists the same conflicts again when a file is imported again", async () => {
    const name = file("a.csv", `${HEADER}\na,1,1000,x\na,2,1000,x\n`);
    const first = await run([name, "--json"]);
    const again = await run([name, "--json"]);
    expect([first.code, again.code]).toEqual([1, 1]);
    const { conflicting, ...counts } = JSON.parse(again.out) as Record<string, unknown>;
    expect(counts).toMatchObject({ new: 0, repeats: 1, conflicts: 1, unlisted_conflicts: 0 });
    expect(conflicting).toEqual([
      {
        wallet_id: "a",
        id: "x",
        position: expect.stringMatching(/^\d-1$/),
        amount: "2.00",
        counted_position: expect.stringMatching(/^\d-0$/),
        counted_amount: "1.00",
      },
    ]);
    expect(JSON.parse(first.out)).toMatchObject({ conflicting: conflicting as object });
    const text = await run([name]);
    expect(text.out).toMatch(/^conflict: \d-1 id "x" of a has 2\.00.*\na\.csv: 2 rows, imported/);
    expect(text.err).toContain("not counted, listed above, kept among the collector's dead");
  }, TEST_MS);

  test("says which rows were ahead in time when the file was imported, exit 1", async () => {
    const dayMs = 24 * 60 * 60_000;
    const name = file("a.csv", `${HEADER}\na,1,1000,\na,2,${Date.now() - dayMs / 2},\n`);
    const yesterday = () => Date.now() - dayMs;
    const app = await openApp({ folder: data, create: true, nowMs: yesterday, delay });
    const signal = new AbortController().signal;
    const monotonicMs = () => performance.now();
    const standIn = app.standIn({ signal, monotonicMs, onWait: () => {} });
    await app.importDeposits({
      path: join(folder, name),
      pipe: new Blob([]).stream() as unknown as AsyncIterable<Uint8Array>,
      skipBad: join(folder, "bad.csv"),
      signal,
      settle: (positions) => standIn.settle(positions),
      onProgress: () => {},
      onBadLine: () => {},
      onConflict: () => {},
    });
    await standIn.leave();
    await app.close();
    const again = await run([name]);
    expect(again.code).toBe(1);
    expect(again.out).toContain("a.csv: 1 row, imported before");
    expect(again.err).toContain("1 row was ahead in time when this file was imported");
    expect((await run(["bad.csv"])).out).toContain("1 row imported: 1 new");
  }, TEST_MS);

  test("makes no folder for a file that is not there", async () => {
    const { code, err } = await run(["none.csv"]);
    expect(code).toBe(1);
    expect(err).toContain(`${join(folder, "none.csv")} is not there`);
    expect(existsSync(data)).toBeFalse();
  }, TEST_MS);

  test("makes no folder for a file that cannot be read", async () => {
    symlinkSync("loop.csv", join(folder, "loop.csv"));
    const refused: [path: string, why: string][] = [
      [folder, "is a folder: name a file, or - for a pipe"],
      [join(file("plain", ""), "below.csv"), "cannot be read (ENOTDIR"],
      ["loop.csv", "cannot be read (ELOOP"],
    ];
    for (const [path, why] of refused) {
      const { code, err } = await run([path]);
      expect({ path, code, err }).toEqual({ path, code: 1, err: expect.stringContaining(why) });
      expect(existsSync(data)).toBeFalse();
    }
  }, TEST_MS);
});

const ROWS = 6_000;

/** Resolves once the log and the collector together have done so many records, or never. */
function whenDone(app: App, records: bigint): Promise<void> {
  return new Promise((resolve) => {
    const look = async () => {
      let done = 0n;
      for (let partition = 0; partition < app.partitions; partition += 1) {
        done += (await app.log.bounds("deposit", partition)).end;
        const progress = await app.log.progress("balance", partition);
        for (const { nextOffset } of progress?.inputs ?? []) done += nextOffset;
      }
      if (done < records) return;
      stop();
      resolve();
    };
    const stop = app.log.onChange(() => void look());
    void look();
  });
}

describe("killed", () => {
  const rows = shuffled(history({ rows: ROWS, wallets: 1_000, seed: 11 }), 12);
  const expected = expectedVerdicts(rows);

  // Before the first row, while rows are sent, between, and while they are counted.
  test.each([
    0,
    1 + Math.floor(Math.random() * (ROWS - 1)),
    ROWS,
    ROWS + Math.floor(Math.random() * ROWS),
  ])("after %p records and run again, it ends as if never killed", async (records) => {
    const name = file("a.csv", csvOf(rows));
    await withApp({ create: true }, async (app) => {
      const child = start([name]);
      await Promise.race([whenDone(app, BigInt(records)), child.exited]);
      child.kill("SIGKILL");
      await child.exited;
      const { code, out, err } = await run([name, "--json"]);
      expect({ code, err: code === 0 ? "" : err }).toEqual({ code: 0, err: "" });
      const result = JSON.parse(out) as { new: number; repeats: number; conflicts: number };
      expect(result.new + result.repeats).toBe(ROWS);
      expect(result.conflicts).toBe(0);
      expect(verdicts(app, Object.keys(expected))).toEqual(expected);
    });
  }, TEST_MS);

  test("by SIGINT it ends soon, says what stands, and goes on when run again", async () => {
    const name = file("a.csv", csvOf(rows));
    await withApp({ create: true }, async (app) => {
      const child = start([name]);
      await Promise.race([whenDone(app, 1n), child.exited]);
      child.kill("SIGINT");
      expect(await child.exited).toBe(1);
      expect(await child.stderr.text()).toMatch(/stand/);
      expect((await run([name])).code).toBe(0);
      expect(verdicts(app, Object.keys(expected))).toEqual(expected);
    });
  }, TEST_MS);
});
