import { expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Running, run, temporaryFolder, until } from "./program.ts";
import { SmallDisk, whyUnmountable } from "./small-disk.ts";

const TEST_MS = 60_000;
/** A log and the stores of one partition; less than the WAL may grow to. */
const MEGABYTES = 8;
const DEPOSITS = 20;
/** The WAL passes by far the size at which it would be moved into the log's file. */
const WAL_MEGABYTES = 64;
const WALLETS = 64;
const CLIENTS = 8;
const COUNT_DEPOSITS =
  "SELECT count(*) AS count FROM records JOIN partitions ON partitions.id = partition_id " +
  "JOIN topics ON topics.id = topic_id WHERE name = 'deposit'";

const unmountable = whyUnmountable();
// Skipped: where no file system may be mounted.
const testMounted = test.skipIf(unmountable !== null);
const titled = (promise: string) =>
  unmountable === null ? promise : `${promise} (skipped: ${unmountable})`;

const REFUSES = "a full disk refuses deposits, and with space all goes on by itself";
testMounted(titled(REFUSES), async () => {
  using disk = new SmallDisk(temporaryFolder(), MEGABYTES);
  const data = join(disk.path, "data");
  const options = { folder: "/" };
  await using up = new Running(options, "up", "--port", "0", "--data", data);
  const url = await up.serves();
  const send = async () => {
    const body = '{"wallet_id": "alice", "amount": 1}';
    const answer = await fetch(`${url}/deposit`, { method: "POST", body });
    const isToRetry = answer.headers.has("retry-after");
    return { status: answer.status, text: await answer.text(), isToRetry };
  };
  const balance = async () => {
    const answer = (await (await fetch(`${url}/check/alice`)).json()) as { balance: number };
    return answer.balance;
  };
  let acknowledged = 0;
  for (; acknowledged < DEPOSITS; acknowledged += 1) expect((await send()).status).toBe(200);
  disk.fill();
  let refused = 0;
  while (refused < DEPOSITS) {
    const { status, text, isToRetry } = await send();
    if (status === 200) {
      acknowledged += 1; // what the file had room for still
      continue;
    }
    refused += 1;
    expect({ status, isToRetry }).toEqual({ status: 503, isToRetry: true });
    expect(text).toContain('"code":"log_unavailable"');
    expect(text).toContain("database or disk is full");
  }
  const ready = () => fetch(`${url}/readyz`);
  expect((await ready()).status).toBe(503);
  const deposit = async () => {
    const command = await run(options, "deposit", "alice", "1", "--data", data);
    expect(command).toMatchObject({ code: 1, out: "" });
    return command.err;
  };
  let told = await deposit();
  // The WAL's file may have room for a record still, where the stores have none.
  for (; told.includes("is written and stands"); told = await deposit()) acknowledged += 1;
  expect(told).toContain("database or disk is full");

  disk.empty();
  await until(async () => (await ready()).status === 200, () => up.err);
  await until(async () => (await send()).status === 200, () => up.err);
  acknowledged += 1;
  await until(async () => (await balance()) >= acknowledged, () => up.err);
  expect(await balance()).toBe(acknowledged); // nothing refused is counted
  expect(await up.stop()).toMatchObject({ code: 0 });
  const check = await run(options, "check", "alice", "--json", "--data", data);
  expect(JSON.parse(check.out)).toMatchObject({ balance: `${acknowledged}.00` });
}, TEST_MS);

const FILLS = "a WAL that a reader keeps from shrinking fills the disk: refused, then on again";
testMounted(titled(FILLS), async () => {
  using disk = new SmallDisk(temporaryFolder(), WAL_MEGABYTES);
  const data = join(disk.path, "data");
  await using up = new Running({ folder: "/" }, "up", "--port", "0", "--data", data);
  const url = await up.serves();
  using reader = new Database(join(data, "log.db"), { readonly: true });
  reader.exec("BEGIN");
  reader.query("SELECT count(*) FROM records").get(); // from now on no frame behind it is let go
  let acknowledged = 0;
  const send = async (wallet: number) => {
    // Few wallets: the tables must not take the room that the WAL is to take.
    const body = `{"wallet_id": "wallet-${wallet % WALLETS}", "amount": 1}`;
    const answer = await fetch(`${url}/deposit`, { method: "POST", body });
    if (answer.status === 200) acknowledged += 1;
    return { status: answer.status, text: await answer.text() };
  };
  const client = async (_: unknown, number: number) => {
    for (let wallet = number; ; wallet += CLIENTS) {
      const { status, text } = await send(wallet);
      if (status !== 200) return text;
    }
  };
  const refusals = await Promise.all(Array.from({ length: CLIENTS }, client));
  for (const text of refusals) expect(text).toContain("database or disk is full");
  const wal = statSync(join(data, "log.db-wal")).size;
  expect(wal).toBeGreaterThan((WAL_MEGABYTES / 2) * 1024 * 1024);

  disk.grow(WAL_MEGABYTES * 4); // the reader is still there
  await until(async () => (await fetch(`${url}/readyz`)).status === 200, () => up.err);
  await until(async () => (await send(0)).status === 200, () => up.err);
  const lag = async () => {
    const { groups } = (await (await fetch(`${url}/readyz`)).json()) as Readiness;
    return groups.reduce((sum, group) => sum + group.lag, 0);
  };
  await until(async () => (await lag()) === 0, () => up.err);
  expect(await up.stop()).toMatchObject({ code: 0 });
  reader.close();
  using log = new Database(join(data, "log.db"), { readonly: true });
  const { count } = log.query(COUNT_DEPOSITS).get() as { count: number };
  expect(count).toBe(acknowledged); // all that was acknowledged, and nothing refused
}, TEST_MS);

interface Readiness {
  readonly groups: { readonly lag: number }[];
}

testMounted(titled("a read-only disk is named, with exit code 1"), async () => {
  using disk = new SmallDisk(temporaryFolder(), MEGABYTES);
  const data = join(disk.path, "data");
  const options = { folder: "/" };
  await using up = new Running(options, "up", "--port", "0", "--data", data);
  await up.serves();
  expect(await up.stop()).toMatchObject({ code: 0 });
  disk.makeReadOnly();
  for (const args of [
    ["up", "--port", "0"],
    ["process", "--all"],
    ["deposit", "alice", "1"],
    ["check", "alice"],
  ]) {
    const refused = await run(options, ...args, "--data", data);
    expect({ args, ...refused }).toMatchObject({ args, code: 1, out: "" });
    const reason = `EROFS: read-only file system, access '${data}'`;
    expect(refused.err).toBe(
      `error: ${data} cannot be used for a log (${reason}): choose a folder that can be written\n`,
    );
  }
}, TEST_MS);

testMounted(titled("a copy that finds no room is not begun"), async () => {
  using folder = temporaryFolder();
  using disk = new SmallDisk(temporaryFolder(), 1);
  const options = { folder: folder.path };
  const sample = await run(options, "sample", "--deposits", "20000", "--wallets", "100");
  await Bun.write(join(folder.path, "a.csv"), sample.out);
  expect(await run(options, "import", "a.csv")).toMatchObject({ code: 0 });
  const backup = await run(options, "backup", join(disk.path, "copy.db"));
  expect(backup).toMatchObject({ code: 1, out: "" });
  expect(backup.err).toMatch(/copy\.db would take 1\.\d MB as .+\.db does, and its disk has 1\.0/);
  expect(readdirSync(disk.path)).toEqual([]);
}, TEST_MS);
