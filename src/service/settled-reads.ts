/**
 * Reading what you wrote: `?after=<position>` waits until that deposit is settled, detector and
 * flagger included; for customers from whom flags are hidden, until it is counted.
 *
 *   position ──the wallet's own partition?──> wait ──settled──> read
 *                                               └── 5 s ──> not_settled
 *
 * A customer who waited for the flagger would learn from how long it takes, and from a 504, that
 * there is something for it to do: a deposit that changes no flag never reaches it.
 */

import { balanceGroup } from "../collector/collector.ts";
import { depositStream } from "../deposits/deposit.ts";
import { parsePosition } from "../stream/position.ts";
import type { Pending, StreamPosition } from "../stream/settling.ts";
import { ServiceError } from "./problem.ts";

export const SETTLING_TIMEOUT_MS = 5_000;
/** Each is looked at with every change: a thousand cost a few milliseconds. */
export const MAX_WAITING_READS = 1_024;

/** The groups that make what customers are shown where flags are hidden. */
const COUNTING = [balanceGroup.name];

export interface SettledReadsOptions {
  /** Waits for these groups alone, where they are told. */
  readonly settled: (
    positions: readonly StreamPosition[],
    signal: AbortSignal,
    groups?: readonly string[],
  ) => Promise<Pending | null>;
  /** Resolves after so many milliseconds, or when the signal fires. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
}

export class SettledReads {
  private waiting = 0;
  private readonly stopping = new AbortController();

  constructor(private readonly options: SettledReadsOptions) {}

  /** Resolves when settled. Throws `invalid_position`, `not_settled`, `busy`. */
  async wait(
    after: string,
    options: {
      readonly partition: number;
      readonly signal: AbortSignal;
      /** From who asks; not unless told. */
      readonly hidesFlags?: boolean;
    },
  ): Promise<void> {
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
      ...(options.hidesFlags === true ? { groups: COUNTING } : {}),
      told: (why) => `${after} is not settled: ${why}; ask again, or see /readyz`,
    });
  }

  /**
   * Resolves when all is settled. Throws `not_settled`, with what `told` makes of the reason, and
   * `busy`.
   */
  async settle(
    positions: readonly StreamPosition[],
    options: {
      readonly signal: AbortSignal;
      readonly told: (why: string) => string;
      /** All unless told. */
      readonly groups?: readonly string[];
    },
  ): Promise<void> {
    const { signal, told, groups } = options;
    if (this.waiting >= MAX_WAITING_READS) {
      throw new ServiceError("busy", told("too many requests wait to be settled"));
    }
    this.waiting += 1;
    try {
      const pending = await this.settled(positions, signal, groups);
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
    groups?: readonly string[],
  ): Promise<Pending | null> {
    const timer = new AbortController();
    const late = new AbortController();
    const signal = AbortSignal.any([late.signal, left, this.stopping.signal]);
    void this.options.delay(SETTLING_TIMEOUT_MS, timer.signal).then(() => late.abort());
    try {
      return await this.options.settled(positions, signal, groups);
    } finally {
      timer.abort();
    }
  }
}

function pendingText({ group, topic, partition, offset }: Pending): string {
  return `group ${group} has not passed ${topic} ${partition}-${offset} yet`;
}
