/**
 * Reading what you wrote: `?after=<position>` waits until that deposit is settled, detector and
 * flagger included.
 *
 *   position ──the wallet's own partition?──> wait ──settled──> read
 *                                               └── 5 s ──> not_settled
 */

import { depositStream } from "../deposits/deposit.ts";
import { parsePosition } from "../stream/position.ts";
import type { Pending, StreamPosition } from "../stream/settling.ts";
import { ServiceError } from "./problem.ts";

export const SETTLING_TIMEOUT_MS = 5_000;
/** Each is looked at with every change: a thousand cost a few milliseconds. */
export const MAX_WAITING_READS = 1_024;

export interface SettledReadsOptions {
  readonly settled: (
    positions: readonly StreamPosition[],
    signal: AbortSignal,
  ) => Promise<Pending | null>;
  /** Resolves after so many milliseconds, or when the signal fires. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
}

export class SettledReads {
  private waiting = 0;
  private readonly stopping = new AbortController();

  constructor(private readonly options: SettledReadsOptions) {}

  /** Resolves when settled. Throws `invalid_position`, `not_settled`, `busy`. */
  async wait(after: string, options: { partition: number; signal: AbortSignal }): Promise<void> {
    const position = parsePosition(after);
    if (position === null) {
      throw new ServiceError("invalid_position", 'after must be a position such as "3-17"');
    }
    if (position.partition !== options.partition) {
      throw new ServiceError(
        "invalid_position",
        `after=${after} is not a position of this wallet: its deposits stand in partition ` +
          `${options.partition}`,
      );
    }
    await this.settle([{ topic: depositStream.topic, ...position }], {
      signal: options.signal,
      told: (why) => `${after} is not settled: ${why}; ask again, or see /readyz`,
    });
  }

  /**
   * Resolves when all is settled. Throws `not_settled`, with what `told` makes of the reason, and
   * `busy`.
   */
  async settle(
    positions: readonly StreamPosition[],
    { signal, told }: { readonly signal: AbortSignal; readonly told: (why: string) => string },
  ): Promise<void> {
    if (this.waiting >= MAX_WAITING_READS) {
      throw new ServiceError("busy", told("too many requests wait to be settled"));
    }
    this.waiting += 1;
    try {
      const pending = await this.settled(positions, signal);
      if (pending !== null) throw new ServiceError("not_settled", told(pendingText(pending)));
    } finally {
      this.waiting -= 1;
    }
  }

  /** Ends every wait now: `not_settled`. */
  abandon(): void {
    this.stopping.abort();
  }

  private async settled(
    positions: readonly StreamPosition[],
    left: AbortSignal,
  ): Promise<Pending | null> {
    const timer = new AbortController();
    const late = new AbortController();
    const signal = AbortSignal.any([late.signal, left, this.stopping.signal]);
    void this.options.delay(SETTLING_TIMEOUT_MS, timer.signal).then(() => late.abort());
    try {
      return await this.options.settled(positions, signal);
    } finally {
      timer.abort();
    }
  }
}

function pendingText({ group, topic, partition, offset }: Pending): string {
  return `group ${group} has not passed ${topic} ${partition}-${offset} yet`;
}
