import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEmbeddedLog } from "../../../src/log/embedded/embedded-log.ts";
import { LogError } from "../../../src/log/event-log.ts";
import { thrown } from "../../thrown.ts";

/** What a start says of a log that was damaged while nothing ran, and that it changes nothing. */

const MODULE = join(import.meta.dir, "../../../src/log/embedded/embedded-log.ts");

let folder: string;
const path = () => join(folder, "log.db");
const wal = () => join(folder, "log.db-wal");

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "damage-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

/** As many records as told, by a process that is killed: its WAL stays behind. */
async function writtenByKilled(records: number): Promise<void> {
  const program = `
    import { openEmbeddedLog } from ${JSON.stringify(MODULE)};
    const folder = ${JSON.stringify(folder)};
    const log = openEmbeddedLog({ folder, create: true, nowMs: () => 1 });
    await log.ensureTopics([{ name: "a", partitions: 1, cleanup: "keep", retentionMs: null }]);
    const key = Buffer.from("k");
    for (let i = 0; i < ${records}; i += 1) {
      await log.append([{ topic: "a", partition: 0, key, value: Buffer.alloc(500, 65) }]);
    }
    process.kill(process.pid, "SIGKILL");
  `;
  const stdio = ["ignore", "ignore", "inherit"] as const;
  const child = Bun.spawn([process.execPath, "-e", program], { stdio: [...stdio] });
  await child.exited;
  expect(child.signalCode).toBe("SIGKILL");
}

function open() {
  return openEmbeddedLog({ folder, create: true, nowMs: () => 1 });
}

/** Why it is refused; nothing in the folder may have changed by that. */
function refusal(): LogError {
  const contents = () =>
    readdirSync(folder)
      .filter((name) => name !== "log.db-shm" && name !== "log.db-wal")
      .map((name) => `${name} ${Bun.hash(readFileSync(join(folder, name)))}`);
  const walNow = () => (existsSync(wal()) ? Bun.hash(readFileSync(wal())) : Bun.hash(""));
  const before = [contents(), walNow()];
  const error = thrown(LogError, () => void open().close());
  expect([contents(), walNow()]).toEqual(before);
  return error;
}

async function readAll(): Promise<number> {
  const log = open();
  try {
    let count = 0;
    const { end } = await log.bounds("a", 0);
    for await (const records of log.read({ topic: "a", partition: 0, from: 0n, until: end })) {
      count += records.length;
    }
    return count;
  } finally {
    await log.close();
  }
}

describe("a log whose writer was killed", () => {
  test("is opened with all that was answered, while its WAL is there", async () => {
    await writtenByKilled(20);
    expect(await readAll()).toBe(20);
  });

  test("is refused without its WAL, naming how many records are gone", async () => {
    await writtenByKilled(1);
    await open().close(); // all is in the file
    await writtenByKilled(20);
    rmSync(wal());
    rmSync(`${path()}-shm`);
    const { code, message } = refusal();
    expect(code).toBe("corrupt");
    expect(message).toContain(`${path()} lacks the last 20 of 21 records that were written to it`);
    expect(message).toContain(`${wal()} is lost`);
    expect(message).toContain("make a new folder of a backup with `restore`");
  });

  test.each<[string, (bytes: Buffer) => Buffer]>([
    ["cut off", (bytes) => bytes.subarray(0, bytes.length - 5_000)],
    ["changed in one byte", (bytes) => flip(bytes, bytes.length - 3_000)],
    ["changed in a byte of its middle", (bytes) => flip(bytes, bytes.length >> 1)],
  ])("is refused with a WAL that was %s", async (_, change) => {
    await writtenByKilled(20);
    writeFileSync(wal(), change(readFileSync(wal())));
    rmSync(`${path()}-shm`);
    const { code, message } = refusal();
    expect(code).toBe("corrupt");
    expect(message).toContain("records that were written to it");
    expect(message).toContain(`${wal()} is damaged or cut off`);
  });
});

describe("a log that was closed", () => {
  beforeEach(async () => {
    await writtenByKilled(60);
    await open().close();
  });

  test("is refused when its file was cut off", () => {
    truncateSync(path(), 12_288);
    const { code, message } = refusal();
    expect(code).toBe("corrupt");
    expect(message).toContain(`${path()} is damaged or no log (database disk image is malformed)`);
  });

  test("is refused when its file is gone, and no new one is made", () => {
    rmSync(path());
    const { code, message } = refusal();
    expect([code, message]).toEqual(["corrupt", expect.stringContaining("is missing, and a log")]);
    expect(existsSync(path())).toBe(false);
  });

  test("is refused when an older copy stands in its place", async () => {
    copyFileSync(path(), `${folder}.old`);
    await writtenByKilled(3);
    await open().close();
    copyFileSync(`${folder}.old`, path());
    rmSync(`${folder}.old`);
    expect(refusal().message).toContain("lacks the last 3 of 63 records");
  });

  test("is refused when another log's file stands in its place", async () => {
    const other = mkdtempSync(join(tmpdir(), "damage-"));
    await openEmbeddedLog({ folder: other, create: true, nowMs: () => 1 }).close();
    copyFileSync(join(other, "log.db"), path());
    rmSync(other, { recursive: true });
    expect(refusal().message).toContain(`${path()} is another log than the one that was there`);
  });

  test("is refused when it is no database any more", () => {
    writeFileSync(path(), Buffer.alloc(8_192, "x"));
    expect(refusal()).toMatchObject({ code: "corrupt" });
  });

  test("names file, topic, partition and offset of a record that was changed", async () => {
    const database = new Database(path());
    database.exec("UPDATE records SET value = zeroblob(500) WHERE offset = 7");
    database.close();
    const error = await readAll().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "corrupt" });
    const named = `${path()}: the record at a partition 0 offset 7 is damaged`;
    expect((error as Error).message).toContain(named);
  });

  test("names file, topic and partition of a page that was changed", async () => {
    const bytes = readFileSync(path());
    bytes.fill(0xee, 5 * 4_096, 13 * 4_096);
    writeFileSync(path(), bytes);
    const error = await readAll().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "corrupt" });
    expect((error as Error).message).toContain(`${path()}: `);
    expect((error as Error).message).toContain("a partition 0");
  });

  test("is opened without the bell's file, or with one that was not written whole", async () => {
    rmSync(join(folder, "bell"));
    expect(await readAll()).toBe(60);
    writeFileSync(join(folder, "bell"), Buffer.alloc(49));
    expect(await readAll()).toBe(60);
  });
});

function flip(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] as number) ^ 1;
  return copy;
}
