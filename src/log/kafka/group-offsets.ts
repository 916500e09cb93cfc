/**
 * A group's offsets as Kafka keeps them, for tools that tell lag. Nothing here ever reads them:
 * what counts is the progress, which the same transactions write.
 *
 *   commits ──owed──> along with a transaction, OFFSETS_EVERY_MS after the last that had some
 *                └──> in one of their own, when no other has come by then
 *
 * They never run ahead of the progress. They cost a transaction two requests and a marker in the
 * brokers' own topic: so not each has them.
 */

import { getLogger } from "@logtape/logtape";
import { OFFSETS_AGAIN_MS, OFFSETS_EVERY_MS } from "./limits.ts";
import { isPassing, messageOf } from "./retry.ts";

const logger = getLogger(["log", "kafka"]);

export interface GroupOffset {
  /** As it is named in the cluster. */
  readonly topic: string;
  readonly partition: number;
  readonly nextOffset: bigint;
}

/** When a member's next offsets are due, by the monotonic clock, whichever producer it has. */
export interface OffsetPace {
  dueMs: number;
  /** The last could not be written, or are on their way. */
  isHeldUp: boolean;
  /** Why not, as it was said last. */
  said: string;
}

/** What one producer has committed and the group's offsets do not show yet. */
export class OwedOffsets {
  private readonly owed = new Map<string, GroupOffset>();
  private timer: ReturnType<typeof setTimeout> | null = null;

  constructor(
    private readonly pace: OffsetPace,
    private readonly onDue: () => void,
  ) {}

  owe(offsets: readonly GroupOffset[]): void {
    for (const offset of offsets) this.owed.set(`${offset.partition}/${offset.topic}`, offset);
  }

  /** Another may write for the partition from here on. */
  forget(partition: number): void {
    for (const [key, offset] of this.owed) {
      if (offset.partition === partition) this.owed.delete(key);
    }
  }

  /** Nothing more is written. */
  end(): void {
    this.owed.clear();
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }

  get isDue(): boolean {
    return this.owed.size > 0 && performance.now() >= this.pace.dueMs;
  }

  /** What goes along now: none mostly. Until `written` it counts as not written. */
  take(isLast: boolean): readonly GroupOffset[] {
    const isNow = this.isDue || (isLast && this.owed.size > 0 && !this.pace.isHeldUp);
    if (!isNow) return [];
    this.pace.dueMs = performance.now() + OFFSETS_AGAIN_MS;
    this.pace.isHeldUp = true;
    return [...this.owed.values()];
  }

  written(offsets: readonly GroupOffset[]): void {
    for (const offset of offsets) {
      const key = `${offset.partition}/${offset.topic}`;
      if (this.owed.get(key) === offset) this.owed.delete(key);
    }
    this.pace.dueMs = performance.now() + OFFSETS_EVERY_MS;
    this.pace.isHeldUp = false;
    this.pace.said = "";
  }

  /** What does not pass is said aloud, once: no tool tells the group's lag. Commits go on. */
  leftOut(group: string, error: unknown): void {
    const message = messageOf(error);
    if (isPassing(error) || message === this.pace.said) {
      logger.debug("{group}: offsets are left out: {message}", { group, message });
      return;
    }
    this.pace.said = message;
    logger.warn(
      "{group}: tools do not see where the group stands, for its offsets are not written: " +
        "{message}; trying again",
      { group, message },
    );
  }

  /** Tells when they are due, should nothing be written before that. */
  wait(): void {
    if (this.owed.size === 0 || this.timer !== null) return;
    const tell = () => {
      this.timer = null;
      this.onDue();
    };
    this.timer = setTimeout(tell, Math.max(0, this.pace.dueMs - performance.now()));
    this.timer.unref(); // a program that ends has given its claims back, and these with them
  }
}
