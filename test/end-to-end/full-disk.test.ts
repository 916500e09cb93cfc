import { expect, test } from "bun:test";
import { join } from "node:path";
import { Running, run, temporaryFolder, until } from "./program.ts";
import { SmallDisk, whyUnmountable } from "./small-disk.ts";

const TEST_MS = 60_000;
/** A log and the stores of one partition; less than the WAL may grow to. */
const MEGABYTES = 8;
const DEPOSITS = 20;

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
  const command = await run(options, "deposit", "alice", "1", "--data", data);
  expect(command).toMatchObject({ code: 1, out: "" });
  expect(command.err).toContain("database or disk is full");

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
