/**
 * The thread of processors as `up` sees it: ready, failed, stopped.
 *
 *   up ──"stop"──> thread        thread ──"ready", "failed", its end──> up
 */

import type { WorkerMessage } from "./processing-worker.ts";
import { CommandError } from "./usage-error.ts";

/** What is used of a Worker. */
interface Thread {
  on(event: "message", listener: (message: WorkerMessage) => void): unknown;
  on(event: "error", listener: (error: unknown) => void): unknown;
  on(event: "exit", listener: (code: number) => void): unknown;
  postMessage(message: "stop"): void;
}

/** `failed` rejects when the thread ends unasked, `stop` when it does not end well. */
export function watchThread(worker: Thread) {
  const ready = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<never>();
  const ended = Promise.withResolvers<number>();
  failed.promise.catch(() => {}); // heard where `up` waits
  const fail = (reason: string) =>
    failed.reject(new CommandError(`the processors have ended: ${reason}`));
  worker.on("message", (message: WorkerMessage) => {
    if (message.kind === "ready") ready.resolve();
    else fail(message.message);
  });
  worker.on("error", (error) => fail((error as Error).message));
  worker.on("exit", (code) => {
    fail(`their thread ended with code ${code}`);
    ended.resolve(code);
  });
  return {
    ready: ready.promise,
    failed: failed.promise,
    stop: async () => {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, no window
      worker.postMessage("stop");
      if ((await ended.promise) !== 0) await failed.promise;
    },
  };
}
