/**
 * How much is asked for in one fetch: as much as the line carries before the fetch times out.
 *
 *   a time-out ──> half of it        a full answer, soon ──> twice as much
 *
 * Without it a reader behind a slow line would ask for the same again and again, and get nothing.
 */

import { FETCH_BYTES, MAX_MESSAGE_BYTES, REQUEST_MS } from "./limits.ts";

/** Twice as much would come within half of what a request may take. */
const SOON_MS = REQUEST_MS / 4;

export class FetchSize {
  bytes = FETCH_BYTES;

  /** Of several that were asked together, each counts once. Never below the largest batch. */
  timedOut(asked: number): void {
    this.bytes = Math.max(MAX_MESSAGE_BYTES, Math.min(this.bytes, asked / 2));
  }

  /** A small answer says nothing of the line. */
  answered({ asked, came, tookMs }: { asked: number; came: number; tookMs: number }): void {
    if (came < asked / 2 || tookMs > SOON_MS) return;
    this.bytes = Math.min(FETCH_BYTES, Math.max(this.bytes, asked * 2));
  }
}
