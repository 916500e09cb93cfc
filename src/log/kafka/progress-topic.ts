/**
 * `<group>-progress`: what a group has done, one record a commit, in the commit's transaction.
 *
 *   claim ──encode──> newest record of a partition ──follow──> progress of any process
 *
 * Compacted, one key a partition. The newest is found from the end, never by scanning history.
 * The broker's own group offsets are not read: it drops them when a group is away for a week.
 */

import { getLogger } from "@logtape/logtape";
import { LogError, type LogRecord, type Progress, type TopicSpec } from "../event-log.ts";
import { decodeProgress, encodeProgress } from "../progress-text.ts";
import type { Connections } from "./connections.ts";
import type { Cursor } from "./cursor.ts";
import type { Fetcher } from "./fetcher.ts";
import { REQUEST_MS } from "./limits.ts";
import { newestRecord, placeNow, stableBounds } from "./offsets.ts";
import { pause, retrying } from "./retry.ts";

const KEY = new TextEncoder().encode("progress");
const logger = getLogger(["log", "kafka"]);
const decoder = new TextDecoder();
/** How often a group that never ran is looked for, or a partition that cannot be followed. */
const LOOK_AGAIN_MS = 1_000;

export interface StoredProgress {
  /** Grows with every claim. */
  readonly epoch: number;
  /** Null: claimed, but nothing done yet. */
  readonly progress: Progress | null;
  /** The transactional id of the only producer that may add to it; null: nobody's. */
  readonly writer: string | null;
}

export function progressSpec(partitions: number): Omit<TopicSpec, "name"> {
  return { partitions, cleanup: "compact", retentionMs: null };
}

export function encodeStored({ epoch, progress, writer }: StoredProgress) {
  const text = progress === null ? null : encodeProgress(progress);
  return { key: KEY, value: Buffer.from(JSON.stringify({ epoch, writer, progress: text })) };
}

/** Throws `corrupt` for what no claim has written. */
export function decodeStored(record: LogRecord): StoredProgress {
  try {
    const { epoch, progress, writer = null } = JSON.parse(
      decoder.decode(record.value ?? new Uint8Array()),
    );
    return { epoch, writer, progress: progress === null ? null : decodeProgress(progress) };
  } catch (cause) {
    const { topic, partition, offset } = record;
    const message = `offset ${offset} of ${topic} partition ${partition} is no progress record`;
    throw new LogError("corrupt", message, { cause });
  }
}

/** As of now, or as it was before an offset; null where the group never ran. */
export async function newestProgress(
  connections: Connections,
  fetcher: Fetcher,
  place: { readonly topic: string; readonly partition: number; readonly before?: bigint },
): Promise<StoredProgress | null> {
  const { start, end } = await stableBounds(connections, place);
  const newest = await newestRecord(fetcher, place, { start, end: place.before ?? end });
  return newest === null ? null : decodeStored(newest);
}

/** Keeps up with one group's progress; tells of every change. */
export class ProgressFollower {
  private readonly newest: (Progress | null)[] = [];
  private readonly cursors: Cursor[] = [];
  /** Why a partition is not followed at present. */
  private readonly failures: unknown[] = [];
  private started: Promise<void> | null = null;
  private readonly stopping = new AbortController();

  constructor(
    private readonly options: {
      readonly connections: Connections;
      readonly fetcher: Fetcher;
      readonly topic: string;
      readonly onChange: () => void;
    },
  ) {}

  /** As last heard of; at the first call as of now. Null where the group never ran. */
  async progress(partition: number): Promise<Progress | null> {
    if (this.started === null) {
      this.started = this.start();
      this.started.catch(() => {
        this.started = null;
      });
    }
    await this.started;
    const failure = this.failures[partition];
    if (failure !== undefined) throw failure;
    return this.newest[partition] ?? null;
  }

  stop(): void {
    this.stopping.abort();
    for (const cursor of this.cursors) cursor.close();
  }

  private async start(): Promise<void> {
    if (!(await this.startNow())) void this.startLater();
  }

  /** Who has asked before the group ever ran waits to be told. */
  private async startLater(): Promise<void> {
    const { topic, onChange } = this.options;
    const { signal } = this.stopping;
    while (!signal.aborted) {
      await pause(LOOK_AGAIN_MS, signal);
      try {
        if (signal.aborted || !(await this.startNow())) continue;
        return onChange();
      } catch (error) {
        logger.debug("{topic} is not there yet: {error}", { topic, error });
      }
    }
  }

  /** False while there is no such topic. */
  private async startNow(): Promise<boolean> {
    const { connections, topic } = this.options;
    const what = `look up topic ${topic}`;
    const ask = () => connections.metadata([topic]);
    const { topics } = await retrying(ask, { withinMs: REQUEST_MS, what });
    const count = topics[0]?.leaders.length ?? 0;
    if (count === 0) return false;
    const partitions = Array.from({ length: count }, (_, partition) => partition);
    await Promise.all(partitions.map((partition) => this.open(partition)));
    return true;
  }

  private async open(partition: number): Promise<void> {
    const { connections, fetcher, topic } = this.options;
    // What is found newest and what follows are of one topic.
    const place = await placeNow(connections, { topic, partition });
    const bounds = await stableBounds(connections, place);
    const newest = await newestRecord(fetcher, place, bounds);
    this.newest[partition] = newest === null ? null : decodeStored(newest).progress;
    if (this.stopping.signal.aborted) return;
    this.cursors[partition]?.close(); // of a start that another partition has failed
    const cursor = fetcher.open(place, bounds.end);
    this.cursors[partition] = cursor;
    this.failures[partition] = undefined;
    void this.follow(partition, cursor);
  }

  private async follow(partition: number, cursor: Cursor): Promise<void> {
    try {
      for (;;) {
        const last = cursor.take(Number.MAX_SAFE_INTEGER).at(-1);
        if (this.cursors[partition] !== cursor) return cursor.close(); // another follows by now
        if (last !== undefined) {
          this.newest[partition] = decodeStored(last).progress;
          this.options.onChange();
        }
        await cursor.changed();
      }
    } catch (error) {
      cursor.close();
      await this.followAgain(partition, error);
    }
  }

  /** Whoever waits for a change would wait for ever. */
  private async followAgain(partition: number, error: unknown): Promise<void> {
    const { topic, onChange } = this.options;
    const { signal } = this.stopping;
    if (signal.aborted) return;
    logger.error("{topic} partition {partition} is not followed: {error}; looking again", {
      topic,
      partition,
      error,
    });
    this.failures[partition] = error;
    onChange();
    while (!signal.aborted) {
      await pause(LOOK_AGAIN_MS, signal);
      try {
        await this.open(partition);
        return onChange();
      } catch (cause) {
        this.failures[partition] = cause;
      }
    }
  }
}
