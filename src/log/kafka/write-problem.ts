/**
 * Why nothing could be written last, as far as is known.
 *
 *   failed batch ──text──> problem ──asked for: probe──> null once the brokers answer
 */

import type { Connections } from "./connections.ts";
import { messageOf } from "./retry.ts";

export class WriteProblem {
  private last: string | null = null;
  private probing: Promise<void> | null = null;

  constructor(private readonly connections: Connections) {}

  /** Null: a batch was written. */
  set(error: unknown): void {
    this.last = error === null ? null : messageOf(error);
  }

  /**
   * Why the last batch was not written; null when it was, or when the brokers answer again: a
   * service that is sent nothing while it is not ready must become ready all the same.
   */
  get text(): string | null {
    if (this.last !== null) this.probe();
    return this.last;
  }

  private probe(): void {
    this.probing ??= this.connections
      .metadata([])
      .then(
        () => this.set(null),
        (error: unknown) => this.set(error),
      )
      .finally(() => {
        this.probing = null;
      });
  }
}
