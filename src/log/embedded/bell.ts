/**
 * The bell: how a commit in one process or thread wakes readers in the others.
 *
 *   commit ──ring: <folder>/bell written (witness.ts)──> inotify ──> listeners of every process
 *
 * Measured: 0.9 ms until a waiting reader runs, against 50 ms when the WAL itself is watched
 * (it is written before the commit is complete). A slow poll stands behind it, for the event that
 * never comes: it calls the listener whether anything has changed or not.
 */

import { closeSync, openSync, watch, writeSync, type FSWatcher } from "node:fs";
import { join } from "node:path";

/**
 * Bun's watcher drops an event that comes less than two milliseconds after one that it passed on
 * (seen: the last ring of a burst, heard of a second later). So the listener is called once more
 * after each event that comes through, when every ring that it hid must have been written.
 */
const SECOND_LOOK_MS = 2;

/** Behind the bell: late is better than never, and one query a second costs nothing. */
export const POLL_MS = 1_000;

const ONE_BYTE = new Uint8Array(1);

export interface Bell {
  /**
   * Wakes the listener in every process that watches, this one included, once each or less. The
   * bytes are what the file is to hold from its beginning on; the first is written each time.
   */
  ring(bytes?: Uint8Array): void;
  close(): void;
}

/** `listener` is called soon after any ring, and every second. */
export function openBell(folder: string, listener: () => void): Bell {
  const poll = setInterval(listener, POLL_MS);
  poll.unref();
  if (folder === ":memory:") {
    return { ring: () => {}, close: () => clearInterval(poll) };
  }
  const path = join(folder, "bell");
  const file = openSync(path, "a+");
  const writable = openSync(path, "r+");
  closeSync(file);
  let isClosed = false;
  let isLookDue = false;
  let needsLook = false;
  const lookLater = () => {
    if (isLookDue) return;
    isLookDue = true;
    setTimeout(() => {
      isLookDue = false;
      if (isClosed) return;
      listener();
      if (needsLook) lookLater(); // an event came meanwhile, and may hide another one
      needsLook = false;
    }, SECOND_LOOK_MS);
  };
  const watcher: FSWatcher = watch(path, { persistent: false }, () => {
    if (isClosed) return;
    listener();
    needsLook = isLookDue;
    lookLater();
  });
  // The poll stands in when the watch fails, for example when inotify's watches run out.
  watcher.on("error", () => {});
  return {
    ring: (bytes = ONE_BYTE) => {
      if (isClosed) return;
      try {
        writeSync(writable, bytes, 0, bytes.length, 0);
      } catch {
        // What it tells of is committed all the same, and the others' poll finds it.
      }
    },
    close: () => {
      if (isClosed) return;
      isClosed = true;
      clearInterval(poll);
      watcher.close();
      closeSync(writable);
    },
  };
}
