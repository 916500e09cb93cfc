/**
 * Whose heartbeat has stopped: each member's counter, over this observer's own monotonic time.
 *
 *   counters ──look──> since when has each stood still? ──over HANG_MS──> hung
 *
 * No clock is compared with another process's clock, so a counter that was never looked at before
 * tells nothing yet.
 */

import type { MemberRow } from "./member-rows.ts";

/** How often a member shows that it lives: one small fsync each. */
const HEARTBEAT_MS = 1_000;
/** Standing still for so long is a hang: three missed heartbeats. */
export const HANG_MS = 3_000;

export class Heartbeats {
  private readonly seen = new Map<string, { counter: number; sinceMs: number }>();
  private lastOwnMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly monotonicMs: () => number) {}

  /** Whether this observer's own member is to show life again. */
  get isDue(): boolean {
    return this.monotonicMs() - this.lastOwnMs >= HEARTBEAT_MS;
  }

  /** False while the own heartbeats wait: then the others' may wait for the same. */
  get getThrough(): boolean {
    return this.monotonicMs() - this.lastOwnMs <= 2 * HEARTBEAT_MS;
  }

  /** The own heartbeat that was asked for at `startedMs` is written; then members were read. */
  shown(startedMs: number, members: readonly MemberRow[]): void {
    const nowMs = this.monotonicMs();
    const sinceLastMs = startedMs - this.lastOwnMs;
    const wasHeldUp = sinceLastMs > 2 * HEARTBEAT_MS || nowMs - startedMs > HEARTBEAT_MS;
    this.lastOwnMs = nowMs;
    this.look(members, { couldMove: !wasHeldUp });
  }

  /** Only time in which the log could be written counts: tell when it could not. */
  look(members: readonly MemberRow[], { couldMove }: { readonly couldMove: boolean }): void {
    const nowMs = this.monotonicMs();
    for (const { id, counter } of members) {
      if (this.seen.get(id)?.counter === counter && couldMove) continue;
      this.seen.set(id, { counter, sinceMs: nowMs });
    }
    for (const id of this.seen.keys()) {
      if (!members.some((member) => member.id === id)) this.seen.delete(id);
    }
  }

  hasStopped({ id, counter }: Pick<MemberRow, "id" | "counter">): boolean {
    const seen = this.seen.get(id);
    if (seen === undefined || seen.counter !== counter) return false;
    return this.monotonicMs() - seen.sinceMs > HANG_MS;
  }
}
