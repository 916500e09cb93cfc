import { afterEach, expect, test } from "bun:test";
import { newApiKey } from "../../src/access/api-key.ts";
import { KeyRing } from "../../src/access/key-ring.ts";
import { LogError } from "../../src/log/event-log.ts";
import { METRIC_FAMILIES, METRIC_PREFIX } from "../../src/service/metric-families.ts";
import { createHealthService, createService } from "../../src/service/service.ts";
import type { ProcessorNumbers } from "../../src/stream/processing-numbers.ts";
import { until } from "../end-to-end/program.ts";
import { type Family, readExposition, total } from "./exposition.ts";
import { depositBody } from "./requests.ts";
import { type RunningApp, runApp, Timers } from "./running-app.ts";

let running: RunningApp | undefined;
afterEach(() => running?.close());

type Service = ReturnType<typeof createService>;

async function asked(service: Service, path = "/metrics"): Promise<Response> {
  return service.fetch(new Request(`http://localhost${path}`, { headers: { host: "localhost" } }));
}

async function scrape(service: Service): Promise<ReadonlyMap<string, Family>> {
  const response = await asked(service);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  return readExposition(await response.text());
}

const full = (name: string) => METRIC_PREFIX + name;

test("every metric has a name by Prometheus's rules, and is told once", async () => {
  running = await runApp();
  const families = await scrape(running.app.createService({ allowHosts: [] }));
  expect([...families.keys()]).toEqual(METRIC_FAMILIES.map(({ name }) => full(name)));
  for (const { name, type, help } of families.values()) {
    expect([name, name.endsWith("_total")]).toEqual([name, type === "counter"]);
    expect(name).not.toMatch(/_(ms|milliseconds|minutes|kib|mb|ns)\b/);
    expect(help).toMatch(/\.$/);
  }
});

test("deposits, late ones, flags and dead letters are counted, and name no wallet", async () => {
  running = await runApp();
  const { app } = running;
  const service = app.createService({ allowHosts: [] });
  const post = (path: string, body: unknown) =>
    service.fetch(
      new Request(`http://localhost${path}`, {
        method: "POST",
        headers: { host: "localhost" },
        body: JSON.stringify(body),
      }),
    );
  const walletId = "a-wallet-that-no-label-has";
  const { submissions } = app;
  const minute = 60_000;
  const early = { walletId, amountMinor: 1n, key: null, acceptedAtMs: app.nowMs() - 90 * minute };
  expect((await post("/deposit", { wallet_id: walletId, amount: 20_000 })).status).toBe(200);
  await submissions.submit(early);
  await submissions.submit({ ...early, key: "one" });
  await submissions.submit({ ...early, key: "one", amountMinor: 2n }).catch(() => {});
  await asked(service, `/check/${walletId}`);
  await asked(service, `/${walletId}`);
  const add = { action: "add", actor: "ana", reason: "" };
  expect((await post("/flags/b", add)).status).toBe(200);
  const removal = { action: "remove", actor: "ana", reason: "seen", seen_event: 1 };
  expect((await post(`/flags/${walletId}`, removal)).status).toBe(200);
  await running.settle();
  const families = await scrape(service);
  const sum = (name: string, labels = {}) => total(families, full(name), labels);
  expect(sum("late_deposits_total")).toBe(2);
  expect([sum("flags_raised_total"), sum("flags_removed_total")]).toEqual([2, 1]);
  expect(sum("flagged_wallets")).toBe(1);
  expect(sum("dead_letters_total", { group: "balance" })).toBe(1);
  const requests = { route: "/flags/{wallet_id}", method: "POST", status: "200" };
  expect(sum("http_requests_total", requests)).toBe(2);
  expect(sum("http_requests_total", { route: "other", status: "404" })).toBe(1);
  expect(sum("http_request_duration_seconds_count", { route: "/deposit" })).toBe(1);
  expect([sum("lag_records"), sum("partition_owned")]).toEqual([0, 12]);
  expect([sum("ready"), sum("log_writable"), sum("log_asked")]).toEqual([1, 1, 1]);
  const text = await (await asked(service)).text();
  expect(text).not.toContain(walletId);
});

test("lag, a partition without owner and what waits are told", async () => {
  running = await runApp({ processors: ["collector"] });
  const { app } = running;
  const service = app.createService({ allowHosts: [] });
  const { body } = depositBody("alice", "5");
  const request = { method: "POST", headers: { host: "localhost" }, body: body as string };
  expect((await service.fetch(new Request("http://localhost/deposit", request))).status).toBe(200);
  running.timers.pass(7_000);
  let families = await scrape(service);
  const owned = () => total(families, full("partition_owned"), { group: "balance" });
  await until(async () => {
    families = await scrape(service);
    return owned() === 4; // claims come one by one
  }, () => `${owned()} of 4 are owned`);
  const sum = (name: string, labels = {}) => total(families, full(name), labels);
  expect(sum("lag_records", { group: "threshold" })).toBe(1);
  expect(sum("lag_seconds", { group: "threshold" })).toBe(7);
  expect(sum("partition_owned", { group: "threshold" })).toBe(0);

  const submissions = { ...app.submissions, waiting: { durable: 3, decision: 4 } };
  const busy = createService({ ...app, processorNames: {}, submissions }, { allowHosts: [] });
  const waits = await scrape(busy);
  const stage = (name: string) => total(waits, full("deposits_waiting"), { stage: name });
  expect([stage("durable"), stage("decision")]).toEqual([3, 4]);
});

test("a log that fails, or is asked in vain, leaves out only what it would have told", async () => {
  const timers = new Timers();
  running = await runApp({ processors: [], timers });
  const { app } = running;
  const numbers: ProcessorNumbers = {
    group: "balance",
    commits: {
      ...{ done: 5, fenced: 1, unknown: 2, refused: 3, records: 70 },
      sizes: [1, 0, 3, 1, 0, 0, 0, 0],
    },
    tasks: [
      { partition: 0, phase: "catching_up", recovery: { done: 30, left: 12 } },
      { partition: 1, phase: "stopped", recovery: null },
    ],
  };
  const fails = () => Promise.reject(new LogError("unavailable", "away"));
  const never = () => new Promise<never>(() => {});
  for (const lags of [fails, never]) {
    const parts = { ...app, processorNames: {}, processors: async () => [numbers] };
    const service = createHealthService({ ...parts, statuses: { lags } }, { allowHosts: [] });
    const scraped = scrape(service);
    if (lags === never) {
      await timers.whenWaiting(5_000);
      timers.pass(5_000);
    }
    const families = await scraped;
    const sum = (name: string, labels = {}) => total(families, full(name), labels);
    expect(sum("log_asked")).toBe(0);
    expect(families.get(full("lag_records"))?.samples).toEqual([]);
    const outcomes = ["done", "fenced", "unknown", "refused"];
    expect(outcomes.map((outcome) => sum("commits_total", { outcome }))).toEqual([5, 1, 2, 3]);
    expect(sum("commit_records_bucket", { le: "16" })).toBe(4);
    expect([sum("commit_records_count"), sum("commit_records_sum")]).toEqual([5, 70]);
    expect([sum("recovery_left"), sum("recovery_done")]).toEqual([12, 30]);
    expect(sum("tasks", { phase: "stopped" })).toBe(1);
    expect(families.get(full("deposits_waiting"))?.samples).toEqual([]);
    expect(sum("process_resident_memory_bytes")).toBeGreaterThan(1_000_000);
  }
});

test("with keys it is an operator's", async () => {
  running = await runApp({ processors: [] });
  const [client, operator] = (["client", "operator"] as const).map((scope) =>
    newApiKey({ name: scope, scope, nowMs: 0 }),
  ) as [ReturnType<typeof newApiKey>, ReturnType<typeof newApiKey>];
  const keys = new KeyRing([client.key, operator.key]);
  for (const create of ["createService", "createHealthService"] as const) {
    const service = running.app[create]({ allowHosts: [], keys });
    const status = async (secret: string | null) => {
      const bearer = secret === null ? {} : { authorization: `Bearer ${secret}` };
      const headers = { host: "localhost", ...bearer };
      return (await service.fetch(new Request("http://localhost/metrics", { headers }))).status;
    };
    const statuses = [await status(null), await status(client.secret)];
    expect([...statuses, await status(operator.secret)]).toEqual([401, 403, 200]);
  }
});

test("asked by several at once, the log is asked once", async () => {
  running = await runApp({ processors: [] });
  const { app } = running;
  let count = 0;
  const lags = () => {
    count += 1;
    return app.statuses.lags();
  };
  const parts = { ...app, processorNames: {}, statuses: { lags } };
  const service = createService(parts, { allowHosts: [] });
  await Promise.all([scrape(service), scrape(service), scrape(service)]);
  expect(count).toBe(1);
  expect((await asked(service, "/metrics?x=1")).status).toBe(422);
});
