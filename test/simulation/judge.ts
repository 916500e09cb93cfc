/**
 * The judge: looks at every commit when the log takes it, at every write of a store when it is
 * done, and at every read that was promised to be settled; a Violation ends the run.
 *
 *   durable records ──folded──> reference tables, oracles ──against──> commits, stores, reads
 */

import type { Commit, LogRecord, Progress } from "../../src/log/event-log.ts";
import { readDeadLetter } from "../../src/stream/dead-letter.ts";
import { type Group, tableName } from "../../src/stream/group.ts";
import { toLatin1 } from "../../src/stream/row-key.ts";
import type { Topology } from "../../src/stream/topology.ts";
import { sameBytes, shownBytes, shownKey } from "./bytes.ts";
import type { Transaction } from "./log-server.ts";
import type { LogSide } from "./log-side.ts";
import { type ExpectedOutput, ReferenceTable } from "./reference-table.ts";
import { RowHistory } from "./row-history.ts";
import { Violation } from "./violation.ts";
import { WalletJudge } from "./wallet-judge.ts";

export interface Committing {
  readonly group: string;
  readonly partition: number;
  readonly before: Progress | null;
  readonly commit: Commit;
}

/** One write of a store, as it was done. */
export interface Applied {
  /** Which of several copies; for the message. */
  readonly store: string;
  readonly table: string;
  readonly partition: number;
  readonly epoch: number;
  /** The newest that has taken the store. */
  readonly newestEpoch: number;
  readonly before: Progress | null;
  readonly after: Progress;
  readonly rows: Iterable<readonly [key: string, value: Uint8Array | null]>;
}

export class Judge {
  /** Set once, before anything is written. */
  server: LogSide | null = null;
  readonly wallets = new WalletJudge();
  /** Stores that moved, and records and commits that were looked at: what a run covered. */
  readonly seen = { records: 0, commits: 0, writes: 0, fullChecks: 0, settledReads: 0 };
  private readonly tables = new Map<string, ReferenceTable>();
  /** What changelogs hold, by group and partition. */
  private readonly changelogs = new Map<string, RowHistory>();
  /** Each that became durable: where it left its inputs and its changelog. */
  private readonly commits = new Set<string>();
  private readonly tableTopics: ReadonlyMap<string, string>;
  private readonly inputTopics = new Map<string, Group[]>();

  constructor(
    private readonly options: {
      readonly topology: Topology;
      readonly partitions: number;
      readonly keepsChangelogs: boolean;
    },
  ) {
    const { topology, partitions } = options;
    this.tableTopics = new Map(topology.groups.map((group) => [tableName(group), group.name]));
    for (const group of topology.groups) {
      for (const { stream } of group.inputs) {
        const known = this.inputTopics.get(stream.topic) ?? [];
        this.inputTopics.set(stream.topic, [...known, group]);
      }
      for (let partition = 0; partition < partitions; partition += 1) {
        const onTaken = this.wallets.listenerOf(group.name);
        const table = new ReferenceTable({ group, partition, partitions, onTaken });
        this.tables.set(`${group.name}/${partition}`, table);
        this.changelogs.set(`${group.name}/${partition}`, new RowHistory());
      }
    }
  }

  /** Of each transaction, in the log's order. */
  durable({ records, progress }: Transaction): void {
    if (progress !== null) this.commits.add(`${progress.place} ${commitText(progress.value)}`);
    for (const record of records) {
      this.seen.records += 1;
      const place = `/${record.partition}`;
      const group = this.tableTopics.get(record.topic);
      if (group !== undefined) {
        const changelog = this.changelogs.get(group + place);
        changelog?.put(Number(record.offset), toLatin1(record.key), record.value);
      }
      for (const { name } of this.inputTopics.get(record.topic) ?? []) {
        this.tables.get(name + place)?.fold(record);
      }
    }
  }

  table(group: string, partition: number): ReferenceTable {
    return this.tables.get(`${group}/${partition}`) as ReferenceTable;
  }

  /** The log is about to take a commit of the partition's owner. */
  committing(committing: Committing): void {
    this.seen.commits += 1;
    const { group, partition, before, commit } = committing;
    const where = `${group} partition ${partition}`;
    const table = this.table(group, partition);
    const from = nextOf(before);
    const to = nextOf(commit);
    if (to <= from) throw new Violation("progress goes forward", `${where}: ${from} to ${to}`);
    this.checkPlace(where, commit, partition);
    compareOutputs(where, commit.outputs, table.outputsBetween(from, to));
    if (this.options.keepsChangelogs) this.compareRows(where, committing, { from, to });
  }

  /** A store was written. */
  applied(applied: Applied): void {
    this.seen.writes += 1;
    const { store, table, partition, before, after } = applied;
    const group = this.tableTopics.get(table) as string;
    const where = `${store} ${group} partition ${partition}`;
    if (applied.epoch < applied.newestEpoch) {
      const text = `${where}: epoch ${applied.epoch} wrote after ${applied.newestEpoch}`;
      throw new Violation("a stale owner changes no store", text);
    }
    const durable = this.server?.progressDurable(group, partition) ?? null;
    if (nextOf(after) > nextOf(durable)) {
      const at = `${where}: at ${nextOf(after)}, committed ${nextOf(durable)}`;
      throw new Violation("no store is ahead of its group", at);
    }
    const { history, next } = this.historyAt(group, partition, after);
    const from = before === null ? 0 : this.historyAt(group, partition, before).next;
    const given = new Map(applied.rows); // the last of a key is what the store has
    if (this.isHalfWay(group, partition, after)) return;
    for (const [key, value] of given) this.compareRow(where, history, { key, value, next });
    for (const key of history.changedBetween(from, next)) {
      if (given.has(key)) continue;
      const wanted = shownBytes(history.valueAt(key, next));
      const text = `${where}: ${shownKey(key)} is not written from ${from} to ${next}: ${wanted}`;
      throw new Violation("a row is the fold of its inputs", text);
    }
  }

  /** All rows of a store, against its own place. */
  checkStore(
    where: { readonly store: string; readonly group: string; readonly partition: number },
    found: { readonly progress: Progress | null; readonly rows: ReadonlyMap<string, Uint8Array> },
  ): void {
    this.seen.fullChecks += 1;
    const { store, group, partition } = where;
    const name = `${store} ${group} partition ${partition}`;
    const { history, next } = this.historyAt(group, partition, found.progress);
    if (this.isHalfWay(group, partition, found.progress)) return;
    for (const key of history.keys()) {
      this.compareRow(name, history, { key, value: found.rows.get(key) ?? null, next });
    }
    for (const [key, value] of found.rows) this.compareRow(name, history, { key, value, next });
  }

  /** A row that a view gave, when the table stood at `since` or later. */
  checkRead(
    where: { readonly group: string; readonly partition: number; readonly since: Progress | null },
    row: { readonly key: string; readonly value: Uint8Array | null },
  ): void {
    const { group, partition, since } = where;
    // A copy that is half-way has rows that are newer than its inputs: those are what it promises.
    const { history } = this.table(group, partition);
    const next = nextOf(since);
    if (history.hadSince(row.key, next, row.value)) return;
    const text =
      `${group} partition ${partition}: ${shownKey(row.key)} reads ${shownBytes(row.value)}, ` +
      `which it was not from ${next} on (there ${shownBytes(history.valueAt(row.key, next))})`;
    throw new Violation("a reader sees a table as it was", text);
  }

  /**
   * Whether a store has some of a commit's rows, or lacks rows that its changelog has dropped since
   * for later ones: while it is being brought to a progress, and nobody reads it as that.
   */
  private isHalfWay(group: string, partition: number, progress: Progress | null): boolean {
    if (!this.options.keepsChangelogs || progress === null) return false;
    return !this.commits.has(`${group}/${partition} ${commitText(progress)}`);
  }

  /** The rows that a store at this progress holds, and where that is. */
  private historyAt(group: string, partition: number, progress: Progress | null) {
    const place = `${group}/${partition}`;
    if (!this.options.keepsChangelogs) {
      return { history: this.table(group, partition).history, next: nextOf(progress) };
    }
    const { changelogOffset = null } = progress ?? {};
    const next = changelogOffset === null ? 0 : Number(changelogOffset) + 1;
    return { history: this.changelogs.get(place) as RowHistory, next };
  }

  private compareRow(
    where: string,
    history: RowHistory,
    row: { readonly key: string; readonly value: Uint8Array | null; readonly next: number },
  ): void {
    const wanted = history.valueAt(row.key, row.next);
    if (sameBytes(wanted, row.value)) return;
    throw new Violation(
      "a row is the fold of its inputs",
      `${where}: ${shownKey(row.key)} at ${row.next} is ${shownBytes(row.value)}, ` +
        `must be ${shownBytes(wanted)}`,
    );
  }

  /** A progress names records that are there. */
  private checkPlace(where: string, commit: Commit, partition: number): void {
    for (const { topic, nextOffset, checksum } of commit.inputs) {
      const log = this.server?.partition(topic, partition);
      const last = log?.at(Number(nextOffset) - 1) ?? null;
      if (last !== null && Number(nextOffset) <= (log?.visibleEnd ?? 0)) {
        if (last.checksum === checksum) continue;
      }
      throw new Violation("progress names what was read", `${where}: ${topic} ${nextOffset}`);
    }
  }

  private compareRows(
    where: string,
    { group, partition, before, commit }: Committing,
    { from, to }: { readonly from: number; readonly to: number },
  ): void {
    const { history } = this.table(group, partition);
    const wanted = history.changedBetween(from, to);
    for (const row of commit.changelog) {
      const key = toLatin1(row.key);
      if (before === null && isNameOfChangelog(key)) continue;
      this.compareRow(`${where}, changelog`, history, { key, value: row.value, next: to });
      if (!wanted.delete(key)) {
        const text = `${where}: ${shownKey(key)} from ${from} to ${to}`;
        throw new Violation("a changelog has what changed", `${text} twice, or not changed`);
      }
    }
    const [missing] = wanted;
    if (missing === undefined) return;
    const text = `${where}: ${shownKey(missing)} from ${from} to ${to} is missing`;
    throw new Violation("a changelog has what changed", text);
  }
}

/** Every group here reads one topic. */
export function nextOf(progress: Pick<Progress, "inputs"> | null): number {
  const [first] = progress?.inputs ?? [];
  return first === undefined ? 0 : Number(first.nextOffset);
}

function commitText(progress: Progress): string {
  return `${nextOf(progress)} ${progress.changelogOffset}`;
}

/** Of no record's key; see changelog-id.ts. */
function isNameOfChangelog(key: string): boolean {
  return key.startsWith("\0\0\0");
}

function compareOutputs(
  where: string,
  outputs: Commit["outputs"],
  expected: readonly ExpectedOutput[],
): void {
  const found = outputs.map((output) => outputText(output, null));
  const wanted = expected.map((output) => outputText(output, output.reason));
  const at = wanted.findIndex((text, index) => text !== found[index]);
  if (at === -1 && found.length === wanted.length) return;
  const index = at === -1 ? wanted.length : at;
  throw new Violation(
    "a commit writes what its inputs cause",
    `${where}: output ${index} is ${found[index] ?? "missing"}, ` +
      `must be ${wanted[index] ?? "none"} (${found.length} of ${wanted.length})`,
  );
}

function outputText(
  output: Pick<LogRecord, "topic" | "partition" | "key" | "value"> | Commit["outputs"][number],
  reason: string | null,
): string {
  const { topic, partition, key, value } = output;
  const isLetter = topic.endsWith("-dead-letters");
  const said = isLetter && "headers" in output ? readDeadLetter(output).reason : reason;
  return `${topic}/${partition} ${shownBytes(key)} ${shownBytes(value)} ${said ?? ""}`;
}
