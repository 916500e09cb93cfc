import { afterAll, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type Outcome, Running, run, temporaryFolder } from "./program.ts";
import { post } from "./session.ts";

/** What each command says of a damaged log: which file it is, and the way back. */

const TEST_MS = 60_000;
const PAGE_BYTES = 4_096;
/** Of a run in which the byte flipped too late to be looked at. */
const ATTEMPTS = 3;
const ENDS_WITHIN_MS = 25_000;
const root = temporaryFolder();
afterAll(() => root[Symbol.dispose]());

/** Overwritten from some byte on. */
function overwrite(path: string, from: number, bytes: number): void {
  const content = readFileSync(path);
  content.fill(0xee, from, from + bytes);
  writeFileSync(path, content);
}

function rootOf(path: string, table: string): number {
  using database = new Database(path, { readonly: true });
  const sql = "SELECT rootpage AS page FROM sqlite_schema WHERE name = ?";
  const { page } = database.query(sql).get(table) as { page: number };
  return (page - 1) * PAGE_BYTES;
}

/** A folder whose `up` was killed, with as much in its WAL as in its log. */
async function killed(name: string): Promise<{ readonly folder: string; readonly log: string }> {
  const folder = join(root.path, name);
  mkdirSync(folder);
  await using up = new Running({ folder }, "up", "--port", "0", "--partitions", "1");
  const url = await up.serves();
  for (let i = 0; i < 10; i += 1) await post(url, '{"wallet_id": "alice", "amount": 1}');
  await up.stop("SIGKILL");
  return { folder, log: join(folder, "depositaja-data", "log.db") };
}

/** With the WAL in the file, and none beside it. */
async function closed(name: string) {
  const place = await killed(name);
  expect(await run({ folder: place.folder }, "check", "alice")).toMatchObject({ code: 0 });
  return place;
}

test.each<[string, () => Promise<{ readonly folder: string; readonly log: string }>]>([
  [
    "schema",
    async () => {
      const place = await closed("schema");
      overwrite(place.log, 100, PAGE_BYTES - 100);
      return place;
    },
  ],
  [
    "table",
    async () => {
      const place = await closed("table");
      overwrite(place.log, rootOf(place.log, "progress"), PAGE_BYTES);
      return place;
    },
  ],
  [
    "wal",
    async () => {
      const place = await killed("wal");
      const wal = `${place.log}-wal`;
      const { length } = readFileSync(wal);
      overwrite(wal, length >> 1, 64);
      rmSync(`${place.log}-shm`);
      return place;
    },
  ],
])("every command names the file of a damaged %s, and says how to go on", async (_, damage) => {
  const { folder, log } = await damage();
  const commands = [
    ["up", "--port", "0"],
    ["check", "alice"],
    ["deposit", "alice", "1"],
    ["verify"],
    ["backup", "a.backup"],
  ];
  const outcomes = commands.map(async (args): Promise<[string, Outcome]> => {
    await using running = new Running({ folder }, ...args);
    return [args.join(" "), await running.ended()];
  });
  for (const [command, { code, err }] of await Promise.all(outcomes)) {
    // What it asks for may stand in the pages that are whole.
    if (code === 0 && command === "check alice") continue;
    expect([command, code]).toEqual([command, 1]);
    expect([command, err]).toEqual([command, expect.stringContaining(log)]);
    expect([command, err]).toEqual([command, expect.stringContaining("`restore`")]);
    expect(err).not.toMatch(/^ +at /m);
  }
}, TEST_MS);

/** A log of so many imported deposits, closed: with ids that stand in it once each. */
async function imported(name: string, deposits: number) {
  const folder = join(root.path, name);
  mkdirSync(folder);
  const rowOf = (_: unknown, row: number) => `w${row % 50},0.01,${row},id-${row}-of`;
  const rows = Array.from({ length: deposits }, rowOf);
  const csv = ["wallet_id,amount,accepted_at,id", ...rows, ""].join("\n");
  writeFileSync(join(folder, "a.csv"), csv);
  expect(await run({ folder }, "import", "a.csv")).toMatchObject({ code: 0 });
  return { folder, log: join(folder, "depositaja-data", "log.db") };
}

/** In place, as a disk does it: the file is open. */
function flip(path: string, at: number): void {
  const file = openSync(path, "r+");
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, at);
  writeSync(file, Buffer.from([byte.readUInt8() ^ 1]), 0, 1, at);
  closeSync(file);
}

const LASTING = [["up", "--port", "0"], ["serve", "--port", "0"], ["process", "--all"]];
const RECORD = /log\.db: the record at deposit partition \d offset \d+ is damaged .*`restore`/;

test("what runs for long refuses a log of which one bit of an old record has flipped", async () => {
  const { folder, log } = await imported("flipped", 4_000);
  const at = readFileSync(log).indexOf("id-1000-of");
  flip(log, at);
  const damaged = readFileSync(log);
  for (const args of LASTING) {
    await using running = new Running({ folder }, ...args);
    const { code, out, err } = await running.ended();
    expect([args[0], code, out]).toEqual([args[0], 1, ""]);
    expect(err).toMatch(RECORD);
    expect(readFileSync(log).equals(damaged)).toBe(true);
  }
  flip(log, at);
  await using served = new Running({ folder }, "up", "--port", "0");
  await served.serves();
}, TEST_MS);

test("and ends when one flips while it runs", async () => {
  const { folder, log } = await imported("flipping", 20_000);
  const at = lastIdAt(log);
  // At 1 % of a core so many take 2 s and more; once a look has gone by, the next is for tomorrow.
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const all = LASTING.map((args) => new Running({ folder }, ...args));
    await Promise.all(all.map((each) => each.says(/^(serving|processing) /m)));
    flip(log, at);
    const ended = Promise.all(all.map((each) => each.ended()));
    const outcomes = await Promise.race([ended, Bun.sleep(ENDS_WITHIN_MS)]);
    for (const each of all) await each[Symbol.asyncDispose]();
    flip(log, at);
    for (const { code, err } of outcomes ?? []) {
      expect(code).toBe(1);
      expect(err).toMatch(RECORD);
    }
    if (outcomes !== undefined) return;
  }
  throw new Error(`none of ${ATTEMPTS} runs ended`);
}, ATTEMPTS * TEST_MS);

/** Where in the file the id of that record stands which is looked at last. */
function lastIdAt(path: string): number {
  using database = new Database(path, { readonly: true });
  const sql =
    "SELECT headers FROM records WHERE headers IS NOT NULL " +
    "ORDER BY partition_id DESC, offset DESC LIMIT 1";
  const { headers } = database.query(sql).get() as { headers: Uint8Array };
  const [id = ""] = /id-\d+-of/.exec(Buffer.from(headers).toString("latin1")) ?? [];
  return readFileSync(path).indexOf(id);
}
