/**
 * A claim on one partition of a group on Kafka.
 *
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
  type Progress,
} from "../event-log.ts";
import { inputProgress } from "../input-progress.ts";
import { progressAfter } from "../progress-after.ts";
import type { ClaimHost, ClaimPlace } from "./claim-host.ts";
import { openInputs } from "./claim-inputs.ts";
import type { Cursor } from "./cursor.ts";
import type { GroupWriter, Seat } from "./group-writer.ts";
import { RELEASE_WITHIN_MS } from "./limits.ts";
import { encodeStored, type StoredProgress } from "./progress-topic.ts";
import { atMost, unavailable } from "./retry.ts";

const logger = getLogger(["log", "kafka"]);
/** What the end of a transaction takes in a partition that it has written to. */
const MARKER_OFFSETS = 1n;

export interface ClaimEvents {
  /** The holder has asked for `release`. */
  released(claim: KafkaClaim): void;
  /** Another has fenced its writer: this member's picture of the group may be old. */
  fenced(claim: KafkaClaim): void;
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
      groupOffsets: host.names.offsets(commit.inputs, partition),
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
      for (const { topic } of share.records) host.connections.forget(topic); // one may be gone
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
        groupOffsets: [],
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

  private async openInputs(): Promise<Cursor[]> {
    const cursors = await openInputs(this.host, this.place, this.progress);
    for (const cursor of cursors) cursor.onChange = () => this.wake();
    return cursors;
  }

  private over(): LogError {
    const message = `partition ${this.partition} of ${this.group} was released`;
    return new LogError("fenced", message);
  }
}

function codeOf(error: unknown): string {
  return error instanceof LogError ? error.code : "";
}
