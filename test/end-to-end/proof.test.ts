import { afterAll, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  type Outcome,
  Running,
  run,
  temporaryFolder,
  until,
  withoutActionLines,
} from "./program.ts";
import { post } from "./session.ts";

/** `verify`, `backup` and `restore` as a user has them. */

const TEST_MS = 60_000;
/** In the header of a file of SQLite. */
const FREE_PAGES_AT = 36;
const root = temporaryFolder();
afterAll(() => root[Symbol.dispose]());
let folders = 0;

/** A folder of its own, with a history: 40 deposits of four wallets, one of them flagged. */
async function withHistory(): Promise<{ readonly folder: string; readonly data: string }> {
  const folder = join(root.path, String(++folders));
  mkdirSync(folder);
  const rows = Array.from(
    { length: 40 },
    (_, i) => `w${i % 4},${i % 4 === 0 ? 2_000 : 1},${i},${i}`,
  );
  writeFileSync(join(folder, "a.csv"), `wallet_id,amount,accepted_at,id\n${rows.join("\n")}\n`);
  expect(await run({ folder }, "import", "a.csv")).toMatchObject({ code: 0 });
  const removal = ["flag", "w0", "--remove", "--by", "ana", "--reason", "salary"];
  expect(await run({ folder }, ...removal)).toMatchObject({ code: 0 });
  return { folder, data: join(folder, "depositaja-data") };
}

function parsed({ out }: Outcome) {
  return JSON.parse(out) as { readonly [name: string]: unknown };
}

/** The store with the row of the wallet, open to be changed. */
function storeOf(data: string, table: string, wallet: string): { path: string; key: Buffer } {
  const key = Buffer.from([0, wallet.length, ...Buffer.from(wallet), 1]);
  for (const name of readdirSync(join(data, "stores", table))) {
    if (!name.endsWith(".db")) continue;
    const path = join(data, "stores", table, name);
    const database = new Database(path);
    const found = database.query("SELECT 1 FROM rows WHERE key = ?").get(key);
    database.close();
    if (found !== null) return { path, key };
  }
  throw new Error(`no row of ${wallet}`);
}

describe("verify", () => {
  test("compares a stopped folder and says how much that was", async () => {
    const { folder } = await withHistory();
    const result = await run({ folder }, "verify");
    expect(result).toMatchObject({ code: 0, err: "" });
    expect(result.out).toMatch(/^records +4\d, each with its checksum\ndeposits +40\n/);
    expect(result.out).toMatch(/^wallets +4, 0 flagged$/m);
    expect(result.out).toMatch(/^flag events +5$/m);
    expect(result.out).toMatch(/^differences +0$/m);
    const json = await run({ folder }, "verify", "--json");
    expect(parsed(json)).toMatchObject({
      ...{ ok: true, deposits: 40, wallets: 4, difference_count: 0, differences: [] },
      records_to_do: { balance: 0, threshold: 0, flagger: 0 },
    });
  }, TEST_MS);

  test("names the wallet of a changed row, what must stand there, and its position", async () => {
    const { folder, data } = await withHistory();
    const { path, key } = storeOf(data, "balance-table", "w1");
    const database = new Database(path);
    const [[value]] = database.query("SELECT value FROM rows WHERE key = ?").values(key) as [
      [Uint8Array],
    ];
    value[3] = (value[3] as number) ^ 1; // the count
    database.query("UPDATE rows SET value = ? WHERE key = ?").run(value, key);
    database.close();
    const result = await run({ folder }, "verify");
    expect(result).toMatchObject({ code: 1, err: "error: 1 difference found\n" });
    const [where, expected, found] = result.out.split("\n");
    expect(where).toMatch(/^row in balance-table partition \d, wallet w1, deposit:\d-\d+$/);
    expect(expected).toBe('  expected  row "balance": count 10');
    expect(found).toBe("  found     count 11");
    const none = await run({ folder }, "verify", "--differences", "0");
    expect(none.out).toStartWith("... and 1 more difference\n");
    expect(none.code).toBe(1);
    const json = parsed(await run({ folder }, "verify", "--json"));
    expect(json).toMatchObject({ ok: false, difference_count: 1 });
    expect(json["differences"]).toMatchObject([{ kind: "row", wallet: "w1" }]);
  }, TEST_MS);

  test("names topic, partition and offset of a damaged record, and reads on", async () => {
    const { folder, data } = await withHistory();
    const log = new Database(join(data, "log.db"));
    log.exec(
      "UPDATE records SET value = x'00' WHERE offset = 2 AND partition_id = (SELECT partition_id " +
        "FROM records JOIN partitions ON partitions.id = partition_id " +
        "JOIN topics ON topics.id = topic_id WHERE name = 'deposit' AND offset > 2 LIMIT 1)",
    );
    log.close();
    const result = await run({ folder }, "verify");
    expect(result.code).toBe(1);
    expect(result.out).toMatch(/^damage in deposit partition (\d), deposit:\1-2$/m);
    expect(result.out).toContain(`${join(data, "log.db")}: the record at deposit partition`);
    expect(result.out).toMatch(/^deposits +39$/m);
  }, TEST_MS);

  test("names the log's file and tables' that are damaged or of another log", async () => {
    const { folder, data } = await withHistory();
    const files = [join(data, "log.db"), storeOf(data, "balance-table", "w1").path];
    for (const path of files) {
      const bytes = readFileSync(path);
      miscount(bytes);
      writeFileSync(path, bytes);
    }
    const foreign = storeOf(data, "flagger-table", "w0").path;
    using database = new Database(foreign);
    database.exec("UPDATE place SET incarnation = 'another'");
    const result = await run({ folder }, "verify");
    expect(result).toMatchObject({ code: 1, err: "error: 3 differences found\n" });
    expect(result.out).toStartWith("damage in log\n");
    expect(result.out).toContain(`${foreign} belongs to another log`);
    for (const path of files) expect(result.out).toContain(`${path} is damaged`);
    expect(result.out).toMatch(/^table in balance-table partition \d$/m);
  }, TEST_MS);

  test("passes while the service takes deposits", async () => {
    const folder = join(root.path, String(++folders));
    mkdirSync(folder);
    await using up = new Running({ folder }, "up", "--port", "0");
    const url = await up.serves();
    const done = new AbortController();
    let sent = 0;
    const sending = (async () => {
      for (; !done.signal.aborted; sent += 1) {
        await post(url, `{"wallet_id": "w${sent % 7}", "amount": ${1 + (sent % 4_000)}}`);
      }
    })();
    await until(() => sent >= 50, () => `${sent} sent`);
    for (let i = 0; i < 3; i += 1) {
      const result = await run({ folder }, "verify");
      expect(result).toMatchObject({ code: 0, err: "" });
      expect(result.out).toMatch(/^differences +0$/m);
    }
    done.abort();
    await sending;
    expect(await up.stop()).toMatchObject({ code: 0 });
    expect(parsed(await run({ folder }, "verify", "--json"))).toMatchObject({
      ...{ ok: true, deposits: sent },
    });
  }, TEST_MS);
});

test("verify holds flag events against the deposits while the flagger stands still", async () => {
  const folder = join(root.path, String(++folders));
  mkdirSync(folder);
  await using serve = new Running({ folder }, "serve", "--port", "0");
  const url = await serve.serves();
  await using others = new Running({ folder }, "process", "collector", "detector");
  await using flagger = new Running({ folder }, "process", "flagger");
  for (const running of [others, flagger]) await running.says(/^processing +(.+)$/m);
  const first = await post(url, '{"wallet_id": "w", "amount": 1}');
  const settled = await fetch(`${url}/check/w?after=${first["position"]}`);
  expect(settled.status).toBe(200);
  flagger.signal("SIGSTOP");
  try {
    const last = await post(url, '{"wallet_id": "w", "amount": 10001}');
    const { position } = last as { readonly position: string };
    const look = async () => {
      const { balance, threshold } = parsed(await run({ folder }, "verify", "--json"))[
        "records_to_do"
      ] as Record<string, number>;
      return balance === 0 && threshold === 0;
    };
    await until(look, () => `${position} is not done`);
    expect(parsed(await run({ folder }, "verify", "--json"))).toMatchObject({
      ...{ ok: true, flag_events: 1, records_to_do: { flagger: 1 } },
    });
  } finally {
    flagger.signal("SIGCONT");
  }
}, TEST_MS);

describe("backup and restore", () => {
  test("a backup of a running log is a folder again that verifies and goes on", async () => {
    const { folder, data } = await withHistory();
    await using up = new Running({ folder }, "up", "--port", "0");
    const url = await up.serves();
    await post(url, '{"wallet_id": "w1", "amount": 7}'); // stands in the WAL alone
    const backup = await run({ folder }, "backup", "a.backup");
    expect(withoutActionLines(backup)).toMatchObject({ code: 0, err: "" });
    expect(backup.err).toContain(` backed ${data} up to ${join(folder, "a.backup")}"`);
    expect(backup.out).toContain(`${data} is backed up: `);
    expect(readdirSync(folder).filter((name) => name.includes("unfinished"))).toEqual([]);
    const inUse = await run({ folder }, "restore", join(data, "log.db"), "--data", "again");
    expect(inUse).toMatchObject({ code: 1, err: expect.stringContaining("has a WAL beside it") });
    await post(url, '{"wallet_id": "w1", "amount": 5}'); // is not in it
    const before = Bun.hash(readFileSync(join(folder, "a.backup")));
    const again = await run({ folder }, "backup", "a.backup");
    expect(again).toMatchObject({ code: 1, err: expect.stringContaining("is there already") });

    const restored = await run({ folder }, "restore", "a.backup", "--data", "again");
    expect(withoutActionLines(restored)).toMatchObject({ code: 0, err: "" });
    expect(membersOf(join(folder, "again"))).toEqual([]); // `up` runs the other folder
    expect(Bun.hash(readFileSync(join(folder, "a.backup")))).toBe(before);
    const verified = await run({ folder }, "verify", "--data", "again");
    expect(verified).toMatchObject({ code: 0 });
    expect(verified.err).toContain("there are no tables yet for all that was done");
    expect(verified.out).toMatch(/^deposits +41$/m);
    const check = await run({ folder }, "check", "w1", "--data", "again", "--json");
    expect(parsed(check)).toMatchObject({ balance: "17.00", above_threshold: false });
    // The same file again changes nothing: its ledger came along.
    const repeat = await run({ folder }, "import", "a.csv", "--data", "again", "--json");
    expect(parsed(repeat)).toMatchObject({ rows: 40, imported_before_at: expect.any(String) });
    const incarnations = [data, join(folder, "again")].map(incarnationOf);
    expect(incarnations[0]).not.toBe(incarnations[1]);

    const twice = await run({ folder }, "restore", "a.backup", "--data", "again");
    expect(twice).toMatchObject({ code: 1, err: expect.stringContaining("again is not empty") });
  }, TEST_MS);

  test("a table of the log that was backed up is built anew, and that is said", async () => {
    const { folder, data } = await withHistory();
    const backup = parsed(await run({ folder }, "backup", "a.backup", "--json"));
    const file = join(folder, "a.backup");
    expect(backup).toMatchObject({ file, bytes: statSync(file).size });
    const restored = parsed(await run({ folder }, "restore", file, "--data", "again", "--json"));
    expect(restored).toEqual({ data: join(folder, "again"), records: backup["records"] });
    expect(restored["records"]).toBeGreaterThan(40);
    const { path } = storeOf(data, "balance-table", "w1");
    const [table, name] = path.split("/").slice(-2) as [string, string];
    const place = join(folder, "again", "stores", table);
    mkdirSync(place, { recursive: true });
    copyFileSync(path, join(place, name));
    const found = await run({ folder }, "verify", "--data", "again");
    expect(found.err).toContain("belongs to another log");
    expect(found.err).toContain("built anew");
    const verified = await run({ folder }, "verify", "--data", "again");
    expect(verified).toMatchObject({ code: 0, err: "" });
  }, TEST_MS);

  test("a damaged backup makes no folder", async () => {
    const { folder } = await withHistory();
    expect(await run({ folder }, "backup", "a.backup")).toMatchObject({ code: 0 });
    const whole = readFileSync(join(folder, "a.backup"));
    const at = whole.lastIndexOf("w1");
    whole[at] = (whole[at] as number) ^ 1;
    const miscounted = Buffer.from(readFileSync(join(folder, "a.backup")));
    miscount(miscounted); // every record is whole
    for (const [name, bytes] of [
      ["changed", whole],
      ["cut", whole.subarray(0, whole.length - 8_192)],
      ["miscounted", miscounted],
    ] as const) {
      writeFileSync(join(folder, name), bytes);
      const refused = await run({ folder }, "restore", name, "--data", "again");
      expect(refused).toMatchObject({ code: 1, out: "" });
      expect(refused.err).toContain(join(folder, name));
      expect(refused.err).not.toMatch(/^ +at /m);
      expect(existsSync(join(folder, "again"))).toBe(false);
    }
  }, TEST_MS);

  test("a log that is damaged is not backed up, and no file is left", async () => {
    const { folder, data } = await withHistory();
    const log = new Database(join(data, "log.db"));
    log.exec("UPDATE records SET key = x'00' WHERE offset = 1");
    log.close();
    const refused = await run({ folder }, "backup", "a.backup");
    expect(refused).toMatchObject({ code: 1, out: "" });
    const damage = `error: ${join(data, "log.db")}: the record at `;
    expect(refused.err).toStartWith(damage); // not the copy's, which is gone by then
    expect(refused.err).toMatch(/ at \S+ partition \d offset 1 is damaged/);
    expect(readdirSync(folder).filter((name) => name.startsWith("a.backup"))).toEqual([]);
  }, TEST_MS);

  test("a folder that has lost the end of its log starts nothing", async () => {
    const { folder, data } = await withHistory();
    const old = join(folder, "old.db");
    copyFileSync(join(data, "log.db"), old);
    expect(await run({ folder }, "deposit", "w1", "5")).toMatchObject({ code: 0 });
    copyFileSync(old, join(data, "log.db"));
    for (const args of [["up", "--port", "0"], ["serve", "--port", "0"], ["process", "--all"]]) {
      const refused = await run({ folder }, ...args);
      expect(refused).toMatchObject({ code: 1, out: "" });
      expect(refused.err).toContain(`${join(data, "log.db")} lacks the last`);
      expect(refused.err).toContain("make a new folder of a backup with `restore`");
    }
    expect(Bun.hash(readFileSync(join(data, "log.db")))).toBe(Bun.hash(readFileSync(old)));
  }, TEST_MS);
});

/** A fault that nobody reads and SQLite's own check alone finds: free pages that are not there. */
function miscount(file: Buffer): void {
  file.writeUInt32BE(file.readUInt32BE(FREE_PAGES_AT) + 3, FREE_PAGES_AT);
}

function membersOf(data: string): unknown[] {
  using database = new Database(join(data, "log.db"), { readonly: true });
  return database.query("SELECT id FROM members").values();
}

function incarnationOf(data: string): string {
  const database = new Database(join(data, "log.db"), { readonly: true });
  const [row] = database.query("SELECT value FROM meta WHERE key = 'incarnation'").values();
  database.close();
  return String(row);
}
