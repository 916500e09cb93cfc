/**
 * The load generator: a program of its own, so that it shares neither thread nor heap with what it
 * measures, and so that nobody needs wrk.
 *
 *   plan (JSON argument) ──connections──> server ──answers──> HDR histogram ──> report (JSON)
 *
 * Closed loop: each connection asks again once it is answered. Open loop: requests fall due by the
 * clock whatever the server does, wait for a free connection when there is none, and their latency
 * counts from when they were due (no coordinated omission, as wrk2 and HdrHistogram explain it).
 */

import { build, type Histogram } from "hdr-histogram-js";
import { type Answer, HttpConnection } from "./load/http-connection.ts";
import { type LoadPlan, type LoadReport, walletName } from "./load/load-plan.ts";
import { below, type Random, randomFrom } from "./load/random.ts";

const HOST = "127.0.0.1";
/** An hour: nothing waits longer. */
const HIGHEST_MICROSECONDS = 3_600_000_000;
/** After the end of an open loop, for what is still due. */
const DRAIN_MS = 10_000;

class Run {
  readonly histogram: Histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_MICROSECONDS,
    numberOfSignificantValueDigits: 3,
  });
  requests = 0;
  failures = 0;
  firstFailure: string | null = null;
  private keys = 0;
  private readonly random: Random;
  readonly startMs: number;
  readonly measureFromMs: number;
  readonly endMs: number;

  constructor(readonly plan: LoadPlan) {
    this.random = randomFrom(plan.seed);
    this.startMs = performance.now();
    this.measureFromMs = this.startMs + plan.warmUpMs;
    this.endMs = this.measureFromMs + plan.durationMs;
  }

  wallet(): string {
    return walletName(below(this.random, this.plan.wallets));
  }

  request(wallet: string): string {
    if (this.plan.kind === "check") return get(`/check/${wallet}`);
    const cents = 1 + below(this.random, 9_999);
    const amount = `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, "0")}`;
    const body = `{"wallet_id":"${wallet}","amount":"${amount}"}`;
    if (this.plan.kind !== "keyed") return post("/deposit", body);
    this.keys += 1;
    return post("/deposit", body, `Idempotency-Key: load-${this.plan.seed}-${this.keys}\r\n`);
  }

  /** Counts what was asked or due within the measured time. */
  record(fromMs: number, answer: Answer | null): void {
    if (fromMs < this.measureFromMs || fromMs >= this.endMs) return;
    if (answer?.status !== 200) {
      this.failures += 1;
      this.firstFailure ??=
        answer === null ? "the connection broke" : `${answer.status} ${answer.body}`;
      return;
    }
    this.requests += 1;
    const microseconds = Math.round((performance.now() - fromMs) * 1_000);
    this.histogram.recordValue(Math.max(1, microseconds));
  }

  report(): LoadReport {
    const atMs = (percentile: number) => this.histogram.getValueAtPercentile(percentile) / 1_000;
    return {
      requests: this.requests,
      requestsPerSecond: (this.requests / this.plan.durationMs) * 1_000,
      failures: this.failures,
      firstFailure: this.firstFailure,
      latencyMs: { p50: atMs(50), p99: atMs(99), max: this.histogram.maxValue / 1_000 },
    };
  }
}

const plan = JSON.parse(process.argv[2] ?? "null") as LoadPlan;
const connections = await Promise.all(
  Array.from({ length: plan.connections }, () => HttpConnection.open(HOST, plan.port)),
);
const run = new Run(plan);
await (plan.ratePerSecond === null ? closedLoop(run) : openLoop(run, plan.ratePerSecond));
console.log(JSON.stringify(run.report()));
process.exit(0);

async function closedLoop(measured: Run): Promise<void> {
  await Promise.all(
    connections.map((connection) => new Promise<void>((resolve) => ask(connection, resolve))),
  );
  function ask(connection: HttpConnection, done: () => void): void {
    const sentMs = performance.now();
    if (sentMs >= measured.endMs || connection.isBroken) return done();
    connection.send(measured.request(measured.wallet()), (answer) => {
      measured.record(sentMs, answer);
      ask(connection, done);
    });
  }
}

async function openLoop(measured: Run, ratePerSecond: number): Promise<void> {
  const intervalMs = 1_000 / ratePerSecond;
  const waiting: number[] = [];
  let nextDueMs = measured.startMs;
  for (;;) {
    const nowMs = performance.now();
    for (; nextDueMs <= nowMs && nextDueMs < measured.endMs; nextDueMs += intervalMs) {
      waiting.push(nextDueMs);
    }
    for (const connection of connections) {
      if (waiting.length === 0) break;
      if (connection.isIdle) serve(connection, waiting.shift() as number);
    }
    // A server closes what is idle for long: that is no failure.
    const isDone = waiting.length === 0 && !connections.some(({ isBusy }) => isBusy);
    if (nextDueMs >= measured.endMs && isDone) return;
    if (nowMs > measured.endMs + DRAIN_MS) throw new Error("the server fell behind for good");
    await Bun.sleep(1);
  }
  function serve(connection: HttpConnection, dueMs: number): void {
    const wallet = measured.wallet();
    connection.send(measured.request(wallet), (answer) => {
      if (measured.plan.kind !== "settle" || answer?.status !== 200) {
        return measured.record(dueMs, answer);
      }
      const { position } = JSON.parse(answer.body) as { position: string };
      const answeredMs = performance.now();
      connection.send(get(`/check/${wallet}?after=${position}`), (settled) => {
        measured.record(answeredMs, settled);
      });
    });
  }
}

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`;
}

function post(path: string, body: string, header = ""): string {
  return (
    `POST ${path} HTTP/1.1\r\nHost: ${HOST}\r\nContent-Type: application/json\r\n${header}` +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  );
}
