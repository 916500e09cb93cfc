/**
 * Descriptors that connections cannot have: a client that takes all the others stops neither the
 * log nor the tables, which open files when they are first needed.
 *
 *   held from the start ──no other is left──> gate closed, these free for files; newcomers refused
 *          └──────────────── gate open again <──so many are free, and some more──┘
 *
 * Out of descriptors Bun tries to accept without a pause, for as long as somebody waits: a whole
 * core. With the gate closed it does not try.
 */

import { getLogger } from "@logtape/logtape";
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { type ListenerGate, listenerGate } from "./listener-gate.ts";

/**
 * Three for each table of 8 partitions, of the processors and of the views, and some for modules,
 * brokers and /proc. Files that are open already are not taken off: it is those that come later
 * that must find one. Where there are few, connections have half of what files leave.
 */
const SPARE_DESCRIPTORS = 192;
/** Until the next look a file may find no descriptor. */
const LOOK_EVERY_MS = 100;
/** Where so many are free that they cannot be gone sooner: to wake up is what a look costs. */
const LOOK_SELDOM_MS = 1_000;
/** No more come in a millisecond: Bun accepts 8 for a second, and 44 for some milliseconds. */
const ACCEPTED_PER_MS = 50;
/** After the gate was opened: who came at that moment may have taken all of them at once. */
const LOOK_SOON_MS = 5;
/** So many more are free before the gate is opened, so that it is not for each that ends. */
const ROOM = 16;
/** How often files are counted while the gate is closed: one look at each descriptor. */
const FILES_EVERY_MS = 5_000;
/** A client that comes again and again must not fill the messages. */
const TELL_EVERY_MS = 60_000;
const ANY_FILE = "/dev/null";

const logger = getLogger(["depositaja", "service"]);

export interface GuardOptions {
  /** Resolves after so many milliseconds, or when the signal fires. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
}

/**
 * Guards what listens at the port. Returns what ends it, which comes before the server's own end;
 * the gate is open then. Nothing is held where there can be no gate.
 */
export function guardDescriptors(port: number, { delay }: GuardOptions): () => void {
  if (process.platform !== "linux") return () => {};
  const spare = new SpareDescriptors(port);
  const ending = new AbortController();
  const look = async () => {
    while (!ending.signal.aborted) await delay(spare.look(), ending.signal);
  };
  void look();
  return () => {
    ending.abort();
    spare.end();
  };
}

class SpareDescriptors {
  private readonly limit = descriptorLimit();
  /** Descriptors that are no sockets, as of `countedMs`. */
  private files = 0;
  private countedMs = Number.NEGATIVE_INFINITY;
  private held: number[];
  private isOpen = true;
  /** Looked for when it is needed first, which takes milliseconds; null where there is none. */
  private gate: ListenerGate | null = null;
  private toldMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly port: number) {
    this.countFiles();
    this.held = hold(this.spare());
  }

  /** Returns after how many milliseconds to look again. */
  look(): number {
    if (this.isOpen) {
      if (isOneFree()) return this.surelyFreeMs();
      this.isOpen = false;
      this.release(); // to look for the gate takes some, too; none is taken in between
      this.gate ??= listenerGate(this.port);
      this.gate?.close();
      this.gate?.refuse();
      this.tell();
      return LOOK_EVERY_MS;
    }
    this.gate?.refuse();
    if (performance.now() - this.countedMs >= FILES_EVERY_MS) this.countFiles();
    const room = Math.min(ROOM, (this.limit - this.files) >> 2);
    if (this.limit - descriptorsInUse() < this.spare() + room) return LOOK_EVERY_MS;
    this.isOpen = true;
    this.held = hold(this.spare());
    this.gate?.open();
    return LOOK_SOON_MS;
  }

  /** How long what is free lasts, whoever comes. Before Linux 6.2 to count is dear: it is not. */
  private surelyFreeMs(): number {
    const inUse = statSync("/proc/self/fd").size || this.limit;
    const lastsMs = (this.limit - inUse) / ACCEPTED_PER_MS;
    return Math.min(Math.max(lastsMs, LOOK_EVERY_MS), LOOK_SELDOM_MS);
  }

  /** A socket whose gate stayed closed would hear of nobody any more. */
  end(): void {
    if (!this.isOpen) this.gate?.open();
    this.release();
  }

  private spare(): number {
    return Math.min(SPARE_DESCRIPTORS, (this.limit - this.files) >> 1);
  }

  private countFiles(): void {
    this.countedMs = performance.now();
    this.files = filesInUse();
  }

  private release(): void {
    close(this.held.splice(0));
  }

  private tell(): void {
    const nowMs = performance.now();
    if (nowMs - this.toldMs < TELL_EVERY_MS) return;
    this.toldMs = nowMs;
    const { limit } = this;
    logger.warn("all {limit} descriptors are used up: new connections are refused", { limit });
  }
}

/** As many as there are, but no more than so many. */
function hold(count: number): number[] {
  const held: number[] = [];
  try {
    while (held.length < count) held.push(openSync(ANY_FILE, "r"));
  } catch {
    // No more than these.
  }
  return held;
}

function close(held: readonly number[]): void {
  for (const descriptor of held) closeSync(descriptor);
}

function isOneFree(): boolean {
  const held = hold(1);
  close(held);
  return held.length === 1;
}

function descriptorsInUse(): number {
  try {
    // The size is their number since Linux 6.2, and 0 before.
    return statSync("/proc/self/fd").size || readdirSync("/proc/self/fd").length;
  } catch {
    return Number.POSITIVE_INFINITY; // to look takes one, too
  }
}

/** 0 where none is left to look with: then the next look says more. */
function filesInUse(): number {
  try {
    return readdirSync("/proc/self/fd").filter((each) => !isSocket(each)).length;
  } catch {
    return 0;
  }
}

function isSocket(descriptor: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith("socket:");
  } catch {
    return false; // it was closed meanwhile
  }
}

function descriptorLimit(): number {
  const limits = readFileSync("/proc/self/limits", "latin1");
  return Number(/Max open files\s+(\d+)/.exec(limits)?.[1]);
}
