/**
 * Who runs which partition of which group. One member per open log (a process, or a thread of it);
 * its row has a counter that it moves every second.
 *
 *   tick: read members and claims ──> evict the dead, give back what is too much, take what is free
 *
 * A dead owner is found by pid and start time at once. One whose heartbeat has stopped (see
 * heartbeats.ts) counts as hung. Either way its claims are freed; whoever takes one raises its
 * epoch, and the old owner's next commit is fenced.
 */

import type { Database } from "bun:sqlite";
import { LogError } from "../event-log.ts";
import { Heartbeats } from "./heartbeats.ts";
import { damagedLog, isDamage, reading } from "./log-fault.ts";
import { type AllRows, type ClaimRow, type MemberRow, MemberRows } from "./member-rows.ts";
import { isDead } from "./processes.ts";
import { type WishingGroup, wishesOf } from "./wishes.ts";
import type { Writer } from "./writer.ts";

/** How often the dead are looked for, and so how long a kill goes unnoticed. */
export const TICK_MS = 200;

/** A group that this member has joined. */
export interface Joined extends WishingGroup {
  /** The partition is ours with this epoch: adds the claim to `grants`. */
  granted(partition: number, epoch: number): void;
  /** What the membership rests on cannot be read: it is over. */
  failed(error: LogError): void;
}

export class Membership {
  private memberId: string | null = null;
  private readonly joined = new Map<string, Joined>();
  private readonly heartbeats: Heartbeats;
  private timer: ReturnType<typeof setInterval> | null = null;
  private isWriting = false;
  private readonly rows: MemberRows;

  constructor(
    private readonly options: {
      readonly database: Database;
      readonly writer: Writer;
      readonly monotonicMs: () => number;
    },
  ) {
    this.rows = new MemberRows(options.database);
    this.heartbeats = new Heartbeats(options.monotonicMs);
  }

  async join(joined: Joined): Promise<void> {
    this.joined.set(joined.group, joined);
    try {
      await this.enqueue(() => this.register());
    } catch (error) {
      // A log that cannot be written now is waited out: every tick registers what is missing.
      if (!(error instanceof LogError) || error.code === "closed") throw error;
    }
    if (!this.joined.has(joined.group)) return; // closed meanwhile
    this.timer ??= setInterval(() => this.tick(), TICK_MS);
    this.tick();
  }

  async leave(group: string): Promise<void> {
    this.joined.get(group)?.grants.loseAll();
    if (!this.joined.delete(group)) return;
    const isLast = this.joined.size === 0;
    if (isLast && this.timer !== null) {
      clearInterval(this.timer);
      this.timer = null;
    }
    const id = this.memberId;
    if (id === null) return;
    await this.enqueueOrLater(() => {
      this.rows.leave(id, group);
      // Another group may have been joined, with this id, since the write was asked for.
      if (this.joined.size === 0) this.removeSelf();
    });
  }

  /** What was this member's until its holder gave it back becomes free. */
  async release(group: string, partition: number, epoch: number): Promise<void> {
    await this.enqueueOrLater(() => this.free(group, partition, epoch));
    this.tick();
  }

  /**
   * Who owns what, also of groups that this member has not joined. A member whose heartbeat has
   * stopped owns nothing: who asks only once cannot see that, for nothing was seen before.
   */
  owners(group: string): { partition: number; owner: string | null }[] {
    const { members, claims } = this.readRows();
    this.heartbeats.look(members, { couldMove: this.options.writer.problem === null });
    const live = new Map(
      members.filter((row) => !this.seemsGone(row)).map(({ id, pid }) => [id, `pid ${pid}`]),
    );
    return claims
      .filter((claim) => claim.group_name === group)
      .sort((a, b) => a.partition - b.partition)
      .map(({ partition, member }) => {
        return { partition, owner: (member === null ? null : live.get(member)) ?? null };
      });
  }

  /** As they are written down, the dead and this one included. */
  members(): readonly MemberRow[] {
    return this.readRows().members;
  }

  /** Inside the transaction of a commit: does the claim still hold? */
  isCurrent(group: string, partition: number, epoch: number): boolean {
    const claim = this.rows.claim(group, partition);
    return this.memberId !== null && claim?.member === this.memberId && claim.epoch === epoch;
  }

  /** Leaves every group at once, so that others need not wait until this member seems hung. */
  async close(): Promise<void> {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
    for (const { grants } of this.joined.values()) grants.loseAll();
    this.joined.clear();
    if (this.memberId !== null) {
      await this.enqueueOrLater(() => this.removeSelf());
    }
    this.rows.close();
  }

  private enqueue(run: () => void): Promise<void> {
    return this.options.writer.enqueue({ bytes: 0, isUrgent: true, run });
  }

  /**
   * For what gives something back. When it cannot be written, a later tick sees that the claim is
   * ours by the table alone, and after the last group others see the process or counter stand.
   */
  private async enqueueOrLater(run: () => void): Promise<void> {
    try {
      await this.enqueue(run);
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
    }
  }

  /** In a transaction: (re)writes this member's rows, also those of a write that was undone. */
  private register(): void {
    this.memberId ??= `${process.pid}-${crypto.randomUUID().slice(0, 8)}`;
    this.rows.register(this.memberId, this.joined.values());
  }

  private tick(): void {
    this.orFail(() => this.takeAndGive());
  }

  private takeAndGive(): void {
    if (this.isWriting || this.joined.size === 0) return;
    const startedMs = this.options.monotonicMs();
    const rows = this.rows.read();
    const gone = rows.members.filter((member) => this.isGone(member));
    const wishes = wishesOf(rows, { gone, own: this.ownName, joined: this.joined.values() });
    for (const { joined, partition } of wishes.give) joined.grants.revoke(partition);
    const isKnown = this.isRegistered(rows);
    const orphans = this.orphans(rows);
    const isIdle = gone.length + wishes.take.length + orphans.length === 0;
    if (isIdle && isKnown && !this.heartbeats.isDue) return;
    this.isWriting = true;
    const granted: (() => void)[] = [];
    const write = () => {
      if (!isKnown) this.register();
      for (const { group_name: of, partition, epoch } of orphans) this.free(of, partition, epoch);
      for (const member of gone) this.rows.evict(member);
      for (const { joined, partition } of wishes.take) this.take(joined, partition, granted);
      if (this.memberId !== null) this.rows.moveCounter(this.memberId);
    };
    this.enqueue(write).then(
      () => this.orFail(() => this.written(startedMs, granted)),
      () => {
        // The log is busy or gone; the next tick tries again, and `problem` tells the operator.
        this.isWriting = false;
      },
    );
  }

  private written(startedMs: number, granted: readonly (() => void)[]): void {
    this.isWriting = false;
    this.observe(startedMs);
    for (const grant of granted) grant();
    if (granted.length > 0) this.tick();
  }

  /** Nobody hears of what a timer or the end of a write throws: so those who have joined do. */
  private orFail(run: () => void): void {
    try {
      run();
    } catch (error) {
      const failure = error instanceof LogError ? error : this.unreadable(error);
      for (const joined of [...this.joined.values()]) joined.failed(failure);
    }
  }

  private readRows(): AllRows {
    return reading(this.options.database, () => this.rows.read());
  }

  private unreadable(cause: unknown): LogError {
    const { filename } = this.options.database;
    if (isDamage(cause)) return damagedLog(filename, cause.message, cause);
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new LogError(
      "unavailable",
      `who runs what cannot be read in ${filename} (${reason}): check the disk, then restart`,
      { cause },
    );
  }

  private isRegistered({ members, memberships }: AllRows): boolean {
    const id = this.memberId;
    if (id === null || !members.some((member) => member.id === id)) return false;
    const own = memberships.filter(({ member }) => member === id);
    const groups = new Set(own.map(({ group_name }) => group_name));
    return [...this.joined.keys()].every((group) => groups.has(group));
  }

  /** Claims that are ours by the table alone: their release could not be written. */
  private orphans({ claims }: AllRows): readonly ClaimRow[] {
    return claims
      .filter(({ member }) => member !== null && member === this.memberId)
      .filter((claim) => this.joined.get(claim.group_name)?.grants.owns(claim) !== true);
  }

  private isGone(member: MemberRow): boolean {
    return this.seemsGone(member) && (this.heartbeats.getThrough || isDead(member));
  }

  private seemsGone(member: MemberRow): boolean {
    if (member.id === this.memberId) return false;
    return isDead(member) || this.heartbeats.hasStopped(member);
  }

  /** After an own heartbeat: who else shows life, and is what was granted still ours? */
  private observe(startedMs: number): void {
    if (this.joined.size === 0) return; // it has left meanwhile, and is not to be written down
    const { members, claims } = this.rows.read();
    this.heartbeats.shown(startedMs, members);
    if (!members.some(({ id }) => id === this.memberId)) return this.startAgain();
    for (const { group, grants } of this.joined.values()) {
      for (const { partition, epoch } of grants.all()) {
        const row = claims.find((c) => c.group_name === group && c.partition === partition);
        if (row?.epoch !== epoch || row.member !== this.memberId) grants.lose(partition);
      }
    }
  }

  /** Others took this member for hung: all its claims are gone. It joins again as a new one. */
  private startAgain(): void {
    this.memberId = null;
    for (const { grants } of this.joined.values()) grants.loseAll();
    this.isWriting = true;
    const done = () => {
      this.isWriting = false;
    };
    this.enqueue(() => this.register()).then(done, () => {
      this.memberId = null; // the rows were undone with the transaction
      done();
    });
  }

  /** Also before this member has its id. */
  private get ownName(): string {
    return this.memberId ?? "";
  }

  private removeSelf(): void {
    if (this.memberId !== null) this.rows.remove(this.memberId);
    this.memberId = null;
  }

  private free(group: string, partition: number, epoch: number): void {
    if (this.memberId !== null) this.rows.free(this.memberId, group, partition, epoch);
  }

  /** In a transaction; what is to be told once it stands goes to `granted`. */
  private take(joined: Joined, partition: number, granted: (() => void)[]): void {
    if (this.memberId === null) return;
    const epoch = this.rows.take(this.memberId, joined.group, partition);
    if (epoch === null) return;
    granted.push(() => {
      if (this.joined.get(joined.group) === joined) joined.granted(partition, epoch);
    });
  }
}
