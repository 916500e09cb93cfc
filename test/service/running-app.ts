/**
 * An app for tests of the service: in memory or in a folder, with timers that the test lets pass.
 *
 *   test ──request──> service ──> app; test ──pass──> what waited for a time goes on
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type App, openApp, type ProcessorName } from "../../src/app.ts";
import type { Service } from "../../src/service/listening.ts";

export const ALL: readonly ProcessorName[] = ["collector", "detector", "flagger"];

/** What a condition may take on a slow machine. */
const DEADLINE_MS = 10_000;

/** A clock that moves only when the test says so. */
export class Timers {
  nowMs = Date.UTC(2026, 0, 31, 12);
  private waiting: { ms: number; dueMs: number; resolve: () => void }[] = [];
  private listeners: (() => void)[] = [];

  readonly delay = (ms: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const timer = { ms, dueMs: this.nowMs + ms, resolve };
      this.waiting.push(timer);
      signal.addEventListener("abort", () => {
        this.waiting = this.waiting.filter((each) => each !== timer);
        resolve();
      });
      for (const listener of this.listeners.splice(0)) listener();
    });

  pass(ms: number): void {
    this.nowMs += ms;
    const due = this.waiting.filter(({ dueMs }) => dueMs <= this.nowMs);
    this.waiting = this.waiting.filter((each) => !due.includes(each));
    for (const { resolve } of due) resolve();
  }

  count(ms: number): number {
    return this.waiting.filter((each) => each.ms === ms).length;
  }

  /** Resolves once `count` waits of `ms` are under way. */
  async whenWaiting(ms: number, count = 1): Promise<void> {
    while (this.count(ms) < count) {
      await within(new Promise<void>((resolve) => this.listeners.push(resolve)));
    }
  }
}

export interface RunningApp {
  readonly app: App;
  readonly timers: Timers;
  /** Offsets in the deposit stream, all partitions together. */
  appended(): Promise<number>;
  /** Resolves once everything in the streams is settled. */
  settle(): Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
}

export interface RunOptions {
  readonly folder?: string;
  readonly processors?: readonly ProcessorName[];
  readonly timers?: Timers;
  readonly partitions?: number;
}

const apps = new Set<RunningApp>();
const folders: string[] = [];

/** Closes what is open still, and takes the folders away: for `afterEach`. */
export async function closeApps(): Promise<void> {
  for (const each of apps) await each.close();
  for (const each of folders.splice(0)) rmSync(each, { recursive: true, force: true });
}

export async function runService(
  options: RunOptions = {},
): Promise<RunningApp & { readonly service: Service }> {
  const running = await runApp(options);
  return { ...running, service: running.app.createService({ allowHosts: [] }) };
}

export async function runApp(options: RunOptions = {}): Promise<RunningApp> {
  const { folder = ":memory:", processors = ALL, timers = new Timers(), partitions = 4 } = options;
  const app = await openApp({
    folder,
    create: true,
    partitions,
    nowMs: () => timers.nowMs,
    delay: timers.delay,
  });
  const running = app.startProcessors(processors);
  const started: RunningApp = {
    app,
    timers,
    appended: async () => {
      let count = 0n;
      for (let partition = 0; partition < partitions; partition++) {
        count += (await app.log.bounds("deposit", partition)).end;
      }
      return Number(count);
    },
    settle: async () => {
      const pending = await within(app.settled(await app.ends(), new AbortController().signal));
      if (pending !== null) throw new Error(`not settled: ${pending.group}`);
    },
    close: async () => {
      if (!apps.delete(started)) return;
      for (const processor of running) await processor.stop();
      await app.close();
    },
  };
  apps.add(started);
  return started;
}

/** For a data folder, which is not there yet. */
export function newFolder(): string {
  const root = mkdtempSync(join(tmpdir(), "depositaja-service-"));
  folders.push(root);
  return join(root, "data");
}

export async function within<T>(promise: Promise<T>): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), DEADLINE_MS);
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_, reject) => {
        late.signal.addEventListener("abort", () => reject(new Error("it did not come in time")));
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}
