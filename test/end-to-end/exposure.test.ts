/** What a service gives away: to pages, to customers, in its headers and in its log. */

import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Running, run, temporaryFolder, until } from "./program.ts";
import { post } from "./session.ts";

const TEST_MS = 60_000;
const SHOP = "https://shop.example.org";
const EVIL = "https://evil.example";

/** Who is in the list of flags. */
async function flagged(url: string, query: string): Promise<string[]> {
  const answer = await (await fetch(`${url}/flags${query}`)).json();
  const { flags } = answer as { readonly flags: readonly { readonly wallet_id: string }[] };
  return flags.map(({ wallet_id }) => wallet_id).toSorted();
}

test("pages, customers and log lines get what they should, and no more", async () => {
  using folder = temporaryFolder();
  const at = { folder: folder.path };
  await using up = new Running(at, "up", "--port", "0", "--hide-flags", "--cors-origin", SHOP);
  const url = await up.serves();
  const { position } = await post(url, '{"wallet_id": "alice", "amount": "20017.53"}');

  // Customers are not told of the flag, and the document does not know of it.
  for (const path of ["/check/alice", "/api/check/alice", "/alice/feed", "/wallets/alice"]) {
    const answer = await fetch(`${url}${path}?after=${position}`);
    expect([path, answer.status]).toEqual([path, 200]);
    const text = await answer.text();
    expect(text).toContain("20017.53");
    expect(text).not.toMatch(/flag|threshold|episode|event/);
  }
  expect(await (await fetch(`${url}/check/alice`)).json()).not.toHaveProperty("above_threshold");
  expect(await (await fetch(`${url}/openapi.json`)).text()).not.toContain("above_threshold");
  const told = await fetch(`${url}/flags/alice?after=${position}`); // customers did not wait for it
  expect(await told.json()).toMatchObject({ flagged: true });
  const body = '{"wallet_id": "carol", "amount": 1}';
  const followed = await fetch(`${url}/api/deposit`, { method: "POST", body });
  expect(await followed.text()).toBe('{"code":200,"data":null,"message":"success"}');

  // One origin is let in, with what its page may send; any other gets nothing.
  const preflight = { method: "OPTIONS", headers: { origin: SHOP } };
  Object.assign(preflight.headers, { "access-control-request-method": "POST" });
  const allowed = await fetch(`${url}/deposit`, preflight);
  expect([allowed.status, allowed.headers.get("access-control-allow-origin")]).toEqual([204, SHOP]);
  expect(allowed.headers.get("access-control-allow-headers")).toContain("authorization");
  expect(allowed.headers.has("access-control-allow-credentials")).toBe(false);
  const page = await fetch(`${url}/check/alice`, { headers: { origin: SHOP } });
  expect([page.status, page.headers.get("access-control-allow-origin")]).toEqual([200, SHOP]);
  for (const path of ["/check/alice", "/flags", "/healthz"]) {
    const foreign = await fetch(`${url}${path}`, { headers: { origin: EVIL } });
    expect([path, foreign.status]).toEqual([path, 403]);
    expect(foreign.headers.has("access-control-allow-origin")).toBe(false);
  }

  // Every kind of answer has the headers: early, routed, a problem, nothing there, the page, and
  // what a browser is told first.
  const paths = ["/check/alice", "/wallets/alice", "/wallets/nobody", "/flags", "/readyz"];
  for (const path of [...paths, "/nowhere", "/healthz", "/metrics", "/openapi.json", "/docs"]) {
    for (const asked of [{}, { headers: { origin: SHOP } }, preflight]) {
      const { headers } = await fetch(`${url}${path}`, asked);
      expect([path, headers.get("x-content-type-options")]).toEqual([path, "nosniff"]);
      expect([path, headers.get("cache-control")]).toEqual([path, "no-store"]);
      expect(headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
    }
  }

  // An id of the caller's is taken over when it is well-formed; nothing else gets into a line.
  const named = await fetch(`${url}/nowhere`, { headers: { "x-request-id": "case-17" } });
  expect(named.headers.get("x-request-id")).toBe("case-17");
  const forged = await fetch(`${url}/flags/bob%E2%80%AE`, {
    method: "POST",
    headers: { "x-request-id": 'x"} {"level":"INFO' },
    body: JSON.stringify({ action: "add", actor: "ana\u2028{}" }),
  });
  expect([forged.status, forged.headers.get("x-request-id")?.length]).toEqual([200, 36]);
  await until(() => up.err.includes("flagged bob"), () => up.err);
  expect(await flagged(url, "")).toEqual(["alice", "bob\u202e"]);
  const removal = JSON.stringify({ action: "remove", actor: "ana", reason: "x", seen_event: 1 });
  const removed = await fetch(`${url}/flags/alice`, { method: "POST", body: removal });
  expect(removed.status).toBe(200);
  expect(await flagged(url, "?state=flagged")).toEqual(["bob\u202e"]);
  expect(await flagged(url, "?state=removed")).toEqual(["alice"]);
  expect(await flagged(url, "?state=any")).toEqual(["alice", "bob\u202e"]);
  expect((await fetch(`${url}/flags?state=open`)).status).toBe(422);
  const { err } = await up.stop();
  for (const forging of ["\u2028", "\u202e", "\u001b"]) expect(err).not.toContain(forging);
  const lines = err.trimEnd().split("\n").map((line) => JSON.parse(line) as { message: string });
  expect(lines.filter(({ message }) => message.startsWith("ana"))).toHaveLength(2);
  expect(err).not.toMatch(/20017|2001753/);
}, TEST_MS);

test("what an operator does in the shell is logged, whatever the level", async () => {
  using folder = temporaryFolder();
  const at = { folder: folder.path };
  const keys = ["--scope", "client", "--keys", "keys"];
  const made = await run(at, "keys", "create", "shop", ...keys);
  expect(made.err).toContain(" made the key shop (client) in ");
  expect(made.err).not.toContain(made.out.trim());
  expect((await run(at, "sample", "--deposits", "5")).err).not.toContain("operators");
  writeFileSync(join(folder.path, "a.csv"), "wallet_id,amount,accepted_at\nalice,20000,1000\n");
  expect(await run(at, "import", "a.csv")).toMatchObject({ code: 0 });
  const quiet = ["--by", "ann", "--log-level", "error"];
  const added = await run(at, "flag", "bob", "--reason", "case 17", ...quiet);
  expect(added.err).toMatch(/"message":"ann flagged bob \(record \d-0\)","logger":"\S+operators"/);
  const removed = await run(at, "flag", "alice", "--remove", ...quiet);
  expect(removed.err).toMatch(/"message":"ann removed the flag of alice \(record \d-\d+\)"/);
  expect(await run(at, "backup", "a.backup")).toMatchObject({ code: 0 });
  const restored = await run(at, "restore", "a.backup", "--data", "again");
  expect(restored.err).toMatch(/"message":"\S+ restored \S+a\.backup into \S+again"/);
}, TEST_MS);
