import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { LineReading } from "../../src/deposits/import-lines.ts";
import { ImportReading } from "../../src/deposits/import-reading.ts";
import { openImportSource } from "../../src/deposits/import-source.ts";
import { rejection } from "../rejection.ts";

const folder = mkdtempSync(join(tmpdir(), "import-"));
afterAll(() => rmSync(folder, { recursive: true }));

const RULES = { decimals: 2, nowMs: 1_790_000_000_000 };
const { signal } = new AbortController();
const HEADER = "wallet_id,amount,accepted_at";

async function* nothing(): AsyncGenerator<Uint8Array> {}

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

function open(content: string | Uint8Array) {
  const path = join(folder, crypto.randomUUID());
  writeFileSync(path, content);
  return openImportSource({ path, pipe: nothing(), temporaryFolder: folder, signal });
}

async function textOf(content: string | Uint8Array): Promise<string> {
  const source = await open(content);
  try {
    const chunks: Uint8Array[] = [];
    for await (const chunk of source.chunks()) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  } finally {
    await source.close();
  }
}

describe("a source", () => {
  const large = "a line of text\n".repeat(100_000);

  test("is plain or gzip by its content, members one after the other", async () => {
    expect(await textOf(large)).toBe(large);
    expect(await textOf(gzipSync(large))).toBe(large);
    const members = Buffer.concat([gzipSync(large), gzipSync(""), gzipSync("the end\n")]);
    expect(await textOf(members)).toBe(`${large}the end\n`);
    expect(await textOf(Buffer.concat([gzipSync(large), Buffer.alloc(70_000)]))).toBe(large);
  });

  const packed = gzipSync(large);
  const flipped = Buffer.from(packed);
  flipped[packed.length - 6] = (flipped[packed.length - 6] as number) ^ 1;
  test.each([
    ["cut in the data", packed.subarray(0, 1_000), "cut short"],
    ["cut in the trailer", packed.subarray(0, -3), "cut short"],
    ["cut in a later member", Buffer.concat([packed, gzipSync("x").subarray(0, -9)]), "cut short"],
    ["with text behind", Buffer.concat([packed, Buffer.from("wallet_id,amount")]), "stands behind"],
    ["with a line feed behind", Buffer.concat([packed, Buffer.from("\n")]), "stands behind"],
    ["with text behind zeros", Buffer.concat([packed, Buffer.from("\0\0\0x")]), "stands behind"],
    ["with a wrong checksum", flipped, "damaged"],
  ])("names what is wrong with gzip %s", async (_title, bytes, problem) => {
    expect(await rejection(textOf(bytes))).toMatchObject({
      code: "bad_content",
      message: expect.stringContaining(problem),
    });
  });

  test("is a pipe's content, twice, without a name in the folder", async () => {
    const content = gzipSync(large);
    const before = readdirSync(folder).length;
    const pipe = pieces(content, 999);
    const source = await openImportSource({ path: "-", pipe, temporaryFolder: folder, signal });
    expect(readdirSync(folder)).toHaveLength(before);
    expect(source.sizeBytes).toBe(content.length);
    for (let reading = 0; reading < 2; reading += 1) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of source.chunks()) chunks.push(chunk);
      expect(Buffer.concat(chunks).toString()).toBe(large);
    }
    await source.close();
  });

  test("stops waiting for a silent pipe, and leaves nothing", async () => {
    const stopping = new AbortController();
    const before = readdirSync(folder).length;
    const silent: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
    };
    const opening = openImportSource({
      path: "-",
      pipe: silent,
      temporaryFolder: folder,
      signal: stopping.signal,
    });
    stopping.abort();
    expect(await rejection(opening)).toMatchObject({ code: "stopped" });
    expect(readdirSync(folder)).toHaveLength(before);
  });

  test("says why there is none", async () => {
    const at = (path: string) =>
      openImportSource({ path, pipe: nothing(), temporaryFolder: folder, signal });
    expect(await rejection(at(join(folder, "none")))).toMatchObject({ code: "unreadable" });
    expect((await rejection(at(folder))).message).toContain("it is a folder");
  });
});

async function rowsOf(content: string | Uint8Array) {
  const source = await open(content);
  try {
    const reading = new ImportReading({ source, rules: RULES });
    const found: { line: number; row: number; problem: string | null }[] = [];
    for await (const block of reading.blocks()) {
      let row = block.firstRow;
      for (const [i, each] of block.rows.entries()) {
        if (each === null) continue;
        const problem = typeof each === "string" ? each : null;
        found.push({ line: block.firstLine + i, row, problem });
        row += 1;
      }
    }
    return found;
  } finally {
    await source.close();
  }
}

describe("a reading", () => {
  test("numbers rows by the lines that are not blank, good and bad alike", async () => {
    const found = await rowsOf(`\ufeff${HEADER}\r\na,1,1\r\n\r\na,0,1\r\n\na,3,1`);
    expect(found).toEqual([
      { line: 2, row: 1, problem: null },
      { line: 4, row: 2, problem: "amount must be more than 0" },
      { line: 6, row: 3, problem: null },
    ]);
  });

  test("numbers on over the ends of blocks", async () => {
    const count = 40_000;
    const lines = Array.from({ length: count }, (_, i) => `wallet-${i},1.25,${i}`);
    const found = await rowsOf([HEADER, ...lines].join("\n"));
    expect(found).toHaveLength(count);
    expect(found.every(({ line, row, problem }, i) => {
      return problem === null && row === i + 1 && line === i + 2;
    })).toBeTrue();
  });

  test("names a line that is no UTF-8 and goes on", async () => {
    const bytes = Buffer.concat([
      Buffer.from(`${HEADER}\nä,1,1\n`),
      Buffer.from([0xff, 0x2c, 0x31, 0x2c, 0x31, 0x0a]),
      Buffer.from("ä,1,1\n"),
    ]);
    expect((await rowsOf(bytes)).map(({ problem }) => problem)).toEqual([
      null,
      "is no UTF-8 text",
      null,
    ]);
  });

  test("names a line that is too long and goes on", async () => {
    const found = await rowsOf(`${HEADER}\n${"x".repeat(20_000)},1,1\na,1,1\n`);
    expect(found.map(({ problem }) => problem)).toEqual([
      "has 20004 characters; at most 16384 are allowed",
      null,
    ]);
  });

  test.each([
    ["nothing at all", "", "is empty"],
    ["blank lines only", "\n \n", "is empty"],
    ["a JSON array", '[{"wallet_id":"a"}]', "JSON array"],
    ["no line breaks", "x".repeat(3_000_000), "no line break"],
    ["UTF-16", Buffer.from(`\ufeff${HEADER}`, "utf16le"), "UTF-16"],
    ["a header of other columns", "id,amount,time\n", 'line 1 names a column "time"'],
    ["what a terminal would obey", "PK\u001b[2J\n", 'names a column "PK\\u001b[2J"'],
  ])("refuses %s as a whole", async (_title, content, problem) => {
    expect(await rejection(rowsOf(content))).toMatchObject({
      code: "bad_content",
      message: expect.stringContaining(problem),
    });
  });

  test("takes a header without rows", async () => {
    expect(await rowsOf(`${HEADER}\n`)).toEqual([]);
  });
});

test("lines and hash do not depend on how the bytes come in pieces", async () => {
  const bytes = Buffer.from("\ufeffone\n\ntwö\r\nthree");
  const seen = new Set<string>();
  for (let size = 1; size <= bytes.length; size += 1) {
    const reading = new LineReading("test", pieces(bytes, size));
    const lines: (string | null)[] = [];
    for await (const block of reading.blocks()) {
      expect(block.firstNumber).toBe(lines.length + 1);
      lines.push(...block.lines);
    }
    seen.add(JSON.stringify([lines, reading.sha256()]));
  }
  const sha256 = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
  expect([...seen]).toEqual([JSON.stringify([["one", "", "twö\r", "three"], sha256])]);
});
