/**
 * How far an import is: a bar with rate and time to go on a terminal, some lines elsewhere.
 *
 *   progress of each step ──> stderr
 */

import type { SingleBar } from "cli-progress";
import type { App } from "../app.ts";
import { note } from "./output.ts";
import { newTerminalBar } from "./terminal-bar.ts";

type Progress = Parameters<Parameters<App["importDeposits"]>[0]["onProgress"]>[0];

/** Shorter steps need no word. */
const SILENT_MS = 1_000;
/** Between two lines where there is no terminal. */
const LINES_EVERY_MS = 5_000;
const MEGABYTE = 1_000_000;

export interface ImportBar {
  show(progress: Progress): void;
  /** A sentence that stays, above the bar. */
  note(text: string): void;
  /** Takes the bar away; it comes again with the next progress. Idempotent. */
  clear(): void;
}

export function newImportBar(): ImportBar {
  return process.stderr.isTTY === true ? terminalBar() : lines();
}

/** When a step began, so that the rate is its own. */
class StepClock {
  private step: Progress["step"] | null = null;
  private startMs = 0;

  elapsedMs(step: Progress["step"]): number {
    const nowMs = performance.now();
    if (step !== this.step) {
      this.step = step;
      this.startMs = nowMs;
    }
    return nowMs - this.startMs;
  }
}

function terminalBar(): ImportBar {
  const clock = new StepClock();
  let bar: SingleBar | null = null;
  let step: Progress["step"] | null = null;
  const clear = () => {
    bar?.stop();
    bar = null;
  };
  return {
    show: (progress) => {
      const elapsedMs = clock.elapsedMs(progress.step);
      if (step !== progress.step) clear();
      step = progress.step;
      if (bar === null) {
        bar = newTerminalBar("{step} {bar} {percentage}% {amount} {rate}, {togo}");
        bar.start(progress.total ?? progress.done, progress.done, words(progress, elapsedMs));
      } else {
        if (progress.total === null) bar.setTotal(progress.done);
        bar.update(progress.done, words(progress, elapsedMs));
      }
    },
    note: (text) => {
      clear();
      note(text);
    },
    clear,
  };
}

function lines(): ImportBar {
  const clock = new StepClock();
  let lastMs = performance.now() + SILENT_MS - LINES_EVERY_MS;
  return {
    show: (progress) => {
      const elapsedMs = clock.elapsedMs(progress.step);
      const nowMs = performance.now();
      if (nowMs - lastMs < LINES_EVERY_MS) return;
      lastMs = nowMs;
      const { step, amount, rate, togo } = words(progress, elapsedMs);
      note(`${step} ${amount}, ${rate}, ${togo}`);
    },
    note,
    clear: () => {},
  };
}

function words({ step, done, total }: Progress, elapsedMs: number) {
  const isBytes = step === "taking" || step === "checking";
  const written = (count: number) =>
    isBytes ? `${(count / MEGABYTE).toFixed(1)} MB` : `${Math.round(count).toLocaleString("en")}`;
  const perSecond = elapsedMs === 0 ? 0 : (done / elapsedMs) * 1_000;
  const amount = total === null ? written(done) : `${written(done)} of ${written(total)}`;
  return {
    step,
    amount: isBytes ? amount : `${amount} rows`,
    rate: `${written(perSecond)}/s`,
    togo: timeToGo(total === null ? null : total - done, perSecond),
  };
}

function timeToGo(left: number | null, perSecond: number): string {
  if (left === null || perSecond === 0) return "time to go unknown";
  const seconds = Math.ceil(left / perSecond);
  if (seconds < 120) return `${seconds} s to go`;
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s to go`;
}
