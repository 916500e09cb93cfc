/** A load against a service that the test plays: what is measured, told and verified. */

import { expect, test } from "bun:test";
import type { LoadPlan } from "../../../src/proof/load/load-plan.ts";
import { type LoadHost, runLoad } from "../../../src/proof/load/run-load.ts";
import { planOf } from "./plan.ts";
import { rejection } from "../../rejection.ts";

const HOST: LoadHost = { onProgress: () => {}, signal: new AbortController().signal };
const STALL_MS = 150;

test("counts each kind, and verifies that each acknowledged deposit is counted", async () => {
  using service = new Service();
  const report = await load(service, { mix: { deposit: 2, check: 1, settle: 1 }, verifies: true });
  const { deposit, check, settle } = report.kinds;
  for (const each of [deposit, check, settle]) expect(each?.requests).toBeGreaterThan(0);
  expect(report.requests).toBe(
    (deposit?.requests ?? 0) + (check?.requests ?? 0) + (settle?.requests ?? 0),
  );
  expect(report.failures).toBe(0);
  expect(report.verified).toMatchObject({ acknowledged: service.deposits, wrong: [] });
});

test("an acknowledged deposit that is not counted is found, with its wallet", async () => {
  using service = new Service();
  service.isLost = (nth) => nth === 5;
  const { verified } = await load(service, { verifies: true });
  expect(verified?.wrong).toHaveLength(1);
  const [wrong] = verified?.wrong ?? [];
  expect(wrong?.wallet).toBe(service.lost);
  expect(Number(wrong?.atLeast)).toBeGreaterThan(Number(wrong?.found));
  expect(wrong?.atLeast).toBe(wrong?.atMost ?? "");
});

test("a deposit that is counted twice is found, too", async () => {
  using service = new Service();
  service.isDoubled = (nth) => nth === 5;
  const { verified } = await load(service, { verifies: true });
  expect(verified?.wrong).toHaveLength(1);
});

test("what had no clear answer is sent again under its key, and counts once", async () => {
  using service = new Service();
  service.fault = (nth) => (nth < 100 && nth % 7 === 3 ? "outcome_unknown" : null);
  const report = await load(service, { hasKeys: true, verifies: true });
  expect(report.errors.get("outcome_unknown")?.example).toBe("of the test");
  expect(report.verified?.sentAgain).toBe(report.failures);
  expect(report.verified?.sentAgain).toBeGreaterThan(0);
  expect(report.verified?.wrong).toEqual([]);
});

test("who asks too often is answered later, in a check and in a second try", async () => {
  using service = new Service();
  service.fault = (nth) => (nth < 100 && nth % 7 === 2 ? "outcome_unknown" : null);
  service.isRateLimited = true;
  const report = await load(service, { hasKeys: true, verifies: true });
  // The first try of a deposit that is refused so is no deposit; a second one may have been one.
  expect(report.errors.get("rate_limited")?.count).toBeGreaterThan(0);
  expect(report.verified?.sentAgain).toBeGreaterThan(0);
  expect(report.verified?.wrong).toEqual([]);
});

test("without a key it may be counted or not, and either is right", async () => {
  using service = new Service();
  service.fault = (nth) => (nth % 7 === 3 ? "outcome_unknown" : null);
  const { verified, failures } = await load(service, { verifies: true });
  expect(verified).toMatchObject({ unknown: failures, sentAgain: 0, wrong: [] });
});

test("says how long it takes as it was asked for, and not a hair more", async () => {
  using service = new Service();
  const told: number[] = [];
  const onProgress = ({ totalMs }: { readonly totalMs: number }) => void told.push(totalMs);
  const plan = planOf({ url: service.url, warmUpMs: 300.1, durationMs: 300.1 });
  const runs = Array.from({ length: 8 }, () => runLoad(plan, { ...HOST, onProgress }));
  await Promise.all(runs);
  expect([...new Set(told)]).toEqual([600.2]);
});

test("a refusal is no deposit", async () => {
  using service = new Service();
  service.fault = (nth) => (nth % 3 === 0 ? "busy" : null);
  const { verified, errors } = await load(service, { verifies: true });
  expect(errors.get("busy")?.count).toBeGreaterThan(0);
  expect(verified).toMatchObject({ unknown: 0, sentAgain: 0, wrong: [] });
});

test("in an open loop a stall counts for all that it holds up", async () => {
  using service = new Service();
  service.stallAt(10, STALL_MS);
  const report = await load(service, { workers: 1, ratePerSecond: 200, durationMs: 300 });
  // Thirty fell due while it stood still; a closed loop would have seen one slow answer.
  const { latencyMs, requests } = report;
  expect(requests).toBe(60);
  expect(latencyMs.max).toBeGreaterThanOrEqual(STALL_MS * 0.9);
  expect(latencyMs.p90).toBeGreaterThan(STALL_MS / 4);
  expect(report.unsent).toBe(0);
});

test("what is not answered in time is given up, and the connection opened again", async () => {
  using service = new Service();
  service.stallAt(3, 60_000);
  const report = await load(service, { workers: 1, timeoutMs: 50, durationMs: 700 });
  expect([...report.errors.keys()]).toEqual(["timeout"]);
  expect(report.requests).toBeGreaterThan(3);
});

test("an early end reports what was measured until then", async () => {
  using service = new Service();
  const stopping = new AbortController();
  service.onDeposit = (nth) => {
    if (nth === 20) stopping.abort();
  };
  const report = await runLoad(
    planOf({ url: service.url, durationMs: 60_000 }),
    { ...HOST, signal: stopping.signal },
  );
  expect(report.requests).toBeGreaterThanOrEqual(18); // two workers are under way
  expect(report.durationMs).toBeLessThan(60_000);
});

test("ends at the first answer that asks for another key, and sends its own", async () => {
  using service = new Service();
  service.fault = (nth) => (nth >= 5 ? "unauthorized" : null);
  const denied = load(service, { durationMs: 60_000, apiKey: "dpk_a" });
  expect((await rejection(denied)).message).toMatch(
    / answers 401: of the test; the key is that of --key-file$/,
  );
  expect(service.lastKey).toBe("Bearer dpk_a");
});

test("a service that breaks each connection may be one of HTTPS", async () => {
  using silent = Bun.listen({
    ...{ hostname: "127.0.0.1", port: 0 },
    socket: { data: (socket) => socket.terminate() },
  });
  const broken = runLoad(planOf({ url: new URL(`http://127.0.0.1:${silent.port}`) }), HOST);
  expect((await rejection(broken)).message).toMatch(/ if it speaks HTTPS, write https:/);
  const spoken = runLoad(planOf({ url: new URL(`https://127.0.0.1:${silent.port}`) }), HOST);
  expect((await rejection(spoken)).message).toMatch(/it broke before HTTPS was agreed on/);
});

test("a service that speaks no HTTPS may be one of HTTP", async () => {
  using service = new Service();
  const { host } = service.url;
  const spoken = runLoad(planOf({ url: new URL(`https://${host}`) }), HOST);
  expect((await rejection(spoken)).message).toEndWith(`; if it speaks HTTP, write http://${host}`);
});

test("says so when nobody answers", async () => {
  const service = new Service();
  const { url } = service;
  service[Symbol.dispose]();
  const refused = runLoad(planOf({ url }), HOST);
  expect((await rejection(refused)).message).toMatch(
    /no connection to .*; is `serve` or `up` running\?/,
  );
});

function load({ url }: Service, other: Partial<LoadPlan>) {
  return runLoad(planOf({ url, ...other }), HOST);
}

function tooMany(): Response {
  const body = { error: "of the test", code: "rate_limited" };
  return Response.json(body, { status: 429, headers: { "retry-after": "0" } });
}

/** Balances in memory, and faults as the test wants them; deposits count from 1. */
class Service implements Disposable {
  deposits = 0;
  lastKey: string | null = null;
  lost = "";
  isLost: (nth: number) => boolean = () => false;
  isDoubled: (nth: number) => boolean = () => false;
  /** Answered so, every other one counted all the same when it is `outcome_unknown`. */
  fault: (nth: number) => string | null = () => null;
  /** Each fourth request is one too many for its time, and each deposit that is sent again. */
  isRateLimited = false;
  onDeposit: (nth: number) => void = () => {};
  private stall: { readonly nth: number; readonly ms: number } | null = null;
  private asked = 0;
  private all = 0;
  private readonly timesSent = new Map<string, number>();
  private readonly keys = new Set<string>();
  private readonly cents = new Map<string, number>();
  private readonly server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch: (request) => {
      if (this.isOneTooMany(request)) return tooMany();
      return request.method === "POST" ? this.deposit(request) : this.check(request);
    },
  });

  get url(): URL {
    return new URL(`http://127.0.0.1:${this.server.port}`);
  }

  stallAt(nth: number, ms: number): void {
    this.stall = { nth, ms };
  }

  [Symbol.dispose](): void {
    void this.server.stop(true);
  }

  private isOneTooMany({ headers }: Request): boolean {
    this.all += 1;
    const key = headers.get("idempotency-key") ?? "";
    const times = (this.timesSent.get(key) ?? 0) + 1;
    if (key !== "") this.timesSent.set(key, times);
    return this.isRateLimited && (times === 2 || this.all % 4 === 0);
  }

  private async deposit(request: Request): Promise<Response> {
    this.asked += 1;
    const nth = this.asked;
    this.onDeposit(nth);
    this.lastKey = request.headers.get("authorization");
    const { stall } = this;
    const body = (await request.json()) as { wallet_id: string; amount: string };
    if (stall?.nth === nth) await Bun.sleep(stall.ms);
    const key = request.headers.get("idempotency-key");
    const code = this.fault(nth);
    const isTaken = code === null || (code === "outcome_unknown" && nth % 2 === 0);
    if (isTaken && (key === null || !this.keys.has(key))) this.count(nth, body);
    if (isTaken && key !== null) this.keys.add(key);
    const status = code === "unauthorized" ? 401 : 503;
    if (code !== null) return Response.json({ error: "of the test", code }, { status });
    this.deposits += 1;
    return Response.json({ deposit_id: `0-${nth}`, position: `0-${nth}` });
  }

  private count(nth: number, { wallet_id: wallet, amount }: Record<string, string>): void {
    const cents = Math.round(Number(amount) * 100);
    if (this.isLost(nth)) this.lost = wallet as string;
    const times = this.isLost(nth) ? 0 : this.isDoubled(nth) ? 2 : 1;
    this.cents.set(wallet as string, (this.cents.get(wallet as string) ?? 0) + cents * times);
  }

  private check(request: Request): Response {
    const wallet = new URL(request.url).pathname.slice("/check/".length);
    const balance = (this.cents.get(wallet) ?? 0) / 100;
    return Response.json({ wallet_id: wallet, balance, above_threshold: false });
  }
}
