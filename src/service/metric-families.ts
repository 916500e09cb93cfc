/**
 * THE TABLE of metrics: name, kind, what it says, and how its values are read.
 *
 *   what is told now ──families──> values ──prom-client──> Prometheus's text format
 *
 * Labels are bounded: routes, methods and statuses of this program, groups, partitions. No wallet,
 * no path of a client and no message is ever one. prom-client writes the format; it counts nothing
 * itself, for its counters look their labels up with each increment.
 */

import { type Metric, Registry } from "prom-client";
import { LATE_COUNT } from "../detector/detector.ts";
import { RAISED_COUNT, REMOVED_COUNT } from "../flagger/flagger.ts";
import { COMMIT_SIZES, type CommitCounts } from "../stream/processing-numbers.ts";
import type { PartitionLag } from "../stream/status.ts";
import type { MetricFamily, MetricsNow, MetricValue } from "./metric-family.ts";
import { processFamilies } from "./process-metrics.ts";
import { DURATION_BOUNDS_S } from "./request-counts.ts";

export const METRIC_PREFIX = "depositaja_";

export const METRIC_FAMILIES: readonly MetricFamily[] = [
  {
    name: "http_requests_total",
    type: "counter",
    help: "Requests answered by this process, by route, method and status.",
    read: ({ requests }) =>
      requests.routes().flatMap(({ route, answers }) =>
        answers.map(({ method, status, count }) => ({
          labels: { route, method, status: String(status) },
          value: count,
        })),
      ),
  },
  {
    name: "http_request_duration_seconds",
    type: "histogram",
    help: "How long answers took; one POST /deposit in 4 is timed, one GET /check in 16.",
    read: ({ requests }) =>
      requests.routes().flatMap(({ route, durations }) =>
        durations.flatMap(({ method, sumS, buckets }) =>
          histogram("http_request_duration_seconds", {
            labels: { route, method },
            ...{ bounds: DURATION_BOUNDS_S, buckets, sum: sumS },
          }),
        ),
      ),
  },
  {
    name: "deposits_waiting",
    type: "gauge",
    help: "Deposits in this process that wait to be durable, or for the collector's decision.",
    read: ({ waiting }) =>
      Object.entries(waiting ?? {}).map(([stage, value]) => ({ labels: { stage }, value })),
  },
  {
    name: "lag_records",
    type: "gauge",
    help: "Records that a group has left to do in a partition; the same from every process.",
    read: byPartition(({ lagRecords }) => Number(lagRecords)),
  },
  {
    name: "lag_seconds",
    type: "gauge",
    help: "How long ago the log took the oldest record left to do; 0 when there is none.",
    read: byPartition(({ lagMs }) => (lagMs ?? 0) / 1_000),
  },
  {
    name: "partition_owned",
    type: "gauge",
    help: "1 when a living process runs the partition of the group, 0 when nobody does.",
    read: byPartition(({ owner }) => (owner === null ? 0 : 1)),
  },
  {
    name: "partition_standing_still",
    type: "gauge",
    help: "1 when a partition has an owner and records to do and made no progress for 5 s.",
    read: standingStill,
  },
  {
    name: "dead_letters_total",
    type: "counter",
    help: "Records that a group refused, ever; the same from every process.",
    read: counted("dead_letters"),
  },
  {
    name: "repeats_total",
    type: "counter",
    help: "Records skipped because their id was counted before, ever.",
    read: counted("repeats"),
  },
  {
    name: "late_deposits_total",
    type: "counter",
    help: "Deposits that came after a newer one of their wallet, ever.",
    read: counted(LATE_COUNT),
  },
  {
    name: "flags_raised_total",
    type: "counter",
    help: "How often a wallet came to be flagged, ever.",
    read: counted(RAISED_COUNT),
  },
  {
    name: "flags_removed_total",
    type: "counter",
    help: "How often an operator took a wallet's flag away, ever.",
    read: counted(REMOVED_COUNT),
  },
  {
    name: "flagged_wallets",
    type: "gauge",
    help: "Wallets that are flagged now.",
    read: ({ lags }) =>
      (lags ?? []).flatMap(({ group, partition, counts }) => {
        const [raised, removed] = [counts?.[RAISED_COUNT], counts?.[REMOVED_COUNT]];
        if (raised === undefined || removed === undefined) return [];
        return [{ labels: place({ group, partition }), value: raised - removed }];
      }),
  },
  {
    name: "commits_total",
    type: "counter",
    help: "Commits of the processors that run here: done, fenced, unknown or refused.",
    read: ({ processors }) =>
      processors.flatMap(({ group, commits }) =>
        OUTCOMES.map((outcome) => ({ labels: { group, outcome }, value: commits[outcome] })),
      ),
  },
  {
    name: "commit_records",
    type: "histogram",
    help: "Input records in each commit that is done, of the processors that run here.",
    read: ({ processors }) =>
      processors.flatMap(({ group, commits }) =>
        histogram("commit_records", {
          labels: { group },
          ...{ bounds: COMMIT_SIZES, buckets: commits.sizes, sum: commits.records },
        }),
      ),
  },
  {
    name: "tasks",
    type: "gauge",
    help: "Partitions that this process has: catching_up, running, or stopped by a failure.",
    read: ({ processors }) =>
      processors.flatMap(({ group, tasks }) =>
        PHASES.map((phase) => ({
          labels: { group, phase },
          value: tasks.filter((task) => task.phase === phase).length,
        })),
      ),
  },
  {
    name: "recovery_left",
    type: "gauge",
    help: "Records (on Kafka: rows) that a table of this process lacks; 0 when it is in step.",
    read: recovery("left"),
  },
  {
    name: "recovery_done",
    type: "gauge",
    help: "Records (on Kafka: rows) that a table of this process has caught up with so far.",
    read: recovery("done"),
  },
  {
    name: "disk_bytes",
    type: "gauge",
    help: "Bytes on this machine's disk: the log, tables, copies of tables (views).",
    read: ({ disk: { log, tables, views } }) =>
      Object.entries({ log, tables, views }).flatMap(([what, value]) =>
        value === null ? [] : [{ labels: { what }, value }],
      ),
  },
  {
    name: "disk_free_bytes",
    type: "gauge",
    help: "Bytes left on the disk that the data folder lies on.",
    read: ({ disk: { free } }) => (free === null ? [] : [plain(free)]),
  },
  {
    name: "ready",
    type: "gauge",
    help: "1 when /readyz answers 200.",
    read: ({ readiness }) => [plain(readiness?.problem === null ? 1 : 0)],
  },
  {
    name: "log_writable",
    type: "gauge",
    help: "1 when the log can be written, as far as is known.",
    read: ({ readiness }) => [plain(readiness?.isWritable === true ? 1 : 0)],
  },
  {
    name: "log_asked",
    type: "gauge",
    help: "0 when the log could not be asked: what it tells of partitions is left out then.",
    read: ({ lags }) => [plain(lags === null ? 0 : 1)],
  },
  ...processFamilies,
];

/** In Prometheus's text format, version 0.0.4. */
export function metricsText(now: MetricsNow): Promise<string> {
  const registry = new Registry();
  for (const { name, type, help, read } of METRIC_FAMILIES) {
    const family = { name: METRIC_PREFIX + name, type, help };
    // A registry asks no more of what it holds than this.
    const metric = { ...family, get: async () => ({ ...family, values: read(now) }) };
    registry.registerMetric(metric as unknown as Metric);
  }
  return registry.metrics();
}

const OUTCOMES = ["done", "fenced", "unknown", "refused"] as const satisfies (keyof CommitCounts)[];
const PHASES = ["catching_up", "running", "stopped"] as const;

function plain(value: number): MetricValue {
  return { labels: {}, value };
}

function place({ group, partition }: { readonly group: string; readonly partition: number }) {
  return { group, partition: String(partition) };
}

function byPartition(value: (lag: PartitionLag) => number): MetricFamily["read"] {
  return ({ lags }) => (lags ?? []).map((lag) => ({ labels: place(lag), value: value(lag) }));
}

/** Sums of the log's own: of a partition that ran before sums were kept there are none. */
function counted(name: string): MetricFamily["read"] {
  return ({ lags }) =>
    (lags ?? []).flatMap((lag) => {
      const value = lag.counts?.[name];
      return value === undefined ? [] : [{ labels: place(lag), value }];
    });
}

function standingStill({ lags, readiness }: MetricsNow): readonly MetricValue[] {
  const still = new Set(
    readiness?.groups.flatMap(({ group, partitionsStandingStill }) =>
      partitionsStandingStill.map((partition) => `${group}/${partition}`),
    ),
  );
  return (lags ?? []).map(({ group, partition }) => ({
    labels: place({ group, partition }),
    value: still.has(`${group}/${partition}`) ? 1 : 0,
  }));
}

function recovery(which: "done" | "left"): MetricFamily["read"] {
  return ({ processors }) =>
    processors.flatMap(({ group, tasks }) =>
      tasks.map((task) => ({
        labels: place({ group, partition: task.partition }),
        value: task.recovery?.[which] ?? 0,
      })),
    );
}

/** `buckets`: each without those below it, the last above all bounds. */
function histogram(
  name: string,
  options: {
    readonly labels: Readonly<Record<string, string>>;
    readonly bounds: readonly number[];
    readonly buckets: readonly number[];
    readonly sum: number;
  },
): readonly MetricValue[] {
  const { labels, bounds, buckets, sum } = options;
  const full = METRIC_PREFIX + name;
  let below = 0;
  const values = buckets.map((count, index) => {
    below += count;
    const le = index < bounds.length ? String(bounds[index]) : "+Inf";
    return { metricName: `${full}_bucket`, labels: { ...labels, le }, value: below };
  });
  return [
    ...values,
    { metricName: `${full}_sum`, labels, value: sum },
    { metricName: `${full}_count`, labels, value: below },
  ];
}
