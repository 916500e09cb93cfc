/**
 * A disk that is lost, or turns read-only, under load: refused answers, never a lost deposit.
 *
 * It goes while the program stands still. An fdatasync that runs at that very moment is answered
 * with success by ext4 now and then, and what it was to write is gone (seen on Linux 6.18 with a
 * loop of pwrite and fdatasync): against a disk that lies about that nothing helps.
 */

import { expect, test } from "bun:test";
import { join } from "node:path";
import { LoopDisk, whyNoLoopDisk } from "./loop-disk.ts";
import { whilePaused } from "./paused.ts";
import { Running, run, temporaryFolder, until } from "./program.ts";

const TEST_MS = 60_000;
const MEGABYTES = 32;
/** More than one transaction takes, and some of them under way when the disk goes. */
const CLIENTS = 8;
const DEPOSITS = 200;

const missing = whyNoLoopDisk();
// Skipped: where no file system may be mounted.
const testOnDisk = test.skipIf(missing !== null);
const titled = (promise: string) =>
  missing === null ? promise : `${promise} (skipped: ${missing})`;

/** Deposits of one unit until told to stop; what each was answered, null for nothing. */
class Load implements AsyncDisposable {
  readonly statuses: (number | null)[] = [];
  readonly refusals = new Set<string>();
  private isOver = false;
  private readonly working: Promise<unknown>;

  constructor(url: string) {
    const body = '{"wallet_id": "alice", "amount": 1}';
    const client = async () => {
      while (!this.isOver) {
        const answer = await fetch(`${url}/deposit`, { method: "POST", body }).catch(() => null);
        this.statuses.push(answer?.status ?? null);
        if (answer === null) continue;
        const { code } = (await answer.json()) as { code?: string };
        if (code !== undefined) this.refusals.add(code);
      }
    };
    this.working = Promise.all(Array.from({ length: CLIENTS }, client));
  }

  get acknowledged(): number {
    return this.statuses.filter((status) => status === 200).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.isOver = true;
    await this.working;
  }
}

const balanceOf = async (data: string) => {
  const { code, out, err } = await run({ folder: "/" }, "check", "alice", "--json", "--data", data);
  if (code !== 0) throw new Error(err);
  return Number((JSON.parse(out) as { balance: string }).balance);
};

testOnDisk(titled("a disk that is cut off under load has every acknowledged deposit"), async () => {
  using disk = new LoopDisk(temporaryFolder(), MEGABYTES);
  const data = join(disk.path, "data");
  await using up = new Running({ folder: "/" }, "up", "--port", "0", "--data", data);
  const load = new Load(await up.serves());
  await until(() => load.acknowledged >= DEPOSITS, () => up.err);
  await whilePaused([up.pid], () => disk.cut());
  const atCut = load.statuses.length;
  await until(() => load.statuses.length > atCut + DEPOSITS, () => up.err);
  await load[Symbol.asyncDispose]();
  // What was synced before, or the program sees that it is not.
  expect(load.statuses.slice(atCut + CLIENTS)).not.toContain(200);
  await up.stop("SIGKILL");
  await disk.mountAgain();
  const unknown = load.statuses.length - load.acknowledged;
  const balance = await balanceOf(data);
  expect(balance).toBeGreaterThanOrEqual(load.acknowledged);
  expect(balance).toBeLessThanOrEqual(load.acknowledged + Math.min(unknown, CLIENTS));
}, TEST_MS);

testOnDisk(titled("a disk that turns read-only under load: refused, until a restart"), async () => {
  using disk = new LoopDisk(temporaryFolder(), MEGABYTES);
  const data = join(disk.path, "data");
  await using up = new Running({ folder: "/" }, "up", "--port", "0", "--data", data);
  const url = await up.serves();
  const load = new Load(url);
  await until(() => load.acknowledged >= DEPOSITS, () => up.err);
  await whilePaused([up.pid], () => disk.makeReadOnly());
  const { acknowledged } = load;
  await until(() => load.refusals.has("log_unavailable"), () => up.err);
  await load[Symbol.asyncDispose]();
  expect(load.acknowledged - acknowledged).toBeLessThanOrEqual(CLIENTS);
  expect((await fetch(`${url}/readyz`)).status).toBe(503);
  await up.stop();
  await disk.mountAgain();
  await using again = new Running({ folder: "/" }, "up", "--port", "0", "--data", data);
  await using more = new Load(await again.serves());
  await until(() => more.acknowledged >= DEPOSITS, () => again.err);
  await more[Symbol.asyncDispose]();
  await again.stop();
  const unknown = load.statuses.length - load.acknowledged;
  const sure = load.acknowledged + more.acknowledged;
  const balance = await balanceOf(data);
  expect(balance).toBeGreaterThanOrEqual(sure);
  expect(balance).toBeLessThanOrEqual(sure + Math.min(unknown, CLIENTS));
}, TEST_MS);
