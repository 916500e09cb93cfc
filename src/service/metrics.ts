/**
 * What a service tells whoever measures it: everything is read when it is asked for, and nothing
 * is kept for it but plain numbers that the parts count for themselves.
 *
 *   requests, queue, log, processors, disk, process ──GET /metrics──> families ──> text
 *
 * The answer comes whatever does not: where the log cannot be asked in time, what it would have
 * told is left out, and the answer says so.
 */

import type { Hono } from "hono";
import type { ProcessorNumbers } from "../stream/processing-numbers.ts";
import type { PartitionLag } from "../stream/status.ts";
import type { DiskUse, WaitingDeposits } from "./metric-family.ts";
import { refuseQuery } from "./query.ts";
import type { Readiness } from "./readiness.ts";
import type { RequestCounts } from "./request-counts.ts";
import { SECURE_HEADERS } from "./secure-headers.ts";

/** Scrapers give up after 10 s, and a log that cannot be reached takes longer to say so. */
const LOG_WITHIN_MS = 5_000;

export interface MetricsOptions {
  /** Of this program; none unless told. */
  readonly version?: string;
  /** Each partition of each group, as the log tells it. Throws as the log does. */
  readonly statuses: { lags(): Promise<readonly PartitionLag[]> };
  readonly diskUse: () => DiskUse;
  /** What runs here, in this or another thread; nothing unless told. */
  readonly processors?: () => Promise<readonly ProcessorNumbers[]>;
  /** Resolves after so many milliseconds, or when the signal fires. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
}

export class Metrics {
  /** Asked by several at once, it is read once. */
  private reading: Promise<string> | null = null;

  constructor(
    private readonly options: MetricsOptions & {
      readonly readiness: Pick<Readiness, "now">;
      readonly requests: () => RequestCounts;
      /** Left out where no deposits are taken. */
      readonly waiting?: () => WaitingDeposits;
    },
  ) {}

  /** In Prometheus's text format. */
  text(): Promise<string> {
    this.reading ??= this.read().finally(() => {
      this.reading = null;
    });
    return this.reading;
  }

  private async read(): Promise<string> {
    // What it is made of is loaded when somebody asks.
    const { metricsText } = await import("./metric-families.ts");
    const { options } = this;
    const [lags, readiness, processors] = await Promise.all([
      this.inTime(() => options.statuses.lags()),
      this.inTime(() => options.readiness.now()),
      options.processors?.() ?? [],
    ]);
    return metricsText({
      version: options.version ?? "",
      requests: options.requests(),
      waiting: options.waiting?.() ?? null,
      ...{ lags, readiness, processors },
      disk: options.diskUse(),
    });
  }

  /** Null for what fails or takes too long: the answer says that it is not there. */
  private async inTime<T>(ask: () => Promise<T>): Promise<T | null> {
    const answered = new AbortController();
    const late = this.options.delay(LOG_WITHIN_MS, answered.signal).then(() => null);
    try {
      return await Promise.race([ask().catch(() => null), late]);
    } finally {
      answered.abort();
    }
  }
}

/** An operator's route: it tells how much is deposited, and how many wallets are flagged. */
export function addMetricsRoute(routes: Hono, metrics: Metrics): void {
  routes.get("/metrics", async (c) => {
    refuseQuery(c);
    return new Response(await metrics.text(), { headers: HEADERS });
  });
}

const HEADERS = { ...SECURE_HEADERS, "content-type": "text/plain; version=0.0.4; charset=utf-8" };
