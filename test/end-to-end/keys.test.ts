/** Keys of the API: who may ask what, and that a running service follows their file. */

import { expect, test } from "bun:test";
import { appendFileSync, chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { OPERATIONS } from "../../src/service/document/operations.ts";
import { type ProgramOptions, Running, run, temporaryFolder, until } from "./program.ts";

const TEST_MS = 60_000;
/** As src/access/api-key.ts makes them. */
const SECRET = /^dpk_[A-Za-z0-9_-]{43}\n$/;

async function createKey(at: ProgramOptions, name: string, scope: string): Promise<string> {
  const made = await run(at, "keys", "create", name, "--scope", scope, "--keys", "keys");
  expect([made.code, SECRET.test(made.out)]).toEqual([0, true]);
  return made.out.trim();
}

function bearer(secret: string): Record<string, string> {
  return { authorization: `Bearer ${secret}` };
}

test("a service with keys asks for them, by scope, and follows their file", async () => {
  using folder = temporaryFolder();
  const at = { folder: folder.path };
  const file = join(folder.path, "keys");
  const client = await createKey(at, "shop", "client");
  const operator = await createKey(at, "desk", "operator");
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, "utf8")).not.toContain(client);

  await using up = new Running(at, "up", "--port", "0", "--keys", "keys");
  const url = await up.serves();
  const ask = (path: string, headers: Record<string, string> = {}, body?: object) =>
    fetch(`${url}${path}`, {
      headers,
      ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
    });

  // Every route, also where a wallet's name makes one path look like another.
  for (const { method, path, tag } of OPERATIONS) {
    for (const wallet of ["alice", "feed"]) {
      const asked = path.replace("{wallet_id}", wallet);
      const body = method === "post" ? {} : undefined;
      const statuses = [];
      for (const headers of [{}, bearer("dpk_wrong"), bearer(client), bearer(operator)]) {
        statuses.push((await ask(asked, headers, body)).status);
      }
      const [none, wrong, clients, operators] = statuses;
      const isOpen = tag === "service" && !asked.startsWith("/metrics");
      expect([asked, none === 401, wrong === 401]).toEqual([asked, !isOpen, !isOpen]);
      const isForOperators = !isOpen && tag !== "customers";
      expect([asked, clients === 403]).toEqual([asked, isForOperators]);
      expect([401, 403]).not.toContain(operators as number);
    }
  }
  const missing = await ask("/check/alice");
  expect(missing.headers.get("www-authenticate")).toBe('Bearer realm="depositaja"');
  expect(await missing.json()).toMatchObject({ code: "unauthorized" });
  const unknown = await ask("/api/check/alice", bearer(`${client}x`));
  expect(unknown.headers.get("www-authenticate")).toEndWith(', error="invalid_token"');
  expect(await unknown.json()).toMatchObject({ code: 401 });
  expect((await fetch(`${url}/check/alice`, { method: "HEAD" })).status).toBe(401);
  expect((await ask("/nowhere", bearer(client))).status).toBe(403);
  expect((await ask("/docs")).status).toBe(200);

  // What an operator does is recorded, and logged, with the key that it was done with.
  const sent = { ...bearer(operator), "x-request-id": "case-17" };
  const added = await ask("/flags/bob", sent, { action: "add", actor: "ana (key root)" });
  expect([added.status, added.headers.get("x-request-id")]).toEqual([200, "case-17"]);
  const evidence = await (await ask("/flags/bob", bearer(operator))).json();
  expect(evidence).toMatchObject({ actions: [{ actor: "ana (key root) (key desk)" }] });
  const line = /ana \(key root\) \(key desk\) flagged bob \(record \d-0, request case-17\)/;
  await until(() => line.test(up.err), () => up.err);

  // Rotated without a restart; what cannot be read changes nothing.
  const next = await createKey(at, "shop-2", "client");
  await until(async () => (await ask("/check/alice", bearer(next))).ok, () => up.err);
  const revoked = await run(at, "keys", "revoke", "shop", "--keys", "keys", "--json");
  expect(JSON.parse(revoked.out)).toMatchObject({ name: "shop", revoked_at: expect.any(String) });
  expect(revoked.err).toContain(" revoked the key shop in ");
  await until(async () => !(await ask("/check/alice", bearer(client))).ok, () => up.err);
  appendFileSync(file, "no key\n");
  const broken = /keys, line 5: not a key: .+; the old one stays/;
  await until(() => broken.test(up.err), () => up.err);
  expect((await ask("/check/alice", bearer(next))).status).toBe(200);
  expect((await ask("/check/alice", bearer(client))).status).toBe(401);

  // Emptied, it takes all keys out: which is said as at a start.
  writeFileSync(file, "");
  const emptied = /"level":"WARN[^\n]+keys has no key that is good: every request is refused/;
  await until(() => emptied.test(up.err), () => up.err);
  expect((await ask("/check/alice", bearer(next))).status).toBe(401);

  const { out, err } = await up.stop();
  for (const secret of [client, operator, next]) expect(`${out}${err}`).not.toContain(secret);
}, TEST_MS);

test("keys refuses taken, unknown and malformed names, and a file open to others", async () => {
  using folder = temporaryFolder();
  const at = { folder: folder.path, environment: { DEPOSITAJA_KEYS_FILE: "keys" } };
  const keys = (...args: string[]) => run(at, "keys", ...args);
  await createKey(at, "shop", "client");
  expect(await keys("revoke", "shop")).toMatchObject({ code: 0 });
  const again = await keys("revoke", "shop");
  expect(again).toMatchObject({ code: 0, err: "" }); // no second line in the log
  expect(again.out).toMatch(/^the key shop was revoked before \(\S+Z\): nothing changed\n$/);
  expect(await keys("create", "shop", "--scope", "client")).toMatchObject({
    ...{ code: 1, err: expect.stringContaining("was revoked: a name is given once") },
  });
  expect(await keys("create", "a b", "--scope", "client")).toMatchObject({ code: 2, out: "" });
  expect(await keys("create", "b", "--scope", "root")).toMatchObject({ code: 2, out: "" });
  expect(await keys("revoke", "b")).toMatchObject({ code: 1, out: "" });
  const listed = await run({ folder: folder.path }, "keys", "list", "--json", "--keys", "keys");
  expect(JSON.parse(listed.out)).toMatchObject({ name: "shop", scope: "client" });
  expect((JSON.parse(listed.out) as { revoked_at: unknown }).revoked_at).toBeString();

  writeFileSync(join(folder.path, "keys.new"), "");
  const busy = await keys("create", "b", "--scope", "client");
  expect(busy.err).toContain("another `keys` writes it");
  const file = join(folder.path, "keys");
  chmodSync(file, 0o644);
  const open = await keys("list");
  expect(open.err).toContain("is open to others: chmod 600");
  expect(open.code).toBe(1);
  expect(await run(at, "serve", "--port", "0")).toMatchObject({ code: 1, err: open.err });
}, TEST_MS);

test("keys of the environment are good as well, masked, and limited in how often", async () => {
  using folder = temporaryFolder();
  const at = { folder: folder.path };
  const made = await run(at, "keys", "create", "shop", "--scope", "client", "--entry", "--json");
  const { secret, entry } = JSON.parse(made.out) as { secret: string; entry: string };
  const withKeys = { ...at, environment: { DEPOSITAJA_KEYS: entry } };
  const config = await run(withKeys, "config");
  expect(config.out).toMatch(/^DEPOSITAJA_KEYS +\*\*\* +DEPOSITAJA_KEYS$/m);
  await using serve = new Running(withKeys, "serve", "--port", "0", "--rate-limit", "3");
  const url = await serve.serves();
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => fetch(`${url}/check/alice`, { headers: bearer(secret) })),
  );
  const refused = answers.filter(({ status }) => status === 429);
  expect(answers.filter(({ ok }) => ok).length).toBeGreaterThanOrEqual(3);
  expect(refused.length).toBeGreaterThan(0);
  for (const answer of refused) {
    expect(answer.headers.get("retry-after")).toBe("1");
    expect(await answer.json()).toMatchObject({ code: "rate_limited" });
  }
  await until(
    async () => (await fetch(`${url}/check/alice`, { headers: bearer(secret) })).ok,
    () => serve.err,
  );
  // Who looks after it asks as often as it likes.
  for (let i = 0; i < 10; i += 1) expect((await fetch(`${url}/healthz`)).status).toBe(200);
}, TEST_MS);
