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
import { isSamePlace } from "../log/progress-text.ts";
import { followChangelog } from "./catch-up.ts";
import { resetIfOfAnother } from "./changelog-id.ts";
import { Changes } from "./changes.ts";
import { type Group, tableName } from "./group.ts";
import { keepStamped, resetIfStale } from "./in-step.ts";
import type { Store } from "./store.ts";
import type { Stores } from "./stores.ts";
import { isUselessStore } from "./store-fault.ts";
import { STOPPED, unlessStopped } from "./unless-stopped.ts";

/** Before a partition that could not be followed is tried again. */
const RETRY_MS = 500;
/** Rows that are to come take no longer, and their broker no longer to answer. */
const STALL_MS = 5_000;
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
  readonly monotonicMs: () => number;
}

/** A followed partition whose copy gets no rows, although there may be new ones. */
export interface NotFollowed {
  readonly partition: number;
  readonly reason: string;
  /** Since its last rows, or since it was in step. */
  readonly forMs: number;
}

export class Follower {
  private readonly running = new Map<number, Promise<void>>();
  /** Partitions that were in step once. */
  private readonly caughtUp = new Set<number>();
  /** Partitions whose copies are surely of this changelog. */
  private readonly ofThisChangelog = new Set<number>();
  /** Where the copies stand that are open; null while one is looked at for the first time. */
  private readonly standing = new Map<number, Progress | null>();
  /** Since when copies get no rows, and why where that is known. */
  private readonly outOfStep = new Map<number, OutOfStep>();
  /** What was logged of partitions that cannot be followed. */
  private readonly said = new Map<number, string>();
  /** Partitions whose copy was taken away, because it was damaged or of another log. */
  private readonly discarded = new Set<number>();
  private readonly stopping = new AbortController();

  constructor(private readonly options: FollowerOptions) {}

  get group(): Group {
    return this.options.group;
  }

  /** Idempotent. */
  follow(partition: number): void {
    if (this.running.has(partition) || this.stopping.signal.aborted) return;
    this.standing.set(partition, null); // until its copy is known to be of this changelog
    this.running.set(partition, this.run(partition));
  }

  followAll(): void {
    for (let each = 0; each < this.options.partitions; each += 1) this.follow(each);
  }

  /** A followed partition that was not in step yet; null when all were. */
  get behind(): number | null {
    if (this.caughtUp.size === this.running.size) return null;
    return [...this.running.keys()].find((each) => !this.caughtUp.has(each)) ?? null;
  }

  /** In order. They are tried again by themselves. */
  get notFollowed(): readonly NotFollowed[] {
    const nowMs = this.options.monotonicMs();
    return [...this.outOfStep]
      .map(([partition, { sinceMs, reason }]) => ({ partition, reason, forMs: nowMs - sinceMs }))
      .filter(({ reason, forMs }) => reason !== null || forMs >= STALL_MS)
      .map(({ reason, ...rest }) => ({ ...rest, reason: reason ?? "no rows come" }))
      .sort((a, b) => a.partition - b.partition);
  }

  /** Where a copy stands, without a look into its file; undefined while it is not open. */
  progress(partition: number): Progress | null | undefined {
    return this.standing.get(partition);
  }

  /** Ends every copying at the next batch of rows, whether the log answers or not. Idempotent. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await Promise.all(this.running.values());
  }

  private async run(partition: number): Promise<void> {
    const { log, delay } = this.options;
    const { signal } = this.stopping;
    const changes = new Changes(log, signal);
    while (!signal.aborted) {
      try {
        await this.openAndCopy(partition, changes);
      } catch (error) {
        if (signal.aborted) break;
        this.fail(partition, error as Error);
        this.discardIfUseless(partition, error);
        await delay(RETRY_MS, signal);
      }
    }
    changes.stop();
  }

  /** Once in a process, for a disk may damage it again. */
  private discardIfUseless(partition: number, error: unknown): void {
    if (!isUselessStore(error) || this.discarded.has(partition)) return;
    this.discarded.add(partition);
    const { group, stores } = this.options;
    stores.discard(tableName(group), partition);
  }

  private async openAndCopy(partition: number, changes: Changes): Promise<void> {
    this.begin(partition);
    const store = this.options.stores.open(tableName(this.options.group), partition);
    const closing = new AbortController();
    try {
      await this.copy(partition, { store, changes, closing: closing.signal });
    } finally {
      closing.abort();
      if (this.ofThisChangelog.has(partition)) this.standing.delete(partition);
      store.close();
    }
  }

  private async copy(partition: number, { store, changes, closing }: Copying): Promise<void> {
    const { log, group, delay } = this.options;
    const { signal } = this.stopping;
    const place = { log, group: group.name, partition, store, epoch: EPOCH };
    let stands = store.progress();
    if (this.ofThisChangelog.has(partition)) this.stand(partition, stands);
    let isOpened = true;
    let heard: Progress | null = null;
    for (; !signal.aborted; await changes.next()) {
      this.begin(partition);
      const toMs = store.nowMs();
      const to = await unlessStopped(log.progress(group.name, partition), signal);
      if (to === STOPPED) return;
      const isNews = to !== heard || isOpened; // else another partition has moved
      const hasMoved = isNews && to !== null && !isSamePlace(stands, to);
      heard = to;
      if (hasMoved && resetIfStale(store, EPOCH)) stands = this.emptied(partition);
      if (isOpened) {
        const isEmptied = await unlessStopped(resetIfOfAnother({ ...place, to }), signal);
        if (isEmptied === STOPPED) return;
        if (isEmptied) stands = this.emptied(partition);
        this.ofThisChangelog.add(partition);
        this.stand(partition, stands);
      }
      if (hasMoved) {
        const onApplied = (progress: Progress) => {
          stands = this.stand(partition, progress);
          this.moved(partition);
        };
        await followChangelog({ ...place, to, toMs, signal, onApplied });
      }
      if (signal.aborted) return;
      const isNew = !this.caughtUp.has(partition);
      this.reached(partition);
      if (hasMoved || isNew) log.notify();
      if (isOpened) {
        const stampedMs = hasMoved ? toMs : null;
        void keepStamped({ ...place, stampedMs, delay, signal: closing });
      }
      isOpened = false;
    }
  }

  /** Its rows are gone until they are read again. */
  private emptied(partition: number): null {
    this.caughtUp.delete(partition);
    this.stand(partition, null);
    return null;
  }

  private stand(partition: number, progress: Progress | null): Progress | null {
    this.standing.set(partition, progress);
    return progress;
  }

  /** It may be out of step from now on, unless it was before. */
  private begin(partition: number): void {
    if (this.outOfStep.has(partition)) return;
    this.outOfStep.set(partition, { sinceMs: this.options.monotonicMs(), reason: null });
  }

  private moved(partition: number): void {
    this.outOfStep.delete(partition);
    this.begin(partition);
  }

  private reached(partition: number): void {
    const wasSaid = this.said.delete(partition);
    this.outOfStep.delete(partition);
    this.caughtUp.add(partition);
    if (!wasSaid) return;
    const place = { group: this.options.group.name, partition };
    logger.info("{group} partition {partition} is followed again", place);
  }

  /** Said once: it is tried again twice a second, however long it lasts. */
  private fail(partition: number, { message }: Error): void {
    const { sinceMs = this.options.monotonicMs() } = this.outOfStep.get(partition) ?? {};
    this.outOfStep.set(partition, { sinceMs, reason: message });
    if (this.said.get(partition) === message) return;
    this.said.set(partition, message);
    logger.warn("{group} partition {partition} is not followed: {message}; trying again", {
      group: this.options.group.name,
      partition,
      message,
    });
  }
}

interface OutOfStep {
  readonly sinceMs: number;
  readonly reason: string | null;
}

interface Copying {
  readonly store: Store;
  readonly changes: Changes;
  /** Fires before the store is closed. */
  readonly closing: AbortSignal;
}
