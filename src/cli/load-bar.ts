/**
 * How far a load is: a bar on a terminal, a line now and then elsewhere.
 *
 *   progress ──> stderr
 */

import type { SingleBar } from "cli-progress";
import type { LoadProgress } from "../proof/load/run-load.ts";
import { note } from "./output.ts";
import { newTerminalBar } from "./terminal-bar.ts";

const LINES_EVERY_MS = 10_000;

export interface LoadBar {
  show(progress: LoadProgress): void;
  /** Takes it away. Idempotent. */
  clear(): void;
}

export function newLoadBar(): LoadBar {
  return process.stderr.isTTY === true ? terminalBar() : lines();
}

function terminalBar(): LoadBar {
  let bar: SingleBar | null = null;
  return {
    show: (progress) => {
      const doneMs = Math.min(progress.elapsedMs, progress.totalMs);
      if (bar === null) {
        bar = newTerminalBar("{bar} {words}");
        bar.start(progress.totalMs, doneMs, { words: words(progress) });
      } else bar.update(doneMs, { words: words(progress) });
    },
    clear: () => {
      bar?.stop();
      bar = null;
    },
  };
}

function lines(): LoadBar {
  let nextMs = LINES_EVERY_MS;
  return {
    show: (progress) => {
      if (progress.elapsedMs < nextMs) return;
      nextMs += LINES_EVERY_MS;
      note(words(progress));
    },
    clear: () => {},
  };
}

function words(progress: LoadProgress): string {
  const { elapsedMs, totalMs, isWarmUp, requestsPerSecond, failures } = progress;
  const time = `${Math.floor(elapsedMs / 1_000)} s of ${Math.ceil(totalMs / 1_000)} s`;
  if (isWarmUp) return `${time}, warming up`;
  const rate = `${Math.round(requestsPerSecond).toLocaleString("en")}/s`;
  return `${time}, ${rate}, ${failures === 0 ? "no errors" : `${failures} errors`}`;
}
