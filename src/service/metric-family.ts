/** What a metric is, and what all of them are read from. */

import type { ProcessorNumbers } from "../stream/processing-numbers.ts";
import type { PartitionLag } from "../stream/status.ts";
import type { ReadinessNow } from "./readiness.ts";
import type { RequestCounts } from "./request-counts.ts";

export interface MetricValue {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** Of a histogram: with its ending. */
  readonly metricName?: string;
}

export interface MetricFamily {
  /** Without the prefix. */
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly read: (now: MetricsNow) => readonly MetricValue[];
}

/** Bytes; null for what is elsewhere. */
export interface DiskUse {
  /** The log's files, what was not checkpointed yet among them. */
  readonly log: number | null;
  readonly tables: number;
  /** Copies of others' tables. */
  readonly views: number | null;
  /** What is left where they lie. */
  readonly free: number | null;
}

/** Deposits under way. */
export interface WaitingDeposits {
  /** For the log to have them. */
  readonly durable: number;
  /** For the group that counts their keys. */
  readonly decision: number;
}

/** All that is told, as of one moment. */
export interface MetricsNow {
  readonly version: string;
  readonly requests: RequestCounts;
  readonly waiting: WaitingDeposits | null;
  /** Null: the log could not be asked. */
  readonly lags: readonly PartitionLag[] | null;
  readonly readiness: ReadinessNow | null;
  readonly processors: readonly ProcessorNumbers[];
  readonly disk: DiskUse;
}
