/**
 * News of the log: who in this process waits for a change hears of every commit, whoever made it.
 *
 *   own commit ──announce──> bell of the others, listeners here
 *   bell of the others ────> listeners here, and those that wait in `next`
 */

import { type Bell, openBell } from "./bell.ts";

export class Changes {
  private readonly listeners = new Set<() => void>();
  private readonly bell: Bell;
  private isPending = false;

  constructor(
    private readonly options: {
      readonly folder: string;
      /** Called before the listeners, so that they find the log as it is now. */
      readonly refresh: () => void;
      /** What the bell's file is to hold; null: as before. */
      readonly witness: () => Uint8Array | null;
      /** Once it has fired no listener is called, and nobody waits any more. */
      readonly closing: AbortSignal;
    },
  ) {
    this.bell = openBell(options.folder, () => this.tell());
  }

  /** Returns the way to stop. */
  listen(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Own commits come many in one turn: the listeners here hear of them once. */
  announce(): void {
    this.bell.ring(this.options.witness() ?? undefined);
    if (this.isPending) return;
    this.isPending = true;
    queueMicrotask(() => {
      this.isPending = false;
      this.tell();
    });
  }

  /** Resolves after the next change, when the signal fires, or when the log closes. */
  next(signal: AbortSignal): Promise<void> {
    const { closing } = this.options;
    return new Promise((resolve) => {
      const done = () => {
        this.listeners.delete(done);
        signal.removeEventListener("abort", done);
        closing.removeEventListener("abort", done);
        resolve();
      };
      if (signal.aborted || closing.aborted) return resolve();
      this.listeners.add(done);
      signal.addEventListener("abort", done);
      closing.addEventListener("abort", done);
    });
  }

  close(): void {
    this.bell.close();
  }

  private tell(): void {
    if (this.options.closing.aborted) return;
    this.options.refresh();
    for (const listener of [...this.listeners]) listener();
  }
}
