import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEmbeddedLog } from "../../../src/log/embedded/embedded-log.ts";
import { checkAtStart, type RecordCheck } from "../../../src/log/embedded/record-check.ts";
import { LogError } from "../../../src/log/event-log.ts";
import { errorOf } from "../../conformance/fixture.ts";
import { thrown } from "../../thrown.ts";

const RECORDS = 5_000;
const PARTITIONS = 2;

let whole: string;
let folder: string;
const path = () => join(folder, "log.db");

beforeAll(async () => {
  whole = mkdtempSync(join(tmpdir(), "record-check-"));
  const log = openEmbeddedLog({ folder: whole, create: true, nowMs: () => 1 });
  await log.ensureTopics([
    { name: "a", partitions: PARTITIONS, cleanup: "keep", retentionMs: null },
    { name: "compacted", partitions: 1, cleanup: "compact", retentionMs: null },
  ]);
  const of = (topic: string, partition: number, index: number) => ({
    ...{ topic, partition, key: Buffer.from("k") },
    value: Buffer.from(`${topic} ${partition} ${index} end`),
  });
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    await log.append(Array.from({ length: RECORDS }, (_, index) => of("a", partition, index)));
  }
  await log.append(Array.from({ length: 10 }, (_, index) => of("compacted", 0, index)));
  expect(await log.clean()).toBe(9); // gaps that are meant
  await log.close();
});
afterAll(() => rmSync(whole, { recursive: true }));

beforeEach(() => {
  folder = mkdtempSync(join(whole, "copy-"));
  for (const name of ["log.db", "bell"]) cpSync(join(whole, name), join(folder, name));
});

function open(...recordChecks: readonly RecordCheck[]) {
  return openEmbeddedLog({ folder, create: false, nowMs: () => 1, recordChecks });
}

function flip(text: string): void {
  const bytes = readFileSync(path());
  const at = bytes.indexOf(text);
  expect(at).toBeGreaterThan(0);
  bytes[at] = (bytes[at] as number) ^ 0x10;
  writeFileSync(path(), bytes);
}

/** Each file that a start could change; what readers share is none. */
function contents(): readonly string[] {
  const names = readdirSync(folder).filter((name) => !/-(shm|wal)$/.test(name));
  return names.map((name) => `${name} ${Bun.hash(readFileSync(join(folder, name)))}`);
}

function refusal(): LogError {
  const before = contents();
  const error = thrown(LogError, () => void open("start").close());
  expect(contents()).toEqual(before);
  return error;
}

describe("a start", () => {
  test("takes a log that is whole, gaps of a compacted topic included", async () => {
    await open("start").close();
  });

  test("refuses one with a bit flipped in an old record, and names it", async () => {
    flip("a 1 2500 end");
    const { code, message } = refusal();
    expect(code).toBe("corrupt");
    expect(message).toBe(
      `${path()}: the record at a partition 1 offset 2500 is damaged (its checksum does not ` +
        "match): make a new folder of a backup with `restore`",
    );
    await open().close(); // nobody else looks
  });

  test.each([
    ["in the middle", 1_200],
    ["at the end", RECORDS - 1],
  ])("refuses one with a record missing %s, and names it", (_, offset) => {
    const database = new Database(path());
    database.query("DELETE FROM records WHERE partition_id = 1 AND offset = ?").run(offset);
    database.close();
    const { code, message } = refusal();
    expect(code).toBe("corrupt");
    expect(message).toContain(`the record at a partition 0 offset ${offset} is missing: make`);
  });

  test("looks at as much of it as its time allows", () => {
    flip("a 1 2500 end");
    expect(() => checkAtStart(folder)).toThrow("offset 2500");
    checkAtStart(folder, 0);
  });
});

test("a regular check finds what a start did not get to", async () => {
  flip("a 1 2500 end");
  const log = open("regular");
  try {
    const { code, message } = await errorOf(log.damaged);
    expect(code).toBe("corrupt");
    expect(message).toContain("the record at a partition 1 offset 2500 is damaged");
  } finally {
    await log.close();
  }
});

test("a log that is closed is not looked at any more", async () => {
  const log = open("regular");
  await log.close();
  expect(readdirSync(folder).filter((name) => name.endsWith("-wal"))).toEqual([]);
});
