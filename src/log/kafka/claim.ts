/**
 * A claim on one partition of a group on Kafka.
 *
 *   open: begin under `<group>-<partition>` (another that opens it is fenced) ──> the newest
 *   progress names its writer, which is fenced ──> newest progress ──> this member's writer and
 *   the next epoch are written ──> nothing newer stands before that
 *   commit: outputs, changed rows and progress, in a transaction of the member's writer
 *   release: a progress without a writer, so that the next owner has nobody to fence
 *
 * The progress names the offsets of what it caused, so it follows in a request of its own. But
 * this claim alone writes to its part of the changelog: there it knows the next offset, and a
 * commit of rows alone is one request.
 */

import { getLogger } from "@logtape/logtape";
import {
  type Claim,
  type Commit,
  type InputProgress,
  LogError,
  type LogRecord,
  type NewRecord,
  type Progress,
} from "../event-log.ts";
import { inputProgress } from "../input-progress.ts";
import { progressAfter } from "../progress-after.ts";
import type { Connections } from "./connections.ts";
import type { Cursor } from "./cursor.ts";
import type { Fetcher } from "./fetcher.ts";
import { fetchFailed } from "./fetch-refusal.ts";
import type { GroupWriter, GroupWriters, Seat } from "./group-writer.ts";
import { RELEASE_WITHIN_MS } from "./limits.ts";
import type { TopicNames } from "./names.ts";
import {
  boundsAround,
  newestRecord,
  placeNow,
  readRange,
  recordBounds,
  stableBounds,
} from "./offsets.ts";
import {
  decodeStored,
  encodeStored,
  newestProgress,
  type StoredProgress,
} from "./progress-topic.ts";
import { atMost, unavailable } from "./retry.ts";
import { openTransactions } from "./transaction.ts";

const logger = getLogger(["log", "kafka"]);
/** What the end of a transaction takes in a partition that it has written to. */
const MARKER_OFFSETS = 1n;

export interface ClaimHost {
  readonly names: TopicNames;
  readonly connections: Connections;
  /** For opening claims, which may take a while. */
  readonly transactionConnections: Connections;
  readonly writers: GroupWriters;
  readonly fetcher: Fetcher;
  readonly nowMs: () => number;
  /** Sizes, topics and partitions. Throws `record_too_large`, `unknown_topic`. */
  check(records: readonly NewRecord[]): Promise<void>;
}

export interface ClaimPlace {
  readonly group: string;
  readonly partition: number;
  readonly topics: readonly string[];
  readonly changelog: string;
}

export interface ClaimEvents {
  /** The holder has asked for `release`. */
  released(claim: KafkaClaim): void;
  /** Another has fenced its writer: this member's picture of the group may be old. */
  fenced(claim: KafkaClaim): void;
}

/** That this member is to have the partition, as far as it knows. */
export interface ClaimRight {
  /** The partition is another's now. */
  readonly signal: AbortSignal;
  /**
   * Resolves once the group has said what this member is to run, or the signal fires: asked before
   * another's writer is fenced, since this member may have stood still for long.
   */
  confirm(): Promise<void>;
}

/**
 * Throws `unavailable`, `fenced` (two began at once), `corrupt`, and `topic_changed` or
 * `position_out_of_range` where the changelog and the progress are not of each other.
 */
export async function openClaim(
  host: ClaimHost,
  place: ClaimPlace,
  options: ClaimEvents & ClaimRight,
): Promise<KafkaClaim> {
  const { group, partition } = place;
  const { names, transactionConnections: connections, writers, nowMs } = host;
  const transactionalId = names.transactionalId(group, partition);
  const opener = await openTransactions({ ...options, connections, transactionalId, nowMs });
  const writer = await writers.current();
  let claim: KafkaClaim | null = null;
  const seat = { partition, lost: (error: LogError) => claim?.lost(error) };
  try {
    await writer.take(seat);
    const topic = names.progress(group);
    await opener.begin([{ topic, partition }]); // refused where another opens it by now
    const last = await fenceLast(host, place, { writer, right: options });
    const epoch = (last?.epoch ?? 0) + 1;
    const stored = { epoch, progress: last?.progress ?? null, writer: writer.id };
    await checkChangelog(host, place, stored.progress);
    if (writer.isOver) throw unclaimed(place);
    const record = { topic, partition, ...encodeStored(stored) };
    const [offset] = (await opener.write([record])) as [bigint];
    await checkNewest(host, place, { last, before: offset });
    await opener.commit();
    if (writer.isOver) throw unclaimed(place);
    claim = new KafkaClaim(host, place, { ...options, writer, seat, stored });
    return claim;
  } catch (error) {
    writer.leave(seat);
    throw error;
  }
}

/**
 * The newest progress, to which nobody adds any more. Only one that opens the same claim could
 * have named another writer in between: it has fenced this opener.
 *
 * Where this member's own writer was the last, a holder has kept the partition for too long, and
 * what it has committed may not be readable yet: that writer ends, and the next try fences it.
 */
async function fenceLast(
  { names, connections, fetcher, writers }: ClaimHost,
  claimed: ClaimPlace,
  { writer, right }: { readonly writer: GroupWriter; readonly right: ClaimRight },
): Promise<StoredProgress | null> {
  const { group, partition } = claimed;
  const place = { topic: names.progress(group), partition };
  const last = await newestProgress(connections, fetcher, place);
  if (last === null || last.writer === null) return last;
  if (last.writer === writer.id) writer.retire();
  if (writer.isOver) throw unclaimed(claimed);
  await right.confirm();
  if (right.signal.aborted) throw unclaimed(claimed);
  await writers.fence(last.writer);
  return newestProgress(connections, fetcher, place);
}

/**
 * A leader that hung and was replaced tells for a moment what was newest before that. But only the
 * true one takes a record, and what stands before that record can be read there and nowhere else.
 */
async function checkNewest(
  { names, connections, fetcher }: ClaimHost,
  claimed: ClaimPlace,
  { last, before }: { readonly last: StoredProgress | null; readonly before: bigint },
): Promise<void> {
  const place = { topic: names.progress(claimed.group), partition: claimed.partition };
  const { start } = await stableBounds(connections, place);
  const newest = await newestRecord(fetcher, place, { start, end: before });
  if (isSame(newest === null ? null : decodeStored(newest), last)) return;
  throw unclaimed(claimed, "another leads the partition of its progress: its newest is read anew");
}

function isSame(one: StoredProgress | null, other: StoredProgress | null): boolean {
  if (one === null || other === null) return one === other;
  return Buffer.compare(encodeStored(one).value, encodeStored(other).value) === 0;
}

function unclaimed(
  { group, partition }: ClaimPlace,
  why = "this member's producer has come to its end, or the claim is not wanted",
): LogError {
  return unavailable(`claim partition ${partition} of ${group}`, new Error(why));
}

/**
 * Rows go on where they ended, or the next store that is built from them lacks what is gone.
 * Whatever the last owner had begun has ended by now, so that all it committed can be seen.
 */
async function checkChangelog(
  { names, connections, fetcher }: ClaimHost,
  { group, partition, changelog }: ClaimPlace,
  progress: Progress | null,
): Promise<void> {
  const place = { topic: names.topic(changelog), partition };
  if (progress === null) {
    const { topics } = await connections.metadata([place.topic]);
    if (topics[0] === undefined || topics[0].leaders.length === 0) return;
    const { start, end } = await recordBounds(connections, fetcher, place);
    if (end === start) return;
    throw new LogError(
      "topic_changed",
      `${group} has no progress in partition ${partition}, but rows up to offset ${end - 1n} of ` +
        `${changelog}: restore ${group}-progress, or start the group anew`,
    );
  }
  const { changelogOffset } = progress;
  if (changelogOffset === null) return;
  const { start, end } = await boundsAround(connections, place, changelogOffset + 1n);
  if (changelogOffset >= start && changelogOffset < end) return;
  throw new LogError(
    "position_out_of_range",
    `${group} has written to offset ${changelogOffset} of ${changelog} partition ${partition}, ` +
      `which holds ${start} to ${end}: restore the topic, or start the group anew`,
  );
}

export class KafkaClaim implements Claim {
  readonly group: string;
  readonly partition: number;
  readonly epoch: number;
  readonly progress: Progress | null;
  private readonly controller = new AbortController();
  private readonly givenBack = Promise.withResolvers<void>();
  private current: Progress | null;
  /** Of the next row, as far as is known. */
  private nextRowOffset: bigint | null = null;
  private inputs: Promise<Cursor[]> | null = null;
  private isReleased = false;
  /** Of what this claim would have committed, not of what others would have with it. */
  private refusal: LogError | null = null;
  private wake: () => void = () => {};

  constructor(
    private readonly host: ClaimHost,
    private readonly place: ClaimPlace,
    private readonly own: ClaimEvents & {
      readonly writer: GroupWriter;
      readonly seat: Seat;
      readonly stored: StoredProgress;
    },
  ) {
    this.group = place.group;
    this.partition = place.partition;
    this.epoch = own.stored.epoch;
    this.progress = own.stored.progress;
    this.current = own.stored.progress;
  }

  get revoked(): AbortSignal {
    return this.controller.signal;
  }

  get released(): Promise<void> {
    return this.givenBack.promise;
  }

  /** The membership wants it back, or it is over. */
  revoke(): void {
    this.controller.abort();
    this.wake();
  }

  async read(maxRecords: number): Promise<readonly LogRecord[]> {
    if (this.revoked.aborted) return [];
    this.inputs ??= this.openInputs();
    const cursors = await this.inputs;
    while (!this.revoked.aborted) {
      for (const [index, cursor] of cursors.entries()) {
        const records = cursor.take(maxRecords);
        if (records.length === 0) continue;
        // The others first, next time: a backlog of one input must not hold them up.
        cursors.push(...cursors.splice(index, 1));
        return this.host.names.toPort(records);
      }
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    return [];
  }

  // oxlint-disable-next-line require-yield
  async *replay(): AsyncGenerator<readonly LogRecord[]> {
    throw new Error("Kafka keeps changelogs: stores are caught up from them, not by replay");
  }

  async commit(commit: Commit): Promise<Progress> {
    const { host, place, partition } = this;
    this.checkInputs(commit.inputs);
    const rows = commit.changelog.map((row) => ({ ...row, topic: place.changelog, partition }));
    const records = [...commit.outputs, ...rows];
    await host.check(records);
    if (this.revoked.aborted && this.isReleased) throw this.over();
    const share = {
      records: host.names.toKafka(records),
      expected: this.expectedOffsets(commit),
      progress: (offsets: readonly bigint[]) => this.stored(this.after(commit, offsets)),
      done: (offsets: readonly bigint[]) => {
        this.current = this.after(commit, offsets);
        const lastRow = commit.changelog.length === 0 ? undefined : offsets.at(-1);
        if (lastRow !== undefined) this.nextRowOffset = lastRow + 1n + MARKER_OFFSETS;
      },
      isCommit: true,
    };
    try {
      await this.own.writer.commit(this.own.seat, share);
    } catch (error) {
      const isAnothers = this.refusal === null && codeOf(error) === "topic_changed";
      throw this.lost(isAnothers ? unavailable(`commit for ${this.group}`, error) : error);
    }
    return this.current as Progress;
  }

  async release(): Promise<void> {
    if (this.isReleased) return;
    this.isReleased = true;
    this.revoke();
    this.inputs?.then((cursors) => cursors.forEach((cursor) => cursor.close())).catch(() => {});
    await atMost(RELEASE_WITHIN_MS, this.renounce());
    this.givenBack.resolve();
    this.own.released(this);
  }

  /** The producer is at its end with any failure, and so are all claims that write through it. */
  lost(error: unknown): LogError {
    const failure =
      error instanceof LogError ? error : unavailable(`commit for ${this.group}`, error);
    this.revoke();
    if (failure.code === "fenced") this.own.fenced(this);
    return failure;
  }

  /** Where it fails, the next owner fences this member's writer. */
  private async renounce(): Promise<void> {
    const { writer, seat } = this.own;
    try {
      await writer.commit(seat, {
        records: [],
        expected: [],
        progress: () => this.stored(this.current, null),
        done: () => {},
        isCommit: false,
      });
    } catch (error) {
      logger.debug("{group} partition {partition} is given back without a word: {error}", {
        ...this.place,
        error,
      });
    }
    writer.leave(seat);
  }

  private stored(progress: Progress | null, writer: string | null = this.own.writer.id) {
    return encodeStored({ epoch: this.epoch, progress, writer });
  }

  /** Null where others write, too, or nothing was written yet. */
  private expectedOffsets({ outputs, changelog }: Commit): readonly bigint[] | null {
    const { nextRowOffset } = this;
    if (outputs.length > 0) return null;
    if (changelog.length === 0) return [];
    if (nextRowOffset === null) return null;
    return changelog.map((_, index) => nextRowOffset + BigInt(index));
  }

  private after(commit: Commit, offsets: readonly bigint[]): Progress {
    const lastRow = commit.changelog.length === 0 ? null : (offsets.at(-1) as bigint);
    const before = this.current?.changelogOffset ?? null;
    if (lastRow !== null && before !== null && lastRow <= before) {
      this.refusal = this.setBack(before, lastRow);
      throw this.refusal;
    }
    return progressAfter(this.current, commit, { offsets, lastRow });
  }

  private checkInputs(inputs: readonly InputProgress[]): void {
    if (inputs.length === 0) {
      throw new TypeError(
        `a commit of ${this.group} partition ${this.partition} names no input: it must move one`,
      );
    }
    for (const { topic, nextOffset } of inputs) {
      const done = inputProgress(this.current, topic)?.nextOffset ?? 0n;
      if (nextOffset > done) continue;
      throw new LogError(
        "position_out_of_range",
        `a commit of ${this.group} partition ${this.partition} goes back in ${topic} to ` +
          `offset ${nextOffset}`,
      );
    }
  }

  private async openInputs(): Promise<Cursor[]> {
    const opened = await Promise.allSettled(this.place.topics.map((each) => this.openInput(each)));
    const cursors = opened.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    const failed = opened.find((each) => each.status === "rejected");
    if (failed !== undefined) {
      for (const cursor of cursors) cursor.close();
      throw failed.reason;
    }
    for (const cursor of cursors) cursor.onChange = () => this.wake();
    return cursors;
  }

  /** Is the topic still the one that the progress was made on? */
  private async openInput(topic: string): Promise<Cursor> {
    const { host, partition, group } = this;
    const named = { topic: host.names.topic(topic), partition };
    const done = inputProgress(this.progress, topic);
    const gone = (error: unknown) => {
      throw fetchFailed(named, done?.nextOffset ?? 0n, error);
    };
    // The topic that is looked at here is the one that is read.
    const place = await placeNow(host.connections, named).catch(gone);
    const from = done?.nextOffset ?? 0n;
    const bounds = await boundsAround(host.connections, place, from).catch(gone);
    if (done === null) {
      if (bounds.start > 0n) throw this.truncated(topic, bounds.start);
      return host.fetcher.open(place, bounds.start);
    }
    const { nextOffset, checksum } = done;
    if (nextOffset < bounds.start || nextOffset > bounds.end) {
      throw new LogError(
        "position_out_of_range",
        `${group} stands at offset ${nextOffset} of ${topic} partition ${partition}, which ` +
          `holds ${bounds.start} to ${bounds.end}: restore the topic, or start the group anew`,
      );
    }
    if (checksum !== null && nextOffset > bounds.start) {
      const range = { from: nextOffset - 1n, until: nextOffset };
      const [record] = await readRange(host.fetcher, place, range);
      if (record?.checksum !== checksum) throw this.changed(topic, nextOffset);
    }
    return host.fetcher.open(place, nextOffset);
  }

  private truncated(topic: string, start: bigint): LogError {
    return new LogError(
      "position_out_of_range",
      `${this.group} has done nothing of ${topic} partition ${this.partition}, which begins at ` +
        `offset ${start}: restore the topic, records before that are gone`,
    );
  }

  private changed(topic: string, nextOffset: bigint): LogError {
    return new LogError(
      "topic_changed",
      `offset ${nextOffset - 1n} of ${topic} partition ${this.partition} is not the record that ` +
        `${this.group} has done: the topic was made anew; restore it, or start the group anew`,
    );
  }

  /** A store that is built from such a changelog would lack the rows that were in the old one. */
  private setBack(before: bigint, lastRow: bigint): LogError {
    const { group, partition, changelog } = this.place;
    return new LogError(
      "topic_changed",
      `${group} has written to offset ${before} of ${changelog} partition ${partition}, and its ` +
        `next rows would end at offset ${lastRow}: the topic was made anew; restore it, or start ` +
        "the group anew",
    );
  }

  private over(): LogError {
    const message = `partition ${this.partition} of ${this.group} was released`;
    return new LogError("fenced", message);
  }
}

function codeOf(error: unknown): string {
  return error instanceof LogError ? error.code : "";
}
