import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { join } from "node:path";
import { TICK_MS } from "../../src/log/embedded/membership.ts";
import { inTime } from "../in-time.ts";
import { Running, run, temporaryFolder, until } from "./program.ts";
import { post } from "./session.ts";

const TEST_MS = 60_000;
/** Every partition has some of them. */
const WALLETS = Array.from({ length: 40 }, (_, number) => `wallet-${number}`);
/** A tick finds the dead and one commit takes what they had; the rest is for a busy machine. */
const AT_ONCE_MS = 5 * TICK_MS;
/** As promised: 3 s of standing still, seen once a second, make 4.2 s at most when idle. */
const HUNG_MS = 5_000;

test("two `process --all` share; what a killed or hung one had, the other takes", async () => {
  using folder = temporaryFolder();
  const options = { folder: folder.path };
  await using serve = new Running(options, "serve", "--port", "0");
  const url = await serve.serves();
  const start = () => new Running(options, "process", "--all", "--health", "0");

  await using first = start();
  await first.says(/processing/);
  await using second = start();
  await second.says(/processing/);
  const share = (...programs: Running[]) => {
    const data = join(folder.path, "depositaja-data");
    const pids = programs.map(({ pid }) => pid).sort((a, b) => a - b).join();
    return until(() => processing(data).join() === pids, () => processing(data).join());
  };
  await share(first, second);
  await settleEverywhere(url);

  const killedMs = performance.now();
  first.signal("SIGKILL");
  await share(second);
  expect(performance.now() - killedMs).toBeLessThan(AT_ONCE_MS);
  await settleEverywhere(url);

  await using third = start();
  await third.says(/processing/);
  await settleEverywhere(url);
  await share(second, third);
  const hangs = await inTime(HUNG_MS, async () => {
    const hungMs = performance.now();
    second.signal("SIGSTOP");
    await share(third);
    const tookMs = performance.now() - hungMs;
    await settleEverywhere(url);
    // The one that hung wakes up, finds its claims gone, and takes part again: no double count.
    second.signal("SIGCONT");
    await settleEverywhere(url);
    await share(second, third);
    return tookMs;
  });
  for (const wallet of WALLETS) {
    const answer = (await (await fetch(`${url}/check/${wallet}`)).json()) as { balance: number };
    expect(answer.balance).toBe(3 + 2 * hangs);
  }
  expect(await second.stop()).toMatchObject({ code: 0 });
  expect(await third.stop()).toMatchObject({ code: 0 });
}, TEST_MS);

test("the only process hangs: the server is ready and says that nobody runs them", async () => {
  using folder = temporaryFolder();
  const options = { folder: folder.path };
  await using serve = new Running(options, "serve", "--port", "0");
  const url = await serve.serves();
  await using only = new Running(options, "process", "--all");
  await only.says(/processing/);
  const withoutOwner = (expected: string) => {
    let seen = "";
    const look = async () => {
      const answer = await fetch(`${url}/readyz`);
      expect(answer.status).toBe(200);
      const { groups_without_owner: groups } = (await answer.json()) as Record<string, string[]>;
      seen = String(groups);
      return seen === expected;
    };
    return until(look, () => seen);
  };
  await withoutOwner("");
  await inTime(HUNG_MS, async () => {
    const hungMs = performance.now();
    only.signal("SIGSTOP");
    await withoutOwner("balance,threshold,flagger");
    const tookMs = performance.now() - hungMs;
    only.signal("SIGCONT");
    await withoutOwner("");
    return tookMs;
  });
  await settleEverywhere(url);
  expect((await only.stop()).code).toBe(0);
}, TEST_MS);

test("a process stopped in a write transaction: 503 with its pid, then all goes on", async () => {
  using folder = temporaryFolder();
  const options = { folder: folder.path };
  await using up = new Running(options, "up", "--port", "0");
  const url = await up.serves();
  const log = join(folder.path, "depositaja-data", "log.db");
  const body = '{"wallet_id": "alice", "amount": 1}';
  for (const end of ["SIGCONT", "SIGKILL"] as const) {
    const program = [process.execPath, join(import.meta.dir, "write-lock-holder.ts")];
    await using holder = new Running({ ...options, program }, log);
    await holder.says(/held/);
    const startMs = performance.now();
    const refused = await fetch(`${url}/deposit`, { method: "POST", body });
    expect(refused.status).toBe(503);
    expect(performance.now() - startMs).toBeGreaterThan(1_500);
    expect(refused.headers.get("retry-after")).not.toBeNull();
    const { error, code } = (await refused.json()) as { error: string; code: string };
    expect(code).toBe("log_unavailable");
    expect(error).toContain(`process ${holder.pid} `);
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
    const held = "has held the log's write lock for over 2 s: resume or end it";
    const command = await run(options, "deposit", "alice", "1");
    expect(command).toMatchObject({ code: 1, err: `error: process ${holder.pid} ${held}\n` });
    holder.signal(end);
    await until(async () => (await fetch(`${url}/readyz`)).status === 200, () => up.err);
    const taken = await post(url, body);
    const check = await fetch(`${url}/check/alice?after=${taken["position"]}`);
    expect(check.status).toBe(200);
  }
  expect(await (await fetch(`${url}/check/alice`)).json()).toMatchObject({ balance: 2 });
  expect((await up.stop()).code).toBe(0);
}, TEST_MS);

test("what starts while another holds the log's lock waits for it or its own stop", async () => {
  using folder = temporaryFolder();
  const options = { folder: folder.path };
  await Bun.write(join(folder.path, "a.csv"), "wallet_id,amount,accepted_at\n");
  expect(await run(options, "import", "a.csv")).toMatchObject({ code: 0 });
  const log = join(folder.path, "depositaja-data", "log.db");
  const program = [process.execPath, join(import.meta.dir, "write-lock-holder.ts")];
  await using holder = new Running({ ...options, program }, log);
  await holder.says(/held/);
  const held = `process ${holder.pid} has held the log's write lock for over 2 s: resume or end it`;
  await using up = new Running(options, "up", "--port", "0");
  await using serve = new Running(options, "serve", "--port", "0");
  await using processors = new Running(options, "process", "--all");
  for (const each of [up, serve, processors]) {
    const said = `not ready: ${held}; trying again\n`;
    await until(() => each.err.includes(said), () => `${each.out}\n${each.err}`);
  }
  const stopped = await serve.stop();
  expect(stopped).toMatchObject({ code: 0, out: "" });
  expect(stopped.err).toContain("stopped before ");
  holder.signal("SIGCONT");
  await Promise.all([up.serves(), processors.says(/processing/)]);
  for (const each of [up, processors]) expect((await each.stop()).code).toBe(0);
}, TEST_MS);

/** One deposit into every wallet, and resolves when all of them are settled. */
async function settleEverywhere(url: string): Promise<void> {
  await Promise.all(
    WALLETS.map(async (wallet) => {
      const { position } = await post(url, `{"wallet_id": "${wallet}", "amount": 1}`);
      const check = () => fetch(`${url}/check/${wallet}?after=${position}`);
      await until(async () => (await check()).status === 200, () => `${wallet} ${position}`);
    }),
  );
}

/** The processes that have partitions of each group, once no partition is without one. */
function processing(data: string): readonly number[] {
  using log = new Database(join(data, "log.db"), { readonly: true });
  const rows = log
    .query(
      "SELECT group_name, COUNT(*) AS partitions, GROUP_CONCAT(DISTINCT pid) AS pids FROM claims " +
        "JOIN members ON members.id = claims.member GROUP BY group_name",
    )
    .all() as { group_name: string; partitions: number; pids: string }[];
  const isWhole = rows.length === 3 && rows.every(({ partitions }) => partitions === 8);
  const pids = rows.map((row) => row.pids.split(",").map(Number).sort((a, b) => a - b));
  const [first = []] = pids;
  return isWhole && pids.every((each) => each.join() === first.join()) ? first : [];
}
