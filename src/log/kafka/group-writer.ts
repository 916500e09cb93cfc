/**
 * The transactional producer of a member of a group: what its claims commit goes out together,
 * one transaction after another (as in Kafka Streams since KIP-447).
 *
 *   claims ──commit──> waiting ──all that wait, one transaction──> topics, changelogs, progress
 *
 * A transaction costs the broker several times what its records cost. So the next one begins a
 * little later than it could: more gathers, and the markers of the last are written by then.
 *
 * Who may write for a partition stands in its progress: a producer's transactional id. The next
 * owner fences that producer before it reads on. So an id is one producer's, and never used again:
 * a producer whose transaction fails is at its end, with all claims that write through it.
 */

import { randomUUID } from "node:crypto";
import { LogError, type NewRecord } from "../event-log.ts";
import type { Step } from "./appender.ts";
import type { Connections } from "./connections.ts";
import { type GroupOffset, type OffsetPace, OwedOffsets } from "./group-offsets.ts";
import { GATHER_MS } from "./limits.ts";
import { pause, unavailable } from "./retry.ts";
import { openTransactions, type Transactions } from "./transaction.ts";

export interface GroupWritersOptions {
  readonly connections: Connections;
  /** The group's name in the cluster, and the beginning of its producers' ids. */
  readonly groupId: string;
  readonly progressTopic: string;
  readonly nowMs: () => number;
  readonly step: Step;
  /** Ends tries to open a producer or to fence one. */
  readonly signal: AbortSignal;
}

/** The producer that a member has now, and those of others that it has fenced. */
export class GroupWriters {
  private opening: Promise<GroupWriter> | null = null;
  private readonly fenced = new Map<string, Promise<void>>();
  private readonly pace: OffsetPace = { dueMs: 0, isHeldUp: false, said: "" };

  constructor(private readonly options: GroupWritersOptions) {}

  /** A new one once the last has come to its end. Throws `unavailable`. */
  async current(): Promise<GroupWriter> {
    for (;;) {
      this.opening ??= this.open();
      const { opening } = this;
      const writer = await opening;
      if (!writer.isOver) return writer;
      if (this.opening === opening) this.opening = null;
    }
  }

  /**
   * Resolves when all that the producer of this id has committed can be read, and nothing more can
   * come from it. Throws `unavailable`.
   */
  fence(id: string): Promise<void> {
    const known = this.fenced.get(id);
    if (known !== undefined) return known;
    const fencing = this.begin(id).then(() => {});
    this.fenced.set(id, fencing);
    fencing.catch(() => this.fenced.delete(id));
    return fencing;
  }

  private async open(): Promise<GroupWriter> {
    const { options, pace } = this;
    const id = `${options.groupId}-${randomUUID()}`;
    try {
      return new GroupWriter(id, await this.begin(id), { ...options, pace });
    } catch (error) {
      this.opening = null;
      throw error;
    }
  }

  private begin(transactionalId: string): Promise<Transactions> {
    return openTransactions({ ...this.options, transactionalId });
  }
}

/** What one claim commits. Topics are named as in the cluster. */
export interface Share {
  readonly records: readonly NewRecord[];
  /** Where the records will stand, if that is known: the progress then goes with them. */
  readonly expected: readonly bigint[] | null;
  /** Where the group stands then, for other tools. */
  readonly groupOffsets: readonly GroupOffset[];
  /** The progress that they make, written to the partition's progress. */
  readonly progress: (offsets: readonly bigint[]) => Pick<NewRecord, "key" | "value">;
  /** Called at once when all is committed, before anything else is written. */
  readonly done: (offsets: readonly bigint[]) => void;
  /** A release is none: tests break only the steps of commits. */
  readonly isCommit: boolean;
}

/** The right to commit for one partition, until somebody takes it here or elsewhere. */
export interface Seat {
  readonly partition: number;
  /** The producer is at its end. */
  readonly lost: (error: LogError) => void;
}

interface Waiting {
  readonly seat: Seat;
  readonly share: Share;
  readonly ended: PromiseWithResolvers<void>;
}

export class GroupWriter {
  private readonly seats = new Map<number, Seat>();
  private waiting: Waiting[] = [];
  private isRunning = false;
  /** The transaction under way; never rejects. */
  private underWay: Promise<void> = Promise.resolve();
  private failure: LogError | null = null;
  private readonly offsets: OwedOffsets;

  constructor(
    readonly id: string,
    private readonly transactions: Pick<
      Transactions,
      "begin" | "write" | "addOffsets" | "writeOffsets" | "commit"
    >,
    private readonly options: Pick<GroupWritersOptions, "groupId" | "progressTopic" | "step"> & {
      readonly pace: OffsetPace;
    },
  ) {
    this.offsets = new OwedOffsets(options.pace, () => this.start());
  }

  get isOver(): boolean {
    return this.failure !== null;
  }

  /**
   * Who had the partition here before commits nothing more. Resolves when none of it is under way.
   */
  async take(seat: Seat): Promise<void> {
    this.seats.set(seat.partition, seat);
    this.offsets.forget(seat.partition);
    await this.underWay;
  }

  /** Where the group stands where the seat's claim begins: the group's offsets may be gone. */
  owe(seat: Seat, offsets: readonly GroupOffset[]): void {
    if (!this.holds(seat) || this.isOver) return;
    this.offsets.owe(offsets);
    if (!this.isRunning) this.offsets.wait();
  }

  /** Its end: nothing more is begun, and all its claims are lost. */
  retire(): void {
    this.end(new Error("a partition of it was claimed anew"), []);
  }

  leave(seat: Seat): void {
    if (!this.holds(seat)) return;
    this.seats.delete(seat.partition);
    this.offsets.forget(seat.partition);
  }

  /** Shares of one seat are written one after another. Throws what a commit throws. */
  async commit(seat: Seat, share: Share): Promise<void> {
    if (this.failure !== null) throw notBegun(this.failure);
    if (!this.holds(seat)) throw taken(seat);
    const ended = Promise.withResolvers<void>();
    this.waiting.push({ seat, share, ended });
    this.start();
    await ended.promise;
  }

  private holds(seat: Seat): boolean {
    return this.seats.get(seat.partition) === seat;
  }

  private start(): void {
    if (!this.isRunning) void this.run();
  }

  /** Never rejects. */
  private async run(): Promise<void> {
    this.isRunning = true;
    while (this.failure === null && (this.waiting.length > 0 || this.offsets.isDue)) {
      this.underWay = this.transact(this.takeWaiting());
      await this.underWay;
      await pause(GATHER_MS);
    }
    this.isRunning = false;
    this.offsets.wait();
  }

  /** One share of each seat: the next builds on what that has done. */
  private takeWaiting(): readonly Waiting[] {
    const batch = new Map<Seat, Waiting>();
    const later: Waiting[] = [];
    for (const each of this.waiting) {
      if (!this.holds(each.seat)) each.ended.reject(taken(each.seat));
      else if (batch.has(each.seat)) later.push(each);
      else batch.set(each.seat, each);
    }
    this.waiting = later;
    return [...batch.values()];
  }

  private async transact(batch: readonly Waiting[]): Promise<void> {
    try {
      await this.write(batch);
      for (const { ended } of batch) ended.resolve();
    } catch (error) {
      this.end(error, batch);
    }
  }

  private async write(batch: readonly Waiting[]): Promise<void> {
    const { transactions } = this;
    const { progressTopic: topic } = this.options;
    const step = batch.some(({ share }) => share.isCommit) ? this.options.step : () => {};
    const progressOf = ({ seat, share }: Waiting, offsets: readonly bigint[]): NewRecord => ({
      ...{ topic, partition: seat.partition },
      ...share.progress(offsets),
    });
    for (const { share } of batch) this.offsets.owe(share.groupOffsets);
    const places = batch.map(({ seat: { partition } }) => ({ topic, partition }));
    await transactions.begin([...batch.flatMap(({ share }) => share.records), ...places]);
    await step("transaction begun");
    const offsetsSent = this.sendOffsets(batch);
    offsetsSent.catch(() => {}); // a write that fails, too, tells more
    const early = batch.map((each) =>
      each.share.expected === null ? [] : [progressOf(each, each.share.expected)],
    );
    const records = batch.map(({ share }, index) => [
      ...share.records,
      ...(early[index] as readonly NewRecord[]),
    ]);
    const offsets = parted(records, await transactions.write(records.flat())).map((own, index) =>
      own.slice(0, batch[index]?.share.records.length),
    );
    await step("records written");
    const late = batch.flatMap((each, index) => {
      const own = offsets[index] as readonly bigint[];
      return isEqual(own, each.share.expected) ? [] : [progressOf(each, own)];
    });
    if (late.length > 0) await transactions.write(late);
    const hasOffsets = await offsetsSent;
    await step("before commit");
    if (batch.length > 0 || hasOffsets) await transactions.commit();
    await step("committed");
    batch.forEach(({ share }, index) => share.done(offsets[index] as readonly bigint[]));
  }

  /** Beside the records, so that these wait for nothing. Whether the transaction has some. */
  private async sendOffsets(batch: readonly Waiting[]): Promise<boolean> {
    const { transactions, offsets } = this;
    const { groupId } = this.options;
    const owed = offsets.take(batch.some(({ share }) => !share.isCommit));
    if (owed.length === 0) return false;
    const why = await transactions.addOffsets(groupId);
    const refused = why ?? (await transactions.writeOffsets(groupId, owed));
    if (refused === null) offsets.written(owed);
    else offsets.leftOut(groupId, refused);
    return why === null;
  }

  /** What was not begun is not written; of the batch, the error says what is known. */
  private end(cause: unknown, batch: readonly Waiting[]): void {
    const error = cause instanceof LogError ? cause : unavailable(`commit as ${this.id}`, cause);
    this.failure ??= error;
    for (const { ended } of batch) ended.reject(error);
    for (const { ended } of this.waiting.splice(0)) ended.reject(notBegun(error));
    for (const { lost } of this.seats.values()) lost(error);
    this.seats.clear();
    this.offsets.end();
  }
}

function isEqual(offsets: readonly bigint[], expected: readonly bigint[] | null): boolean {
  return expected !== null && offsets.every((offset, index) => offset === expected[index]);
}

/** One list for each of the lists, of its length. */
function parted<T>(lists: readonly (readonly unknown[])[], all: readonly T[]): (readonly T[])[] {
  const parts: (readonly T[])[] = [];
  let from = 0;
  for (const { length } of lists) {
    parts.push(all.slice(from, from + length));
    from += length;
  }
  return parts;
}

function notBegun(failure: LogError): LogError {
  if (failure.code === "fenced") return failure;
  return unavailable("begin a commit after one that failed", failure);
}

function taken({ partition }: Seat): LogError {
  return new LogError("fenced", `partition ${partition} was claimed anew: this claim is over`);
}
