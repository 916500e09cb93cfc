/**
 * A claim on one partition of a group in the embedded log.
 *
 *   read: pages of the inputs in the log's order      commit: outputs, changelog and progress in
 *   one transaction of the writer, after the claim's epoch was checked in it
 */

import {
  type Claim,
  type Commit,
  LogError,
  type LogRecord,
  type NewRecord,
  type Progress,
  type ReplayRange,
} from "../event-log.ts";
import { inputProgress } from "../input-progress.ts";
import { progressAfter } from "../progress-after.ts";
import type { Catalog, PartitionRef } from "./catalog.ts";
import type { Changes } from "./changes.ts";
import { ClaimInputs } from "./claim-inputs.ts";
import type { Membership } from "./membership.ts";
import type { Reader } from "./reader.ts";
import { recordBytes, type RecordRows } from "./record-rows.ts";

/** What a claim needs of the log it belongs to. */
export interface ClaimHost {
  readonly reader: Reader;
  readonly records: RecordRows;
  readonly catalog: Catalog;
  readonly changes: Changes;
  readonly membership: Membership;
  /** Runs in a transaction of its own or with others; throws inside refuse this one alone. */
  transact<T>(bytes: number, run: () => T): Promise<T>;
  storeProgress(group: string, partition: number, progress: Progress): void;
  release(claim: EmbeddedClaim): Promise<void>;
}

export interface ClaimOptions {
  readonly group: string;
  readonly partition: number;
  readonly epoch: number;
  readonly topics: readonly string[];
  /** Null when the log keeps no changelogs. */
  readonly changelog: string | null;
  readonly progress: Progress | null;
}

export class EmbeddedClaim implements Claim {
  readonly group: string;
  readonly partition: number;
  readonly epoch: number;
  readonly progress: Progress | null;
  private readonly controller = new AbortController();
  private readonly inputs: ClaimInputs;
  private current: Progress | null;

  constructor(
    private readonly host: ClaimHost,
    private readonly options: ClaimOptions,
  ) {
    this.group = options.group;
    this.partition = options.partition;
    this.epoch = options.epoch;
    this.progress = options.progress;
    this.current = options.progress;
    this.inputs = this.inputsFrom(options.progress);
  }

  get revoked(): AbortSignal {
    return this.controller.signal;
  }

  /** The membership wants it back, or lost it. */
  revoke(): void {
    this.controller.abort();
  }

  async read(maxRecords: number): Promise<readonly LogRecord[]> {
    this.inputs.check();
    while (!this.revoked.aborted) {
      const records = this.inputs.next(maxRecords);
      if (records.length > 0) return records;
      await this.host.changes.next(this.revoked);
    }
    return [];
  }

  async *replay({ from, to, maxRecords }: ReplayRange): AsyncGenerator<readonly LogRecord[]> {
    const inputs = this.inputsFrom(from);
    inputs.check();
    for (;;) {
      const records = inputs.nextUntil(to, maxRecords);
      if (records.length === 0) return;
      yield records;
    }
  }

  async commit(commit: Commit): Promise<Progress> {
    if (commit.inputs.length === 0) {
      throw new TypeError(
        `a commit of ${this.group} partition ${this.partition} moves no input: leave it out`,
      );
    }
    const rows = this.changelogRows(commit);
    let bytes = 0;
    for (const record of [...commit.outputs, ...rows]) bytes += recordBytes(record);
    try {
      this.current = await this.host.transact(bytes, () => this.write(commit, rows));
      return this.current;
    } catch (error) {
      const code = error instanceof LogError ? error.code : "outcome_unknown";
      if (code === "fenced" || code === "outcome_unknown") this.revoke();
      throw error;
    }
  }

  async release(): Promise<void> {
    this.revoke();
    await this.host.release(this);
  }

  /** In the transaction. Checks first, so that a refusal leaves no trace. */
  private write(commit: Commit, rows: readonly NewRecord[]): Progress {
    const { group, partition, epoch } = this;
    if (!this.host.membership.isCurrent(group, partition, epoch)) {
      throw new LogError(
        "fenced",
        `partition ${partition} of ${group} belongs to another member (epoch ${epoch} is over)`,
      );
    }
    for (const { topic, nextOffset } of commit.inputs) {
      if ((inputProgress(this.current, topic)?.nextOffset ?? 0n) < nextOffset) continue;
      throw new LogError(
        "position_out_of_range",
        `a commit of ${group} partition ${partition} goes back in ${topic} to offset ${nextOffset}`,
      );
    }
    const find = ({ topic, partition: of }: NewRecord) => this.host.catalog.find(topic, of);
    const outputRefs = commit.outputs.map(find);
    const rowRefs = rows.map(find);
    const insert = (refs: readonly PartitionRef[]) => (record: NewRecord, index: number) =>
      BigInt(this.host.records.insert(refs[index] as PartitionRef, record));
    const offsets = commit.outputs.map(insert(outputRefs));
    const lastRow = rows.map(insert(rowRefs)).at(-1) ?? null;
    const progress = progressAfter(this.current, commit, { offsets, lastRow });
    this.host.storeProgress(group, partition, progress);
    return progress;
  }

  private changelogRows(commit: Commit): readonly NewRecord[] {
    const { changelog: topic } = this.options;
    if (topic === null) return [];
    return commit.changelog.map((row) => ({ ...row, topic, partition: this.partition }));
  }

  private inputsFrom(from: Progress | null): ClaimInputs {
    const { reader, catalog } = this.host;
    return new ClaimInputs({ ...this.options, reader, catalog, from });
  }
}
