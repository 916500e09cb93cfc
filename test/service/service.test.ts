import { afterEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { LogError, type LogErrorCode } from "../../src/log/event-log.ts";
import type { Service } from "../../src/service/listening.ts";
import { createService } from "../../src/service/service.ts";
import { ask, type Ask, depositBody } from "./requests.ts";
import { closeApps, type RunningApp, runService, within } from "./running-app.ts";

afterEach(closeApps);

/** One after the other; everything is settled before a GET is asked. */
const SESSION: readonly (readonly [line: string, ask?: Ask])[] = [
  ["POST /deposit", depositBody("0x1a3565a67721b6ab46fB11d5CF33A72D871aEbA3", '"2000"')],
  ["GET /check/0x1a3565a67721b6ab46fB11d5CF33A72D871aEbA3"],
  ["GET /0x1a3565a67721b6ab46fB11d5CF33A72D871aEbA3/feed"],
  ["GET /api/check/0x1a3565a67721b6ab46fB11d5CF33A72D871aEbA3"],
  ["GET /check/nobody"],
  ["POST /deposit", depositBody("alice", "0.1")],
  ["POST /deposit", depositBody("alice", '"0.20"')],
  ["GET /check/alice"],
  ["POST /deposit", depositBody("rich", "90071992547409.93")],
  ["GET /check/rich"],
  ["POST /api/deposit", depositBody("alice", "9999.71")],
  ["GET /check/alice"],
  ["POST /deposit", depositBody("ü/é ☃", "1")],
  ["GET /check/%C3%BC%2F%C3%A9%20%E2%98%83"],
  ["GET /%c3%bc%2f%c3%a9%20☃/feed"],
  ["POST /deposit", { ...depositBody("bob", "5.00"), headers: { "idempotency-key": "k1" } }],
  ["POST /deposit", { ...depositBody("bob", "5"), headers: { "idempotency-key": '"k1"' } }],
  ["POST /deposit", { ...depositBody("bob", "6"), headers: { "idempotency-key": "k1" } }],
  ["POST /api/deposit", { ...depositBody("bob", "6"), headers: { "idempotency-key": "k1" } }],
  ["GET /check/bob"],
  ["GET /check/bob?after=3-0"],
  ["GET /check/feed"],
  ["GET /check/feed/feed"],
  ["GET /healthz"],
  ["GET /readyz"],
  ["GET /wallets/alice"],
  ["GET /wallets/nobody"],
  ["GET /flags?limit=1"],
  ["GET /flags/rich"],
  ["POST /flags/rich", { body: '{"action":"remove","actor":"ana","reason":"x","seen_event":1}' }],
  ["POST /flags/dora", { body: '{"action":"add","actor":"ana"}' }],
  ["GET /flags?state=any&from=2026-01-31T12:00:00Z"],
  ["HEAD /check/alice"],
  ["OPTIONS /deposit"],
  ["OPTIONS /flags/alice"],
  ["OPTIONS /check/alice"],
  ["GET /deposit"],
  ["POST /check/alice"],
  ["DELETE /alice/feed"],
  ["PUT /api/deposit"],
  ["GET /"],
  ["GET /nothing"],
  ["GET /api/nothing"],
  ["GET /check"],
  ["GET /check/"],
  ["GET /api/check/"],
  ["GET //feed"],
  ["GET /check/%zz"],
  ["GET /check/%ff"],
  ["GET /check/%00"],
  ["GET /api/check/%zz"],
  [`GET /check/${"x".repeat(129)}`],
  ["GET /check/alice?after="],
  ["GET /check/alice?after=1"],
  ["GET /check/alice?after=0-0"],
  ["GET /check/alice?after=01-0"],
  ["GET /check/alice?after=9-0"],
  ["GET /api/check/alice?after=x"],
  ["GET /check/alice?after=3-0&after=3-1"],
  ["GET /alice/feed?aftr=3-0"],
  ["GET /api/check/alice?__proto__=x"],
  ["POST /deposit?amount=5", depositBody("alice", "1")],
  ["POST /api/deposit?key=k1", depositBody("alice", "1")],
  ["GET /healthz?nocache=1"],
  ["POST /deposit", depositBody("alice", "0")],
  ["POST /deposit", depositBody("alice", '"0.00"')],
  ["POST /deposit", depositBody("alice", "-1")],
  ["POST /deposit", depositBody("alice", "-0")],
  ["POST /deposit", depositBody("alice", '"+1"')],
  ["POST /deposit", depositBody("alice", "1.005")],
  ["POST /deposit", depositBody("alice", "1.000000000000000005")],
  ["POST /deposit", depositBody("alice", "1e3")],
  ["POST /deposit", depositBody("alice", "92233720368547758.08")],
  ["POST /deposit", depositBody("alice", '"1,5"')],
  ["POST /deposit", depositBody("alice", '"12 "')],
  ["POST /deposit", depositBody("alice", '""')],
  ["POST /deposit", depositBody("alice", "null")],
  ["POST /deposit", depositBody("", "1")],
  ["POST /deposit", depositBody("x".repeat(129), "1")],
  ["POST /deposit", depositBody("a\tb", "1")],
  ["POST /deposit", { body: '{"wallet_id":"\\ud800","amount":1}' }],
  ["POST /deposit", { body: '{"wallet_id":"alice"}' }],
  ["POST /deposit", { body: '{"amount":1}' }],
  ["POST /deposit", { body: "wallet_id=alice" }],
  ["POST /deposit", { body: '{"wallet_id":"alice","amount":1,"amount":1}' }],
  ["POST /deposit"],
  ["POST /deposit", { body: "x".repeat(16_385) }],
  ["POST /api/deposit", { body: "{" }],
  ["POST /deposit", { ...depositBody("alice", "1"), headers: { "idempotency-key": '"k' } }],
  ["DELETE /flags/alice"],
  ["GET /flags?cursor=x"],
  ["POST /flags/alice", { body: '{"action":"remove","actor":"ana","seen_event":1}' }],
  ["POST /flags/alice", { headers: { origin: "https://evil.example" } }],
  ["POST /deposit", { ...depositBody("alice", "1"), headers: { host: "evil.example" } }],
  ["POST /deposit", { ...depositBody("alice", "1"), headers: { origin: "https://evil.example" } }],
  ["GET /check/alice", { headers: { origin: "null" } }],
  ["GET /api/check/alice", { headers: { host: "evil.example" } }],
  ["GET /healthz", { headers: { host: "evil.example" } }],
  ["GET /check/alice", { headers: { origin: "http://localhost:8080" } }],
];

/** The headers that clients go by. */
const TOLD_HEADERS = ["allow", "content-type", "retry-after"];

describe("the routes", () => {
  test("answer as the golden session has it", async () => {
    const { service, settle } = await runService({ partitions: 4 });
    const lines: string[] = [];
    for (const [line, options = {}] of SESSION) {
      if (line.startsWith("GET")) await settle();
      const answer = await within(ask(service, line, options));
      const told = TOLD_HEADERS.flatMap((name) => {
        const value = answer.headers.get(name);
        return value === null ? [] : [`${name}: ${value}`];
      });
      const { host, origin, "idempotency-key": key } = options.headers ?? {};
      const sent = Object.entries({ host, origin, "idempotency-key": key })
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => ` (${name}: ${value})`);
      const body = options.body === undefined ? "" : ` ${shortened(String(options.body))}`;
      lines.push(
        `> ${shortened(line)}${sent.join("")}${body}`,
        `${[answer.status, ...told].join(", ")}`,
        answer.text,
        "",
      );
    }
    const golden = Bun.file(join(import.meta.dir, "golden-session.txt"));
    expect(lines.join("\n")).toBe(await golden.text());
  });

  test("that refuse leave nothing", async () => {
    const { service, appended } = await runService({ processors: [] });
    const firstRefused = SESSION.findIndex(([line]) => line === "HEAD /check/alice");
    for (const [line, options] of SESSION.slice(firstRefused)) {
      const { status } = await ask(service, line, options);
      if (line.startsWith("POST")) expect(status).toBeGreaterThanOrEqual(400);
    }
    expect(await appended()).toBe(0);
  });

  test("take any content type, and none", async () => {
    const { service } = await runService({ processors: [] });
    const types = ["application/x-www-form-urlencoded", "text/plain", "application/json", "x"];
    for (const type of types) {
      const headers = { "content-type": type };
      const { status } = await ask(service, "POST /deposit", { ...depositBody("a", "1"), headers });
      expect(status).toBe(200);
    }
  });
});

describe("HEAD", () => {
  test.each([
    ["/check/alice", 200],
    ["/alice/feed", 200],
    ["/check/alice?after=x", 422],
    ["/healthz", 200],
    ["/readyz", 200],
    ["/deposit", 405],
    ["/nothing", 404],
    ["/api/nothing", 404],
  ])("of %s has the headers of GET, its length included, and no body", async (path, status) => {
    const { app } = await runService();
    const server = app.createService({ allowHosts: [] }).listen({ host: "127.0.0.1", port: 0 });
    try {
      const [get, head] = await Promise.all(
        ["GET", "HEAD"].map((method) => fetch(`${server.url}${path}`, { method })),
      );
      const names = ["allow", "content-length", "content-type"];
      const told = (answer?: Response) => names.map((name) => answer?.headers.get(name));
      expect([head?.status, ...told(head)]).toEqual([status, ...told(get)]);
      expect([...(head?.headers.keys() ?? [])].sort()).toEqual(
        [...(get?.headers.keys() ?? [])].sort(),
      );
      const body = (await get?.text()) ?? "";
      expect(head?.headers.get("content-length")).toBe(String(body.length));
      expect(await head?.text()).toBe("");
    } finally {
      await server.stop();
    }
  });

  test("is refused for a foreign host as GET is", async () => {
    const { service } = await runService({ processors: [] });
    const headers = { host: "evil.example" };
    const get = await ask(service, "GET /check/alice", { headers });
    const head = await ask(service, "HEAD /check/alice", { headers });
    expect([head.status, head.text]).toEqual([403, ""]);
    expect(head.headers.get("content-length")).toBe(String(get.text.length));
  });
});

describe("a log that does not take a deposit", () => {
  const unwritten = "; nothing was written: the deposit can safely be sent again";
  const cases: readonly [LogErrorCode, number, string, string][] = [
    ["busy", 503, "busy", ""],
    ["unavailable", 503, "log_unavailable", unwritten],
    ["closed", 503, "log_unavailable", ""],
    ["outcome_unknown", 503, "outcome_unknown", ""],
  ];
  test.each(cases)("for %s answers %i %s and the log's word", async (...each) => {
    const [logCode, status, code, more] = each;
    const error = `pid 123 has held the lock${more}`;
    const { app } = await runService({ processors: [] });
    const submit = () => Promise.reject(new LogError(logCode, "pid 123 has held the lock"));
    const service = failing(app, submit);
    const answer = await ask(service, "POST /deposit", depositBody("alice", "1"));
    expect(answer.status).toBe(status);
    expect(answer.json).toEqual({ error, code });
    expect(answer.headers.get("retry-after")).toBe("1");
    const api = await ask(service, "POST /api/deposit", depositBody("alice", "1"));
    expect(api.json).toEqual({ error, code: status });
  });

  test("for what nobody foresaw answers 500 and tells nothing of it", async () => {
    const { app } = await runService({ processors: [] });
    for (const error of [new Error("secret"), new LogError("record_too_large", "secret")]) {
      const service = failing(app, () => Promise.reject(error));
      const answer = await ask(service, "POST /deposit", depositBody("alice", "1"));
      expect(answer.status).toBe(500);
      expect(answer.text).not.toContain("secret");
      expect(answer.text).not.toContain(".ts");
      expect(answer.json).toMatchObject({ code: "internal_error" });
    }
  });

  function failing(app: RunningApp["app"], submit: () => Promise<never>): Service {
    const waiting = { durable: 0, decision: 0 };
    const submissions = { submit, waiting, abandon: () => {} };
    return createService({ ...app, processorNames: {}, submissions }, { allowHosts: [] });
  }
});

describe("hosts", () => {
  test("that the operator allows are let in", async () => {
    const { app } = await runService({ processors: [] });
    const service = app.createService({ allowHosts: ["deposits.example"] });
    const headers = { host: "deposits.example:443" };
    expect((await ask(service, "GET /check/alice", { headers })).status).toBe(200);
    const other = { host: "other.example" };
    expect((await ask(service, "GET /check/alice", { headers: other })).status).toBe(403);
  });
});

function shortened(text: string): string {
  return text.length <= 120 ? text : `${text.slice(0, 60)}… (${text.length} characters)`;
}
