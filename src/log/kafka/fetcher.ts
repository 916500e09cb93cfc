/**
 * Reads partitions without a group: each cursor from its own offset, ahead of who reads it.
 *
 *   cursors ──FetchLoop: one fetch a leader──> batches ──> each cursor's ReadAhead ──take──> reader
 *
 * A cursor that is new or behind is asked for at once, on connections of their own; one that has
 * reached the end waits in a long fetch together with all others. While it waits for the next of
 * these it is looked at by itself, with growing pauses: what its reader waits for may be a moment
 * away. A cursor that has read ahead far enough is left out until its reader has caught up.
 */

import { LogError } from "../event-log.ts";
import type { Connections } from "./connections.ts";
import { Cursor, type Place } from "./cursor.ts";
import { FetchLoop } from "./fetch-loop.ts";
import { FETCH_WAIT_MS, FETCH_WITHIN_MS, LOOK_LAST_MS } from "./limits.ts";

export class Fetcher {
  private readonly cursors = new Set<Cursor>();
  private readonly loops: { readonly behind: FetchLoop; readonly tailing: FetchLoop };

  constructor(options: {
    /** For fetches that are answered at once. */
    readonly quick: Connections;
    /** For fetches that wait. */
    readonly waiting: Connections;
    /** For tests: a fetch without an answer is given up after so long. */
    readonly withinMs?: number;
  }) {
    const { withinMs = FETCH_WITHIN_MS } = options;
    const of = (isWanted: (cursor: Cursor) => boolean) => () =>
      [...this.cursors].filter((cursor) => !cursor.isAsked && isWanted(cursor));
    this.loops = {
      behind: new FetchLoop(options.quick, {
        waitMs: 0,
        withinMs,
        cursors: of(({ mode, isDue }) => mode === "behind" || (mode === "tailing" && isDue)),
        onLeft: () => {}, // the next fetch is a moment away
      }),
      tailing: new FetchLoop(options.waiting, {
        waitMs: FETCH_WAIT_MS,
        withinMs,
        cursors: of(({ mode }) => mode === "tailing"),
        onLeft: (cursor) => this.lookSoon(cursor),
      }),
    };
  }

  /** For one that came while a long fetch was under way. */
  private lookSoon(cursor: Cursor): void {
    if (cursor.isLookedFor) return;
    cursor.isLookedFor = true;
    setTimeout(() => {
      cursor.isLookedFor = false;
      if (cursor.mode !== "tailing" || cursor.isAsked) return;
      cursor.isDue = true;
      this.loops.behind.wake();
    }, cursor.lookAgainMs);
    cursor.lookAgainMs = Math.min(cursor.lookAgainMs * 2, LOOK_LAST_MS);
  }

  /** Close the cursor when it is not needed any more. */
  open(place: Place, from: bigint): Cursor {
    const cursor = new Cursor(place, from, () => {
      if (cursor.mode === "closed") this.cursors.delete(cursor);
      else this.loops[cursor.mode === "tailing" ? "tailing" : "behind"].wake();
    });
    this.cursors.add(cursor);
    this.loops.behind.wake();
    return cursor;
  }

  /** Why fetches that somebody needs fail now; null when they do not. */
  get problem(): string | null {
    const { behind, tailing } = this.loops;
    const isAnyBehind = [...this.cursors].some(({ mode }) => mode === "behind");
    return tailing.problem ?? (isAnyBehind ? behind.problem : null);
  }

  close(): void {
    this.loops.behind.stop();
    this.loops.tailing.stop();
    for (const cursor of this.cursors) {
      cursor.fail(new LogError("closed", "the log is closed: open it again"));
    }
  }
}
