/**
 * Copies of a group's stores, kept up for views where the owners' stores lie on other hosts.
 *
 *   progress of the group ──moved──> its changed rows ──> own store ──notify──> view
 *
 * A copy goes on from where it stood when the program ended. Only the partitions that somebody
 * asked for are followed.
 */

import { getLogger } from "@logtape/logtape";
import type { EventLog, Progress } from "../log/event-log.ts";
import { encodeProgress } from "../log/progress-text.ts";
import { followChangelog, resetIfStale } from "./catch-up.ts";
import { type Group, tableName } from "./group.ts";
import type { Store, Stores } from "./store.ts";

/** Before a partition that could not be followed is tried again. */
const RETRY_MS = 500;
/** A copy has no owner but its place, which one process has. */
const EPOCH = 0;

const logger = getLogger(["stream", "follower"]);

export interface FollowerOptions {
  readonly log: EventLog;
  readonly group: Group;
  /** Of the copies; no task writes there. */
  readonly stores: Stores;
  readonly partitions: number;
  /** Resolves after so many milliseconds, or when the signal fires. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
}

export class Follower {
  private readonly running = new Map<number, Promise<void>>();
  /** Partitions that were in step once. */
  private readonly caughtUp = new Set<number>();
  /** Where the copies stand that are open. */
  private readonly standing = new Map<number, Progress | null>();
  /** Why partitions cannot be followed. */
  private readonly said = new Map<number, string>();
  private readonly stopping = new AbortController();

  constructor(private readonly options: FollowerOptions) {}

  get group(): Group {
    return this.options.group;
  }

  /** Idempotent. */
  follow(partition: number): void {
    if (this.running.has(partition) || this.stopping.signal.aborted) return;
    this.running.set(partition, this.run(partition));
  }

  followAll(): void {
    for (let each = 0; each < this.options.partitions; each += 1) this.follow(each);
  }

  /** A followed partition that was not in step yet; null when all were. */
  get behind(): number | null {
    return [...this.running.keys()].find((each) => !this.caughtUp.has(each)) ?? null;
  }

  /** Where a copy stands, without a look into its file; undefined while it is not open. */
  progress(partition: number): Progress | null | undefined {
    return this.standing.get(partition);
  }

  /** Ends every copying, at the next batch of rows. Idempotent. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await Promise.all(this.running.values());
  }

  private async run(partition: number): Promise<void> {
    const { log, group, delay } = this.options;
    const { signal } = this.stopping;
    const changes = new Changes(log, signal);
    while (!signal.aborted) {
      let store: Store | null = null;
      try {
        store = this.options.stores.open(tableName(group), partition);
        await this.copy(partition, store, changes);
      } catch (error) {
        this.tell(partition, error as Error);
        await delay(RETRY_MS, signal);
      } finally {
        this.standing.delete(partition);
        store?.close();
      }
    }
    changes.stop();
  }

  /** Once: it is tried again twice a second, however long it lasts. */
  private tell(partition: number, { message }: Error): void {
    if (this.said.get(partition) === message) return;
    this.said.set(partition, message);
    logger.warn("{group} partition {partition} is not followed: {message}; trying again", {
      group: this.options.group.name,
      partition,
      message,
    });
  }

  private async copy(partition: number, store: Store, changes: Changes): Promise<void> {
    const { log, group } = this.options;
    const { signal } = this.stopping;
    let stands = store.progress();
    this.standing.set(partition, stands);
    let isOpened = true;
    let heard: Progress | null = null;
    for (; !signal.aborted; await changes.next()) {
      const to = await log.progress(group.name, partition);
      if (to === heard && !isOpened) continue; // another partition has moved
      heard = to;
      const hasMoved = to !== null && (stands === null || !isSame(stands, to));
      if (hasMoved) {
        if (isOpened) {
          resetIfStale(store, EPOCH);
          this.standing.set(partition, store.progress());
        }
        const place = { log, group: group.name, partition, store, epoch: EPOCH };
        const onApplied = (progress: Progress) => {
          stands = progress;
          this.standing.set(partition, progress);
        };
        await followChangelog({ ...place, to, signal, onApplied });
      }
      isOpened = false;
      const isNew = !this.caughtUp.has(partition);
      if (!signal.aborted) this.caughtUp.add(partition);
      this.said.delete(partition);
      if (hasMoved || isNew) log.notify();
    }
  }
}

/** Remembers a change that comes while nobody waits. */
class Changes {
  private hasChanged = false;
  private wake: () => void = () => {};
  private readonly stopListening: () => void;

  constructor(
    log: EventLog,
    private readonly signal: AbortSignal,
  ) {
    const changed = () => {
      this.hasChanged = true;
      this.wake();
    };
    this.stopListening = log.onChange(changed);
    signal.addEventListener("abort", changed, { once: true });
  }

  async next(): Promise<void> {
    if (!this.hasChanged && !this.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    this.hasChanged = false;
  }

  stop(): void {
    this.stopListening();
  }
}

function isSame(a: Progress, b: Progress): boolean {
  return encodeProgress(a) === encodeProgress(b);
}
