/**
 * What a load has come to so far: a histogram for each kind of request, and what failed.
 *
 * Histograms keep three digits from a microsecond to an hour (HdrHistogram).
 */

import { build, type Histogram } from "hdr-histogram-js";
import type { KindReport, LoadReport, Percentiles, RequestKind } from "./load-plan.ts";

/** Nothing waits longer. */
const HIGHEST_MICROSECONDS = 3_600_000_000;

export class Tally {
  failures = 0;
  private readonly kinds = new Map<RequestKind, Histogram>();
  private readonly errors = new Map<string, { count: number; example: string }>();

  count(kind: RequestKind, latencyMs: number): void {
    let histogram = this.kinds.get(kind);
    if (histogram === undefined) this.kinds.set(kind, (histogram = newHistogram()));
    const microseconds = Math.round(latencyMs * 1_000);
    histogram.recordValue(Math.min(Math.max(1, microseconds), HIGHEST_MICROSECONDS));
  }

  fail(code: string, words: string): void {
    this.failures += 1;
    const error = this.errors.get(code);
    if (error === undefined) this.errors.set(code, { count: 1, example: words });
    else error.count += 1;
  }

  get requests(): number {
    return [...this.kinds.values()].reduce((sum, { totalCount }) => sum + totalCount, 0);
  }

  report(durationMs: number): Omit<LoadReport, "unsent" | "verified"> {
    const kinds = [...this.kinds].map(([kind, own]) => [kind, reportOf(own, durationMs)] as const);
    const { failures, errors } = this;
    const all = reportOf(this.all(), durationMs);
    return { ...all, durationMs, kinds: Object.fromEntries(kinds), errors, failures };
  }

  private all(): Histogram {
    const all = newHistogram();
    for (const histogram of this.kinds.values()) all.add(histogram);
    return all;
  }
}

function reportOf(histogram: Histogram, durationMs: number): KindReport {
  const requests = histogram.totalCount;
  const requestsPerSecond = durationMs === 0 ? 0 : (requests / durationMs) * 1_000;
  return { requests, requestsPerSecond, latencyMs: percentiles(histogram) };
}

function percentiles(histogram: Histogram): Percentiles {
  const at = (percentile: number) => histogram.getValueAtPercentile(percentile) / 1_000;
  return { p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max: histogram.maxValue / 1_000 };
}

function newHistogram(): Histogram {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_MICROSECONDS,
    numberOfSignificantValueDigits: 3,
  });
}
