/**
 * Changes of a log, for one who looks and then waits.
 *
 *   log.onChange ──remembered──> next() ──> look again
 */

import type { EventLog } from "../log/event-log.ts";

/** Tells that the log has changed, also of a change that came while nobody waited. */
export class Changes {
  private hasChanged = false;
  private wake: () => void = () => {};
  private readonly stopListening: () => void;

  constructor(
    log: EventLog,
    private readonly signal: AbortSignal,
  ) {
    const changed = () => {
      this.hasChanged = true;
      this.wake();
    };
    this.stopListening = log.onChange(changed);
    signal.addEventListener("abort", changed, { once: true });
  }

  /** Resolves at the next change, at once for one that is not looked at yet; or at the signal. */
  async next(): Promise<void> {
    if (!this.hasChanged && !this.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    this.hasChanged = false;
  }

  stop(): void {
    this.stopListening();
  }
}
