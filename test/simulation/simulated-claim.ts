/**
 * A claim on one partition of a group of the simulated log.
 *
 *   read: what is visible, from the progress on     commit: the log decides whether the claim's
 *   epoch is still the partition's, and writes all or nothing
 */

import {
  type Claim,
  type Commit,
  LogError,
  type LogRecord,
  type Progress,
  type ReplayRange,
} from "../../src/log/event-log.ts";
import { inputProgress } from "../../src/log/input-progress.ts";
import { progressAfter } from "../../src/log/progress-after.ts";
import type { StoredRecord } from "./log-server.ts";
import { type Messages, unknown } from "./messages.ts";
import { TURN_US } from "./simulated-globals.ts";
import { Violation } from "./violation.ts";

export interface SimulatedClaimOptions {
  readonly group: string;
  readonly partition: number;
  readonly epoch: number;
  readonly progress: Progress | null;
  readonly topics: readonly string[];
  readonly changelog: string;
  readonly onRelease: (claim: SimulatedClaim) => void;
}

export class SimulatedClaim implements Claim {
  readonly group: string;
  readonly partition: number;
  readonly epoch: number;
  readonly progress: Progress | null;
  private readonly controller = new AbortController();
  /** By topic: what `read` gives next. */
  private readonly next: Map<string, number>;
  private isCommitting = false;
  private isReleased = false;

  constructor(
    private readonly messages: Messages,
    private readonly options: SimulatedClaimOptions,
  ) {
    const { group, partition, epoch, progress, topics } = options;
    this.group = group;
    this.partition = partition;
    this.epoch = epoch;
    this.progress = progress;
    this.next = positionsOf(topics, progress);
  }

  get revoked(): AbortSignal {
    return this.controller.signal;
  }

  revoke(): void {
    this.controller.abort();
  }

  read(maxRecords: number): Promise<readonly LogRecord[]> {
    const { messages, revoked } = this;
    const about = `${this.group}/${this.partition} at ${[...this.next.values()].join(",")}`;
    return new Promise((resolve) => {
      if (revoked.aborted) return resolve([]);
      const stop = () => resolve([]);
      revoked.addEventListener("abort", stop, { once: true });
      const { chance, conditions, scheduler, life } = messages.options;
      const isReadAhead = chance.is(conditions.readAheadChance);
      const look = () => {
        if (revoked.aborted || !life.isAlive) return;
        const isShort = chance.is(conditions.shortReadChance);
        const records = this.records(this.next, isShort ? 1 + chance.below(3) : maxRecords, null);
        if (records.length === 0) return this.whenShown(look);
        const run = () => {
          if (revoked.aborted) return; // `stop` has answered
          revoked.removeEventListener("abort", stop);
          for (const { topic, offset } of records) this.next.set(topic, Number(offset) + 1);
          resolve(records);
        };
        const note = `${about}: ${records.length}`;
        if (!isReadAhead) return messages.answer("records", note, run);
        // They are here already: a reader fetches ahead, or reads a file.
        scheduler.after(chance.below(TURN_US), { life, kind: "records", about: note, run });
      };
      if (isReadAhead) look();
      else messages.send("fetch", about, look);
    });
  }

  async *replay({ from, to, maxRecords }: ReplayRange): AsyncGenerator<readonly LogRecord[]> {
    const { chance, conditions } = this.messages.options;
    const next = positionsOf(this.options.topics, from);
    for (;;) {
      const most = chance.is(conditions.shortReadChance) ? 1 + chance.below(5) : maxRecords;
      const about = `${this.group}/${this.partition}`;
      const ask = () => this.records(next, most, to);
      const records = await this.messages.ask("replay", about, ask);
      if (records.length === 0) return;
      for (const { topic, offset } of records) next.set(topic, Number(offset) + 1);
      yield records;
    }
  }

  async commit(commit: Commit): Promise<Progress> {
    if (commit.inputs.length === 0) throw new TypeError("a commit that moves no input");
    if (this.isCommitting) throw new Violation("one commit at a time", this.group);
    this.isCommitting = true;
    try {
      const { group, partition, epoch } = this;
      const to = commit.inputs.map(({ nextOffset }) => nextOffset).join(",");
      const about = `${group}/${partition} epoch ${epoch} to ${to}`;
      return await this.messages.askToWrite<Progress>("commit", about, (resolve, reject) => {
        this.write(commit, resolve, reject);
      });
    } catch (error) {
      const code = error instanceof LogError ? error.code : "";
      if (code === "fenced" || code === "outcome_unknown") this.revoke();
      throw error;
    } finally {
      this.isCommitting = false;
    }
  }

  async release(): Promise<void> {
    this.revoke();
    if (this.isReleased) return;
    this.isReleased = true;
    const { coordinator } = this.messages.options;
    const about = `${this.group}/${this.partition} epoch ${this.epoch}`;
    await this.messages.ask("release", about, () => coordinator.release(this.group, this));
    this.options.onRelease(this);
  }

  /** At the log. */
  private write(
    commit: Commit,
    resolve: (progress: Progress) => void,
    reject: (error: Error) => void,
  ): void {
    const { group, partition } = this;
    const { server, coordinator, judge } = this.messages.options;
    if (!coordinator.isCurrent(group, this)) {
      throw new LogError("fenced", `${group} partition ${partition} belongs to another member`);
    }
    const before = server.writtenProgress(group, partition);
    judge.committing({ group, partition, before, commit });
    const rows = server.options.keepsChangelogs ? commit.changelog : [];
    const outputs = server.write(commit.outputs);
    const topic = this.options.changelog;
    const changed = server.write(rows.map((row) => ({ ...row, topic, partition })));
    const offsets = outputs.map(({ offset }) => offset);
    const lastRow = changed.at(-1)?.offset ?? null;
    const value = progressAfter(before, commit, { offsets, lastRow });
    server.enqueue({
      records: [...outputs, ...changed],
      progress: { place: `${group}/${partition}`, value },
      committed: { group, partition },
      onDurable: () => resolve(value),
      onLost: () => reject(unknown("commit")),
    });
  }

  /** Visible, in the log's order; up to a progress when one is given. */
  private records(
    next: ReadonlyMap<string, number>,
    maxRecords: number,
    to: Progress | null,
  ): LogRecord[] {
    const { server } = this.messages.options;
    const found = [...next].flatMap(([topic, from]) => {
      const until = to === null ? undefined : Number(inputProgress(to, topic)?.nextOffset ?? 0n);
      return server.partition(topic, this.partition).visibleFrom(from, maxRecords, until);
    }) as StoredRecord[];
    if (next.size > 1) found.sort((a, b) => a.sequence - b.sequence);
    return found.slice(0, maxRecords);
  }

  private whenShown(look: () => void): void {
    let isDone = false;
    const once = () => {
      if (isDone) return;
      isDone = true;
      look();
    };
    for (const topic of this.next.keys()) {
      this.messages.options.server.partition(topic, this.partition).whenShown(once);
    }
  }
}

function positionsOf(topics: readonly string[], progress: Progress | null): Map<string, number> {
  return new Map(
    topics.map((topic) => [topic, Number(inputProgress(progress, topic)?.nextOffset ?? 0n)]),
  );
}
