import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { newDeposit } from "../../src/deposits/deposit.ts";
import { importDeposits } from "../../src/deposits/import.ts";
import { MAX_KEPT_CONFLICTS } from "../../src/deposits/import-ledger.ts";
import { SentRanges, lastPositions } from "../../src/deposits/import-tally.ts";
import {
  csvOf,
  expectedVerdicts,
  history,
  importRun,
  type ImportRun,
  ndjsonOf,
  NOW_MS,
  shuffled,
  verdicts,
} from "./import-run.ts";
import { rejection } from "../rejection.ts";

let run: ImportRun;
beforeEach(async () => {
  run = await importRun();
});
afterEach(() => run.close());

const HEADER = "wallet_id,amount,accepted_at,id";
const COUNTS = { new: 0, repeats: 0, conflicts: 0 };

describe("verdicts", () => {
  test("are those of a sorted replay, whatever the order of the lines", async () => {
    const rows = history({ rows: 3_000, wallets: 60, seed: 7 });
    const expected = expectedVerdicts(rows);
    const flags = Object.values(expected).map(({ isFlagged }) => isFlagged);
    expect(new Set(flags)).toEqual(new Set([true, false]));
    const result = await run.import(run.file("a.csv", csvOf(shuffled(rows, 8))));
    expect(result).toMatchObject({ rows: 3_000, ...COUNTS, new: 3_000, doneBeforeAtMs: null });
    expect(verdicts(run.app, Object.keys(expected))).toEqual(expected);
  });

  test("are the same for two files and live deposits before and meanwhile", async () => {
    const rows = history({ rows: 3_000, wallets: 60, seed: 9 });
    const [before, meanwhile] = [rows.slice(0, 500), rows.slice(500, 1_000)];
    const emissionOf = ({ walletId, ...row }: (typeof rows)[number]) => ({
      key: walletId,
      message: newDeposit({ amountMinor: row.amountMinor, acceptedAtMs: row.timeMs }),
    });
    await run.app.deposits.emitAll(before.map(emissionOf));
    const live: Promise<unknown>[] = [];
    const importing = run.import(run.file("a.ndjson", ndjsonOf(rows.slice(1_000, 2_000))), {
      onProgress: (step) => {
        if (step !== "sending" || live.length > 0) return;
        for (const row of meanwhile) live.push(run.app.deposits.emit(emissionOf(row)));
      },
    });
    expect(await importing).toMatchObject({ ...COUNTS, new: 1_000 });
    expect(live).toHaveLength(500);
    await Promise.all(live);
    const packed = gzipSync(csvOf(rows.slice(2_000)));
    expect(await run.import(run.file("b.csv.gz", packed))).toMatchObject({ new: 1_000 });
    const expected = expectedVerdicts(rows);
    expect(verdicts(run.app, Object.keys(expected))).toEqual(expected);
  });
});

describe("once", () => {
  const rows = history({ rows: 300, wallets: 10, seed: 3 });

  test("the same content again appends nothing, by whatever name and packing", async () => {
    await run.import(run.file("a.csv", csvOf(rows)));
    const before = verdicts(run.app, ["wallet-1", "wallet-2"]);
    const again = await run.import(run.file("b.gz", gzipSync(csvOf(rows))));
    expect(again).toMatchObject({ ...COUNTS, repeats: 300, doneBeforeAtMs: NOW_MS });
    expect(await run.deposits()).toBe(300n);
    expect(verdicts(run.app, ["wallet-1", "wallet-2"])).toEqual(before);
  });

  test("equal rows of one file are deposits of their own; equal ids are not", async () => {
    const content = `${HEADER}\na,1,1000,\na,1,1000,\na,1,1000,x\na,1,1000,x\nb,1,1000,x\n`;
    const result = await run.import(run.file("a.csv", content));
    expect(result).toMatchObject({ ...COUNTS, new: 4, repeats: 1 });
    expect(verdicts(run.app, ["a", "b"])).toMatchObject({
      a: { totalMinor: 300n },
      b: { totalMinor: 100n },
    });
  });

  test("two files that share ids count them once, whatever their formats", async () => {
    const named = rows.map((row, i) => ({ ...row, id: `order-${i}` }));
    const [first, second] = [named.slice(0, 200), shuffled(named.slice(100), 1)];
    await run.import(run.file("a.csv", csvOf(first)));
    const result = await run.import(run.file("b.ndjson", ndjsonOf(second)));
    expect(result).toMatchObject({ ...COUNTS, new: 100, repeats: 100 });
    const expected = expectedVerdicts(rows);
    expect(verdicts(run.app, Object.keys(expected))).toEqual(expected);
  });

  test("an import that was stopped while it was sent goes on when it is run again", async () => {
    const many = history({ rows: 6_000, wallets: 1_500, seed: 4 });
    const path = run.file("a.csv", csvOf(many));
    const stopping = new AbortController();
    const stopped = run.import(path, {
      signal: stopping.signal,
      onProgress: (step, done) => {
        if (step === "sending" && done >= 2_000) stopping.abort();
      },
    });
    expect(await rejection(stopped)).toMatchObject({
      code: "stopped",
      message: expect.stringContaining("of 6000 rows in the log"),
    });
    const sent = await run.deposits();
    expect(sent).toBeGreaterThanOrEqual(2_000n);
    expect(sent).toBeLessThan(6_000n);
    const result = await run.import(path);
    expect(result.new + result.repeats).toBe(6_000);
    expect(BigInt(result.repeats)).toBe(sent);
    const expected = expectedVerdicts(many);
    expect(verdicts(run.app, Object.keys(expected))).toEqual(expected);
  });

  test("an import that ended before it was settled sends nothing again, and counts", async () => {
    const path = run.file("a.csv", csvOf(rows));
    const settle = () => Promise.reject(new Error("a partition stands still"));
    expect((await rejection(run.import(path, { settle }))).message).toContain("stands still");
    expect(await run.import(path)).toMatchObject({ ...COUNTS, new: 300, doneBeforeAtMs: null });
    expect(await run.deposits()).toBe(300n);
  });
});

describe("conflicts", () => {
  test("are not counted, and named with both positions, also when asked again", async () => {
    const first = await run.import(run.file("a.csv", `${HEADER}\na,1,1000,x\na,2,1000,y\n`));
    expect(first).toMatchObject({ ...COUNTS, new: 2 });
    const second = run.file("b.csv", `${HEADER}\na,1.00,2000,x\na,5,1000,y\na,6,1000,z\n`);
    const result = await run.import(second);
    expect(result).toMatchObject({ new: 1, repeats: 1, conflicts: 1 });
    const partition = run.app.deposits.partitionOf("a");
    expect(result.conflicting).toEqual([
      {
        walletId: "a",
        id: "y",
        position: { partition, offset: 3n },
        amountMinor: 500n,
        countedPosition: { partition, offset: 1n },
        countedAmountMinor: 200n,
      },
    ]);
    expect(verdicts(run.app, ["a"])).toMatchObject({ a: { totalMinor: 900n } });
    const dead = await run.app.log.bounds("balance-dead-letters", partition);
    expect(dead.end - dead.start).toBe(1n);
    const again = await run.import(second);
    expect(again).toMatchObject({ new: 0, repeats: 2, conflicts: 1 });
    expect(again.conflicting).toEqual(result.conflicting);
    expect(dead).toEqual(await run.app.log.bounds("balance-dead-letters", partition));
  });

  test("too many to keep are counted, and the first of them told again", async () => {
    const count = MAX_KEPT_CONFLICTS + 5;
    const ids = Array.from({ length: count }, (_, i) => `id-${i}`);
    const file = (amount: number) =>
      `${HEADER}\n${ids.map((id) => `w,${amount},1000,${id}`).join("\n")}\n`;
    await run.import(run.file("a.csv", file(1)));
    const path = run.file("b.csv", file(2));
    const first = await run.import(path);
    expect(first.conflicts).toBe(count);
    expect(first.conflicting).toHaveLength(count);
    const again = await run.import(path);
    expect(again.conflicts).toBe(count);
    expect(again.conflicting).toEqual(first.conflicting.slice(0, MAX_KEPT_CONFLICTS));
  });
});

describe("bad lines", () => {
  const content = `${HEADER}\na,1,1000,\na,0,1000,\nb,"2,1000,\nb,2,1000,\n`;

  test("keep everything out, and all are named", async () => {
    const named: number[] = [];
    const importing = run.app.importDeposits({
      path: run.file("a.csv", content),
      pipe: new Blob([]).stream() as unknown as AsyncIterable<Uint8Array>,
      skipBad: null,
      settle: () => Promise.reject(new Error("nothing to settle")),
      signal: new AbortController().signal,
      onProgress: () => {},
      onBadLine: (line) => named.push(line),
      onConflict: () => {},
    });
    expect(await rejection(importing)).toMatchObject({
      code: "bad_lines",
      message: expect.stringContaining("2 of 4 lines"),
    });
    expect(named).toEqual([3, 4]);
    expect(await run.deposits()).toBe(0n);
  });

  test("are written aside as they are, ready to be mended, and the rest counts", async () => {
    const path = run.file("a.csv", content);
    const skipBad = join(run.folder, "bad.csv");
    const result = await run.import(path, { skipBad });
    expect(result).toMatchObject({ rows: 2, skippedLines: 2, new: 2 });
    expect(readFileSync(skipBad, "utf8")).toBe(`${HEADER}\na,0,1000,\nb,"2,1000,\n`);
    const mended = `${HEADER}\na,3,1000,\nb,4,1000,\n`;
    expect(await run.import(run.file("mended.csv", mended))).toMatchObject({ new: 2 });
    expect(verdicts(run.app, ["a", "b"])).toMatchObject({
      a: { totalMinor: 400n },
      b: { totalMinor: 600n },
    });
  });

  test("that are ahead in time are written aside too, and told of when they are good", async () => {
    const aheadMs = 60 * 60_000;
    const row = `b,2,${NOW_MS + aheadMs},\n`;
    const path = run.file("a.csv", `${HEADER}\na,1,1000,\n${row}`);
    expect(await rejection(run.import(path))).toMatchObject({ code: "bad_lines" });
    const skipBad = join(run.folder, "bad.csv");
    const first = { rows: 1, skippedLines: 1, leftOutRows: 0, ...COUNTS, new: 1 };
    expect(await run.import(path, { skipBad })).toMatchObject(first);
    expect(readFileSync(skipBad, "utf8")).toBe(`${HEADER}\n${row}`);
    run.pass(aheadMs);
    // Good now, but it may have been imported from where it was written: it must not count twice.
    const later = { rows: 1, skippedLines: 0, leftOutRows: 1, ...COUNTS, repeats: 1 };
    expect(await run.import(path)).toMatchObject(later);
    expect(await run.import(skipBad)).toMatchObject({ ...COUNTS, new: 1, leftOutRows: 0 });
    expect(await run.deposits()).toBe(2n);
  });

  test("do not shift the ids of the rows behind them", async () => {
    const path = run.file("a.csv", content);
    const { sha256 } = await run.import(path, { skipBad: join(run.folder, "bad.csv") });
    const ids = ["1", "4"].map((row, i) => {
      const id = `${sha256}:${row}`;
      return run.app.views.balance.id(i === 0 ? "a" : "b", { topic: "deposit", id });
    });
    expect(ids).toEqual([
      { offset: 0n, fingerprint: "100" },
      { offset: expect.any(BigInt), fingerprint: "200" },
    ]);
  });

  test("are not written over the file itself, and no file is made for none", async () => {
    const path = run.file("a.csv", content);
    expect((await rejection(run.import(path, { skipBad: path }))).message).toContain(
      "name another one",
    );
    expect(readFileSync(path, "utf8")).toBe(content);
    const good = run.file("good.csv", `${HEADER}\na,1,1000,\n`);
    await run.import(good, { skipBad: join(run.folder, "none") });
    expect(existsSync(join(run.folder, "none"))).toBeFalse();
  });
});

describe("a file that changes while it is imported", () => {
  const rows = history({ rows: 500, wallets: 10, seed: 5 });

  test("is refused, and may be imported again", async () => {
    const content = csvOf(rows);
    const path = run.file("a.csv", content);
    const importing = run.import(path, {
      onProgress: (step, done) => {
        if (step !== "checking" || done < content.length) return;
        writeFileSync(path, content.replace(/1(?=\.)/, "2"));
      },
    });
    expect(await rejection(importing)).toMatchObject({ code: "changed" });
    // None of the changed rows has taken an id of the first content.
    writeFileSync(path, content);
    expect(await run.import(path)).toMatchObject({ doneBeforeAtMs: null, rows: 500 });
    const expected = expectedVerdicts(rows);
    expect(verdicts(run.app, Object.keys(expected))).toEqual(expected);
  });

  test("is imported as far as it went at the start when it only grows", async () => {
    const path = run.file("a.csv", csvOf(rows));
    const result = await run.import(path, {
      onProgress: (step, done) => {
        if (step === "checking" && done > 0) appendFileSync(path, "more,1,1000,\n");
      },
    });
    expect(result).toMatchObject({ new: 500 });
  });
});

describe("ranges", () => {
  test("too many to keep are counted on the way, and all rows once", async () => {
    const rows = history({ rows: 4_500, wallets: 1_500, seed: 6 });
    const { app } = run;
    const standIn = app.standIn({
      signal: new AbortController().signal,
      monotonicMs: () => performance.now(),
      onWait: () => {},
    });
    let settled = 0;
    const request = {
      path: run.file("a.csv", csvOf(rows)),
      pipe: new Blob([]).stream() as unknown as AsyncIterable<Uint8Array>,
      skipBad: null,
      settle: (positions: Parameters<typeof standIn.settle>[0]) => {
        settled += 1;
        return standIn.settle(positions);
      },
      signal: new AbortController().signal,
      onProgress: () => {},
      onBadLine: () => {},
      onConflict: () => {},
    };
    const result = await importDeposits(request, {
      deposits: app.deposits,
      balance: app.views.balance,
      ledger: app.log,
      readSent: ({ partition, from, to }) =>
        app.log.read({ topic: "deposit", partition, from, until: to }),
      decimals: app.decimals,
      temporaryFolder: run.folder,
      nowMs: app.nowMs,
      delay: app.delay,
      maxRanges: 0,
    });
    await standIn.leave();
    expect(settled).toBeGreaterThan(1);
    expect(result).toMatchObject({ ...COUNTS, new: 4_500 });
  });


  test("grow while offsets follow one another, and end where others wrote", () => {
    const ranges = new SentRanges();
    for (const offset of [5n, 6n, 7n, 9n]) ranges.add({ partition: 1, offset });
    for (const offset of [0n, 1n]) ranges.add({ partition: 0, offset });
    ranges.add({ partition: 1, offset: 10n });
    expect(ranges.all()).toEqual([
      { partition: 1, from: 5n, to: 8n },
      { partition: 1, from: 9n, to: 11n },
      { partition: 0, from: 0n, to: 2n },
    ]);
    expect(lastPositions(ranges.all())).toEqual([
      { topic: "deposit", partition: 1, offset: 10n },
      { topic: "deposit", partition: 0, offset: 1n },
    ]);
  });
});
