/**
 * The scheduler: simulated time and the one queue of everything that is still to happen.
 *
 *   answers, timers, turns, faults ──at a time──> queue ──earliest first──> run, microtasks drained
 *
 * A step is one event taken from the queue and run, with all that follows from it without waiting
 * for another event. Nothing runs between two steps, and nothing in a step asks a real clock, so a
 * seed gives the same steps each time. After FoundationDB's simulator and TigerBeetle's VOPR.
 */

import { drainMicrotasks } from "bun:jsc";

/** A process from its start to its end: what is still to happen to it ends with it. */
export class Life {
  isAlive = true;
  /** A paused one takes what came meanwhile when it goes on, as a stopped process does. */
  isPaused = false;
  readonly held: QueuedEvent[] = [];
  /** Run when it dies: handles that the machine would take back from a dead process. */
  readonly handles: (() => void)[] = [];

  constructor(readonly name: string) {}
}

export interface QueuedEvent {
  atUs: number;
  readonly order: number;
  /** Whom it happens to; null: the log's side, clients and faults. */
  readonly life: Life | null;
  readonly kind: string;
  /** For the trace; looked at only when something went wrong. */
  readonly about: unknown;
  readonly run: () => void;
  isCancelled: boolean;
}

export class Scheduler {
  nowUs = 0;
  steps = 0;
  /** Of all steps so far: two runs with the same one went the same way. */
  digest = 0;
  /** Whose code runs. */
  current: Life | null = null;
  private readonly heap: QueuedEvent[] = [];
  private orders = 0;
  private readonly trace: { event: QueuedEvent; step: number }[] = [];

  /** How many of the last steps are kept for the trace of a failure. */
  constructor(private readonly traceSteps: number) {}

  at(atUs: number, event: Pick<QueuedEvent, "life" | "kind" | "about" | "run">): QueuedEvent {
    const queued: QueuedEvent = {
      atUs: atUs < this.nowUs ? this.nowUs : Math.round(atUs),
      order: this.orders++,
      life: event.life,
      kind: event.kind,
      about: event.about,
      run: event.run,
      isCancelled: false,
    };
    this.push(queued);
    return queued;
  }

  after(us: number, event: Pick<QueuedEvent, "life" | "kind" | "about" | "run">): QueuedEvent {
    return this.at(this.nowUs + us, event);
  }

  /** When the next event is due; null when there is none. */
  get nextUs(): number | null {
    while (this.heap[0]?.isCancelled === true) this.pop();
    return this.heap[0]?.atUs ?? null;
  }

  /** Runs the next event that happens to somebody alive; false when there is none. */
  step(): boolean {
    for (;;) {
      const event = this.pop();
      if (event === undefined) return false;
      const { life } = event;
      if (event.isCancelled || life?.isAlive === false) continue;
      if (life?.isPaused === true) {
        life.held.push(event);
        continue;
      }
      this.nowUs = event.atUs;
      this.steps += 1;
      this.note(event);
      this.runAs(life, event.run);
      return true;
    }
  }

  /** Runs code of a process, and what follows from it at once. */
  runAs(life: Life | null, run: () => void): void {
    const before = this.current;
    this.current = life;
    try {
      run();
    } catch (error) {
      if (life?.isAlive !== false) throw error; // it died of it
    } finally {
      drainMicrotasks();
      this.current = before;
    }
  }

  kill(life: Life): void {
    life.isAlive = false;
    life.held.length = 0;
    for (const close of life.handles.splice(0)) close();
  }

  pause(life: Life): void {
    life.isPaused = true;
  }

  resume(life: Life): void {
    life.isPaused = false;
    for (const event of life.held.splice(0)) {
      event.atUs = this.nowUs;
      this.push(event);
    }
  }

  /** As engine and domains take it: so many milliseconds, or until the signal fires. */
  delayOf(life: Life): (ms: number, signal?: AbortSignal) => Promise<void> {
    return (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) return resolve();
        const stop = () => {
          timer.isCancelled = true;
          resolve();
        };
        const timer = this.after(ms * 1_000, {
          ...{ life, kind: "timer", about: ms },
          run: () => {
            signal?.removeEventListener("abort", stop);
            resolve();
          },
        });
        signal?.addEventListener("abort", stop, { once: true });
      });
  }

  /** Oldest first. */
  lastSteps(): string[] {
    return [...this.trace].sort((a, b) => a.step - b.step).map(({ step, event }) => {
      const where = event.life?.name ?? "log";
      const atMs = (event.atUs / 1_000).toFixed(3);
      return `${step} ${atMs} ms ${where}: ${event.kind} ${aboutText(event.about)}`.trimEnd();
    });
  }

  private note(event: QueuedEvent): void {
    this.trace[(this.steps - 1) % this.traceSteps] = { event, step: this.steps };
    const { kind } = event;
    const mark = kind.charCodeAt(0) * 31 + kind.length + (event.life === null ? 0 : 7);
    this.digest = Math.imul(this.digest ^ event.atUs ^ mark, 0x01000193) >>> 0;
  }

  private push(event: QueuedEvent): void {
    const { heap } = this;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as QueuedEvent;
      if (!isBefore(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  private pop(): QueuedEvent | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child] as QueuedEvent)) child += 1;
      const below = heap[child] as QueuedEvent;
      if (!isBefore(below, last)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: QueuedEvent, b: QueuedEvent): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order);
}

function aboutText(about: unknown): string {
  if (about === null || about === undefined) return "";
  if (typeof about === "string") return about;
  return JSON.stringify(about, (_, value: unknown) =>
    typeof value === "bigint" ? Number(value) : value,
  );
}
