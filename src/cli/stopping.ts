/**
 * How the process is asked to end.
 *
 *   SIGINT, SIGTERM ──> AbortSignal ──> the command finishes what it has, within STOP_WITHIN_MS
 *   a second one ─────> ends at once
 */

import { note } from "./output.ts";

/** An operator, or a container's runtime, does not wait much longer. */
export const STOP_WITHIN_MS = 5_000;
/** Ctrl-C reaches a program twice when the one that started it passes it on: that is one wish. */
const SAME_WISH_MS = 250;

let controller: AbortController | null = null;

/** One for the process. From the first call on, signals are heard. */
export function stopSignal(): AbortSignal {
  if (controller !== null) return controller.signal;
  const stopping = new AbortController();
  controller = stopping;
  let firstMs = 0;
  const ask = () => {
    const nowMs = performance.now();
    if (!stopping.signal.aborted) {
      firstMs = nowMs;
      stopping.abort();
      setTimeout(() => {
        note(`not all was finished within ${STOP_WITHIN_MS / 1_000} s: ending now`);
        process.exit(1);
      }, STOP_WITHIN_MS).unref();
    } else if (nowMs - firstMs > SAME_WISH_MS) {
      process.exit(1);
    }
  };
  process.on("SIGINT", ask);
  process.on("SIGTERM", ask);
  return stopping.signal;
}

/** Resolves when the process is asked to end. */
export function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Resolves after so many milliseconds, or when the signal fires. */
export function delay(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal.addEventListener("abort", finish);
    if (signal.aborted) finish();
  });
}
