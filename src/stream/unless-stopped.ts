/**
 * Waiting for a log that may be away: it takes as long to say so as a stop may take.
 *
 *   promise, signal ──whichever is first──> its value, or STOPPED
 */

export const STOPPED = Symbol("stopped");

export function unlessStopped<T>(
  promise: Promise<T>,
  signal: AbortSignal,
): Promise<T | typeof STOPPED> {
  return new Promise((resolve, reject) => {
    const stop = () => resolve(STOPPED);
    signal.addEventListener("abort", stop, { once: true });
    promise.finally(() => signal.removeEventListener("abort", stop)).then(resolve, reject);
    if (signal.aborted) stop();
  });
}
