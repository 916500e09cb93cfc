/**
 * Metrics of the process itself, both its threads together.
 *
 *   getrusage, /proc/self, the runtime ──> families
 *
 * After prom-client's default metrics; these leave out what Bun does not have (heap spaces,
 * handles) and what costs something while nobody asks (a timer for the event loop's lag).
 */

import { readdirSync, readFileSync } from "node:fs";
import type { MetricFamily } from "./metric-family.ts";

export const processFamilies: readonly MetricFamily[] = [
  {
    name: "process_cpu_seconds_total",
    type: "counter",
    help: "CPU time of this process, by mode: user, system.",
    read: () =>
      Object.entries(process.cpuUsage()).map(([mode, micros]) => ({
        labels: { mode },
        value: micros / 1_000_000,
      })),
  },
  gauge("process_resident_memory_bytes", "Memory of this process.", () => {
    return process.memoryUsage.rss();
  }),
  gauge("process_heap_bytes", "Heap in use of the thread that answers.", () => {
    return process.memoryUsage().heapUsed;
  }),
  gauge("process_start_time_seconds", "When this process started, since 1970.", () => {
    return Math.round(performance.timeOrigin / 1_000);
  }),
  gauge("process_open_fds", "File descriptors in use.", () => {
    return orNull(() => readdirSync("/proc/self/fd").length);
  }),
  gauge("process_max_fds", "File descriptors that this process may use.", () => {
    return orNull(() => {
      const limits = readFileSync("/proc/self/limits", "latin1");
      return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Number.NaN);
    });
  }),
  {
    name: "build_info",
    type: "gauge",
    help: "1, with the version of this program and of Bun.",
    read: ({ version }) => [{ labels: { version, bun: Bun.version }, value: 1 }],
  },
];

function gauge(name: string, help: string, read: () => number | null): MetricFamily {
  return {
    ...{ name, help, type: "gauge" },
    read: () => {
      const value = read();
      return value === null || Number.isNaN(value) ? [] : [{ labels: {}, value }];
    },
  };
}

/** Null on a system without /proc. */
function orNull(read: () => number): number | null {
  try {
    return read();
  } catch {
    return null;
  }
}
