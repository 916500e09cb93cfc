/**
 * What code asks the machine for without being given it: turns of the event loop, timers, a clock,
 * random ids. While a run lasts they are the scheduler's; nothing else can run meanwhile, for a run
 * does not wait.
 *
 *   setImmediate, setTimeout, setInterval ──> events of the process whose code asked
 */

import type { Chance } from "./chance.ts";
import type { Life, QueuedEvent, Scheduler } from "./scheduler.ts";

/** A turn of the event loop takes no longer. */
export const TURN_US = 40;

/** As much of a timer as code uses. */
interface SimulatedTimer {
  event: QueuedEvent;
  unref(): SimulatedTimer;
}

export function withSimulatedGlobals<T>(scheduler: Scheduler, chance: Chance, run: () => T): T {
  const { setImmediate, setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
  const originals = { setImmediate, setTimeout, clearTimeout, setInterval, clearInterval };
  const { now } = performance;
  const { randomUUID } = crypto;
  Object.assign(globalThis, simulatedTimers(scheduler, chance));
  performance.now = () => scheduler.nowUs / 1_000;
  crypto.randomUUID = () => randomId(chance);
  try {
    return run();
  } finally {
    Object.assign(globalThis, originals);
    performance.now = now;
    crypto.randomUUID = randomUUID;
  }
}

function simulatedTimers(scheduler: Scheduler, chance: Chance) {
  const after = (us: number, kind: string, about: unknown, run: () => void) =>
    scheduler.after(us, { life: scheduler.current, kind, about, run });
  const timerOf = (event: QueuedEvent): SimulatedTimer => {
    const timer = { event, unref: () => timer };
    return timer;
  };
  const clear = (timer: SimulatedTimer | null | undefined) => {
    if (timer != null) timer.event.isCancelled = true;
  };
  return {
    setImmediate: (run: () => void) => after(chance.below(TURN_US), "turn", null, run),
    setTimeout: (run: () => void, ms = 0) => timerOf(after(ms * 1_000, "timeout", ms, run)),
    setInterval: (run: () => void, ms: number) => {
      const timer = timerOf(after(ms * 1_000, "interval", ms, () => repeat()));
      const life: Life | null = scheduler.current;
      const repeat = () => {
        const event = { life, kind: "interval", about: ms, run: () => repeat() };
        timer.event = scheduler.after(ms * 1_000, event);
        run();
      };
      return timer;
    },
    clearTimeout: clear,
    clearInterval: clear,
  };
}

function randomId(chance: Chance): `${string}-${string}-${string}-${string}-${string}` {
  const digits = (count: number) =>
    Array.from({ length: count }, () => chance.below(16).toString(16)).join("");
  return `${digits(8)}-${digits(4)}-${digits(4)}-${digits(4)}-${digits(12)}`;
}
