/**
 * The thread of processors as `up` sees it: ready, failed, stopped.
 *
 *   up ──"stop", "numbers"──> thread        thread ──"ready", numbers, "failed", its end──> up
 */

import type { ProcessorNumbers, WorkerMessage, WorkerOrder } from "./processing-worker.ts";
import { CommandError } from "./usage-error.ts";

/** What is used of a Worker. */
interface Thread {
  on(event: "message", listener: (message: WorkerMessage) => void): unknown;
  on(event: "error", listener: (error: unknown) => void): unknown;
  on(event: "exit", listener: (code: number) => void): unknown;
  postMessage(message: WorkerOrder): void;
}

type Delay = (ms: number, signal: AbortSignal) => Promise<void>;

/** A thread runs its rules for 20 ms on end; what waits longer is told what was last known. */
const NUMBERS_WITHIN_MS = 1_000;

/** `failed` rejects when the thread ends unasked, `stop` when it does not end well. */
export function watchThread(worker: Thread, delay: Delay) {
  const ready = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<never>();
  const ended = Promise.withResolvers<number>();
  failed.promise.catch(() => {}); // heard where `up` waits
  const fail = (reason: string) =>
    failed.reject(new CommandError(`the processors have ended: ${reason}`));
  let known: readonly ProcessorNumbers[] = [];
  let asked: PromiseWithResolvers<void> | null = null;
  worker.on("message", (message: WorkerMessage) => {
    if (message.kind === "ready") ready.resolve();
    else if (message.kind === "numbers") {
      known = message.processors;
      asked?.resolve();
      asked = null;
    } else fail(message.message);
  });
  const ask = (order: WorkerOrder) => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, no window
    worker.postMessage(order);
  };
  worker.on("error", (error) => fail((error as Error).message));
  worker.on("exit", (code) => {
    fail(`their thread ended with code ${code}`);
    ended.resolve(code);
  });
  return {
    ready: ready.promise,
    failed: failed.promise,
    /** What the processors do, as the thread has it now, or as it had it when it answered last. */
    numbers: async (): Promise<readonly ProcessorNumbers[]> => {
      if (asked === null) {
        asked = Promise.withResolvers<void>();
        ask("numbers");
      }
      const answered = new AbortController();
      await Promise.race([asked.promise, delay(NUMBERS_WITHIN_MS, answered.signal)]);
      answered.abort();
      return known;
    },
    stop: async () => {
      ask("stop");
      if ((await ended.promise) !== 0) await failed.promise;
    },
  };
}
