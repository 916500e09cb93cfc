import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import { Running, run, PROGRAM, temporaryFolder, until } from "./program.ts";
import { post } from "./session.ts";

const TEST_MS = 60_000;
const STOP_MS = 5_000 + 1_000;
/** Nothing is under way that is to be finished. */
const AT_ONCE_MS = 2_000;

test("SIGTERM: a request that waits for a processor is answered, then `serve` ends", async () => {
  using folder = temporaryFolder();
  await using serve = new Running({ folder: folder.path }, "serve", "--port", "0");
  const url = await serve.serves();
  const waiting = fetch(`${url}/deposit`, {
    method: "POST",
    body: '{"wallet_id": "alice", "amount": 1}',
    headers: { "Idempotency-Key": "one" },
  });
  const data = join(folder.path, "depositaja-data");
  await until(async () => {
    const ready = (await (await fetch(`${url}/readyz`)).json()) as { groups: { lag: number }[] };
    return ready.groups.some(({ lag }) => lag > 0);
  }, () => data);
  const askedMs = performance.now();
  serve.signal("SIGTERM");
  const answer = await waiting;
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({ code: "undecided" });
  expect(await serve.ended()).toMatchObject({ code: 0 });
  expect(performance.now() - askedMs).toBeLessThan(STOP_MS);
}, TEST_MS);

test("the pid that each service prints is the one to kill, whatever started it", async () => {
  using folder = temporaryFolder();
  const shell = ["sh", "-c", '"$@"; exit $?', "sh", ...PROGRAM];
  for (const args of [["up", "--port", "0"], ["serve", "--port", "0"], ["process", "--all"]]) {
    await using running = new Running({ folder: folder.path, program: shell }, ...args);
    const pid = Number(await running.says(/^Ctrl-C stops it, or from elsewhere: kill (\d+)$/m));
    expect(pid).not.toBe(running.pid);
    process.kill(pid, "SIGTERM");
    expect(await running.ended()).toMatchObject({ code: 0 });
  }
}, TEST_MS);

test.each([
  ["serve", 0, ["serve", "--port", "0"]],
  ["up", 0, ["up", "--port", "0"]],
  ["process", 0, ["process", "--all"]],
  ["check", 1, ["check", "alice"]],
  ["import", 1, ["import", "-"]],
] as const)("`%s` that still reaches for a cluster ends at once", async (_, code, args) => {
  using folder = temporaryFolder();
  await using silent = await startSilentBroker();
  const brokers = ["--brokers", `127.0.0.1:${silent.port}`];
  await using program = new Running({ folder: folder.path }, ...args, ...brokers);
  await until(() => silent.asked() > 0, () => program.err);
  const askedMs = performance.now();
  const ended = await program.stop();
  expect(performance.now() - askedMs).toBeLessThan(AT_ONCE_MS);
  expect(ended.code).toBe(code);
  const line = `stopped while the cluster at 127.0.0.1:${silent.port} was being reached`;
  expect(ended.err).toEndWith(code === 0 ? `${line}\n` : `error: ${line}\n`);
}, TEST_MS);

test("SIGTERM under load: every acknowledged deposit is there afterwards", async () => {
  using folder = temporaryFolder();
  await using up = new Running({ folder: folder.path }, "up", "--port", "0");
  const url = await up.serves();
  let acknowledged = 0;
  const client = async () => {
    for (;;) {
      const body = '{"wallet_id": "alice", "amount": 1}';
      const answer = await fetch(`${url}/deposit`, { method: "POST", body }).catch(() => null);
      if (answer === null) return;
      expect(answer.status).toBe(200);
      acknowledged += 1;
    }
  };
  const clients = Array.from({ length: 8 }, client);
  await until(() => acknowledged > 200, () => up.err);
  expect(await up.stop()).toMatchObject({ code: 0, err: "" });
  await Promise.all(clients);
  const { out } = await run({ folder: folder.path }, "check", "alice", "--json");
  expect(JSON.parse(out)).toMatchObject({ balance: `${acknowledged}.00` });
}, TEST_MS);

test("a second signal ends at once, though a request is still waited for", async () => {
  using folder = temporaryFolder();
  await using serve = new Running({ folder: folder.path }, "serve", "--port", "0");
  const { hostname, port } = new URL(await serve.serves());
  const slow = connect(Number(port), hostname);
  slow.on("error", () => {}); // it is cut
  slow.write("POST /deposit HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{");
  await new Promise((resolve) => slow.once("connect", resolve));
  // Answered behind it: the server has read the slow request's head by then.
  await fetch(`http://${hostname}:${port}/healthz`);
  // A signal that follows at once is the same wish: it is repeated until the program has ended.
  serve.signal("SIGINT");
  const startMs = performance.now();
  let isEnded = false;
  const ended = serve.ended().finally(() => (isEnded = true));
  await until(() => {
    serve.signal("SIGINT");
    return isEnded;
  }, () => serve.out);
  expect((await ended).code).toBe(1);
  expect(performance.now() - startMs).toBeLessThan(1_500);
  slow.destroy();
}, TEST_MS);

test("`up` ends with 1 and says why when its processors end", async () => {
  using folder = temporaryFolder();
  const options = { folder: folder.path };
  await using first = new Running(options, "up", "--port", "0");
  const url = await first.serves();
  await post(url, '{"wallet_id": "alice", "amount": 1}');
  // A log whose table of members is gone cannot be joined: nothing that a user does, but final.
  await first.stop();
  using log = new Database(join(folder.path, "depositaja-data", "log.db"));
  log.exec("ALTER TABLE memberships RENAME TO away");
  await using second = new Running(options, "up", "--port", "0");
  const { code, err } = await second.ended();
  expect(code).toBe(1);
  expect(err).toContain("memberships");
}, TEST_MS);

test("a reader that goes away is no failure, and a list of thousands stops writing", async () => {
  using folder = temporaryFolder();
  const options = { folder: folder.path };
  const rows = Array.from({ length: 3_000 }, (_, i) => `w${i},10000.01,1000`);
  await Bun.write(join(folder.path, "a.csv"), `wallet_id,amount,accepted_at\n${rows.join("\n")}\n`);
  expect(await run(options, "import", "a.csv")).toMatchObject({ code: 0 });
  const program = PROGRAM.join(" ");
  const shell = { ...options, program: ["bash", "-c"] };
  const piped = await run(shell, `set -o pipefail; ${program} flags --json | head -n 1`);
  expect(piped).toMatchObject({ code: 0, err: "" });
  expect(JSON.parse(piped.out)).toMatchObject({ flagged: true, newest_event: 1 });
  const all = await run(options, "flags", "--json");
  expect(all.out.trimEnd().split("\n")).toHaveLength(3_000);
}, TEST_MS);

test("a taken port is named, and the folder that was made; advice names it, too", async () => {
  using folder = temporaryFolder();
  await using first = new Running({ folder: folder.path }, "up", "--port", "0");
  const { port } = new URL(await first.serves());
  const other = await run({ folder: folder.path }, "serve", "--port", port, "--data", "other");
  expect(other).toMatchObject({ code: 1 });
  expect(other.err).toBe(
    `error: port ${port} of 127.0.0.1 is taken: stop what uses it, or choose another with --port\n`,
  );
  expect(other.out).toContain(`${join(folder.path, "other")} (created`);
  const elsewhere = ["--port", "0", "--data", "other"];
  await using apart = new Running({ folder: folder.path }, "serve", ...elsewhere);
  await apart.serves();
  expect(apart.out).toContain(`process --all --data ${join(folder.path, "other")}\``);
  expect(existsSync(join(folder.path, "other", "log.db"))).toBe(true);
  const health = await run({ folder: folder.path }, "process", "--all", "--health", port);
  expect(health).toMatchObject({ code: 1 });
  expect(health.err).toContain("stop what uses it, or choose another with --health\n");
}, TEST_MS);

/** Takes connections and answers nothing. */
async function startSilentBroker() {
  let asked = 0;
  const server = createServer((socket) => {
    asked += 1;
    socket.on("error", () => {}); // the program has ended
    socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    asked: () => asked,
    [Symbol.asyncDispose]: async () => void server.close(),
  };
}
