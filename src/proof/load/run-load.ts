/**
 * Runs a load to its end.
 *
 *   plan ──requests──> workers ──answers──> tally, ledger ──> report
 *
 * Closed loop: each worker asks again once it is answered. Open loop: requests fall due by the
 * clock whatever the service does, wait for a free worker when there is none, and their latency
 * counts from when they were due (no coordinated omission, as wrk2 and HdrHistogram explain it).
 */

import { Ledger } from "./ledger.ts";
import { LoadError } from "./load-error.ts";
import { deniedWords, unreachableWords } from "./load-advice.ts";
import type { LoadPlan, LoadReport } from "./load-plan.ts";
import { type LoadRequest, Requests } from "./requests.ts";
import { Tally } from "./tally.ts";
import { type Failure, failureOf, type Outcome, Worker } from "./worker.ts";

/** After the end of an open loop, for what is still due. */
const DRAIN_MS = 10_000;
const PROGRESS_EVERY_MS = 500;
/** How late an answer that is not coming is given up. */
const TIMEOUTS_EVERY_MS = 250;

export interface LoadProgress {
  readonly elapsedMs: number;
  readonly totalMs: number;
  readonly isWarmUp: boolean;
  /** Answered 200, since the measured time began. */
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly failures: number;
}

export interface LoadHost {
  readonly onProgress: (progress: LoadProgress) => void;
  /** Ends the run early: what was measured until then is reported. */
  readonly signal: AbortSignal;
}

/** Throws `LoadError` when nothing can be measured: nobody answers, or nothing settles. */
export async function runLoad(plan: LoadPlan, host: LoadHost): Promise<LoadReport> {
  const run = new Run(plan, host);
  const timers = [
    setInterval(() => run.tell(), PROGRESS_EVERY_MS),
    setInterval(() => run.giveUp(), TIMEOUTS_EVERY_MS),
  ];
  try {
    return await run.toEnd();
  } finally {
    for (const timer of timers) clearInterval(timer);
    run.close();
  }
}

class Run {
  private readonly workers: readonly Worker[];
  private readonly requests: Requests;
  private readonly ledger: Ledger | null;
  private readonly tally = new Tally();
  private startMs = 0;
  private measureFromMs = 0;
  private endMs = 0;
  /** Of the first answer that asks for another key: each further one would say the same. */
  private denied: LoadError | null = null;

  constructor(
    private readonly plan: LoadPlan,
    private readonly host: LoadHost,
  ) {
    this.workers = Array.from({ length: plan.workers }, () => new Worker(plan));
    this.requests = new Requests(plan);
    this.ledger = plan.verifies ? new Ledger(plan, this.requests, this.workers) : null;
  }

  async toEnd(): Promise<LoadReport> {
    const { plan, host, workers } = this;
    const first = await (workers[0] as Worker).ask(this.requests.check("any"));
    if (first.failure !== null) throw new LoadError(unreachableWords(first.failure, plan));
    this.noteDenied(first);
    if (this.denied !== null) throw this.denied;
    await this.ledger?.open(host.signal);
    this.startMs = performance.now();
    this.measureFromMs = this.startMs + plan.warmUpMs;
    this.endMs = this.startMs + (plan.warmUpMs + plan.durationMs);
    host.signal.addEventListener("abort", () => this.cut(), { once: true });
    if (host.signal.aborted) this.cut();
    const { ratePerSecond: rate } = plan;
    const unsent = await (rate === null ? this.closedLoop() : this.openLoop(rate));
    if (this.denied !== null) throw this.denied;
    const measured = this.tally.report(Math.max(0, this.endMs - this.measureFromMs));
    return { ...measured, unsent, verified: (await this.ledger?.close()) ?? null };
  }

  tell(): void {
    const nowMs = performance.now();
    if (this.startMs === 0 || nowMs >= this.endMs) return;
    const measuredMs = nowMs - this.measureFromMs;
    const { requests, failures } = this.tally;
    const { plan } = this;
    this.host.onProgress({
      elapsedMs: nowMs - this.startMs,
      totalMs: plan.warmUpMs + plan.durationMs, // the difference of two times is a hair off
      isWarmUp: measuredMs < 0,
      requests,
      requestsPerSecond: measuredMs <= 0 ? 0 : (requests / measuredMs) * 1_000,
      failures,
    });
  }

  giveUp(): void {
    const beforeMs = performance.now() - this.plan.timeoutMs;
    for (const worker of this.workers) worker.giveUpBefore(beforeMs);
  }

  close(): void {
    for (const worker of this.workers) worker.close();
  }

  private cut(): void {
    this.endMs = Math.min(this.endMs, performance.now());
  }

  private async closedLoop(): Promise<number> {
    const work = async (worker: Worker) => {
      for (;;) {
        const nowMs = performance.now();
        if (nowMs >= this.endMs) return;
        await this.serve(worker, nowMs);
      }
    };
    await Promise.all(this.workers.map(work));
    return 0;
  }

  /** Resolves with how many were due and never sent. */
  private async openLoop(ratePerSecond: number): Promise<number> {
    // By its number: intervals added up are a hair off, and one too many would come before the end.
    const dueMs = (request: number) => this.startMs + (request * 1_000) / ratePerSecond;
    const idle = [...this.workers];
    const due: number[] = [];
    let taken = 0;
    const work = async (worker: Worker) => {
      while (taken < due.length) await this.serve(worker, due[taken++] as number);
      idle.push(worker);
    };
    for (let next = 0; ; ) {
      const nowMs = performance.now();
      for (; dueMs(next) <= nowMs && dueMs(next) < this.endMs; next += 1) due.push(dueMs(next));
      for (let open = due.length - taken; open > 0 && idle.length > 0; open -= 1) {
        void work(idle.pop() as Worker);
      }
      const isDone = taken === due.length && idle.length === this.workers.length;
      if (dueMs(next) >= this.endMs && isDone) return 0;
      if (nowMs > this.endMs + DRAIN_MS) return due.length - (taken = due.length);
      await Bun.sleep(1);
    }
  }

  /** One request, measured from when it was sent or due. */
  private async serve(worker: Worker, fromMs: number): Promise<void> {
    const request = this.requests.next();
    const body = await this.ask(worker, request, fromMs);
    if (request.kind !== "settle" || body === null) return;
    const { position } = JSON.parse(body) as { position: string };
    const answeredMs = performance.now();
    const outcome = await worker.ask(this.requests.check(request.wallet, position));
    const failure = failureOf(outcome);
    this.noteDenied(outcome);
    if (!this.isMeasured(fromMs)) return;
    if (failure !== null) this.tally.fail(failure.code, failure.words);
    else this.tally.count("settle", performance.now() - answeredMs);
  }

  /** The body of an answer of 200. */
  private async ask(worker: Worker, request: LoadRequest, fromMs: number): Promise<string | null> {
    const outcome = await worker.ask(request.text);
    const failure = failureOf(outcome);
    this.noteDenied(outcome);
    const body = outcome.answer?.body ?? "";
    this.ledger?.note(request, failure, body);
    const isMeasured = this.isMeasured(fromMs);
    if (failure === null) {
      if (isMeasured && request.kind !== "settle") {
        this.tally.count(request.kind, performance.now() - fromMs);
      }
      return body;
    }
    if (isMeasured) this.tally.fail(failure.code, failure.words);
    return null;
  }

  /** Ends the run: a key does not get better by asking on. */
  private noteDenied(outcome: Outcome): void {
    const { status } = outcome.answer ?? {};
    if (this.denied !== null || (status !== 401 && status !== 403)) return;
    const failure = failureOf(outcome) as Failure;
    this.denied = new LoadError(deniedWords(failure, { ...this.plan, status }));
    this.cut();
  }

  private isMeasured(fromMs: number): boolean {
    return fromMs >= this.measureFromMs && fromMs < this.endMs;
  }
}
