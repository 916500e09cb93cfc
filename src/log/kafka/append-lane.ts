/**
 * What waits to be appended to one partition, in order.
 *
 *   append ──queue──> lane ──take──> one batch under way ──free──> the next
 */

import type { LogError, NewRecord } from "../event-log.ts";
import type { AppendCall } from "./append-call.ts";
import { recordBytes } from "./record-batch.ts";

export const UNKNOWN_LEADER = -1;

/** One record of a call. */
export interface LaneItem {
  readonly record: NewRecord;
  readonly call: AppendCall;
  readonly index: number;
}

export class Lane {
  readonly queue: LaneItem[] = [];
  leader = UNKNOWN_LEADER;
  /** Set while a batch is under way. */
  idle: PromiseWithResolvers<void> | null = null;

  constructor(
    readonly topic: string,
    readonly partition: number,
  ) {}

  get isWaiting(): boolean {
    return this.idle === null && this.queue.length > 0;
  }

  /** At least one, and as many more as fit. */
  take(bytes: number): readonly LaneItem[] {
    let sum = 0;
    const end = this.queue.findIndex(({ record }, index) => {
      sum += recordBytes(record);
      return index > 0 && sum > bytes;
    });
    return this.queue.splice(0, end < 0 ? this.queue.length : end);
  }

  free(): void {
    this.idle?.resolve();
    this.idle = null;
  }

  refuseQueued(error: LogError): void {
    for (const { call } of this.queue.splice(0)) call.fail(error);
  }
}
