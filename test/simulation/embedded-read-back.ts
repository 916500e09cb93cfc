/**
 * Reads back what the embedded log has made durable, from its file, and hands it to the judge: new
 * records in the log's order, then each group's new progress with what was written for it.
 */

import { Database } from "bun:sqlite";
import { decodeHeaders } from "../../src/log/embedded/record-frame.ts";
import { logPath } from "../../src/log/embedded/schema.ts";
import type { Progress } from "../../src/log/event-log.ts";
import { decodeProgress } from "../../src/log/progress-text.ts";
import { recordChecksum } from "../../src/log/record-checksum.ts";
import type { Judge } from "./judge.ts";
import type { StoredRecord } from "./log-server.ts";
import { PartitionLog } from "./partition-log.ts";
import { Violation } from "./violation.ts";

const NEW_RECORDS =
  "SELECT topics.name AS topic, partitions.partition, offset, sequence, timestamp_ms, " +
  "records.key, records.value, headers FROM records " +
  "JOIN partitions ON partitions.id = partition_id JOIN topics ON topics.id = topic_id " +
  "WHERE sequence >= ? ORDER BY sequence";

interface RecordRow {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly sequence: number;
  readonly timestamp_ms: number;
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
  readonly headers: Uint8Array | null;
}

interface ProgressRow {
  readonly group_name: string;
  readonly partition: number;
  readonly progress: string;
}

export class EmbeddedReadBack {
  private database: Database;
  private nextSequence = 0;
  private readonly logs = new Map<string, PartitionLog>();
  private readonly progresses = new Map<string, { text: string; value: Progress }>();
  /** By group and partition: outputs that no progress has accounted for yet. */
  private readonly outputs = new Map<string, StoredRecord[]>();

  constructor(
    private readonly options: { readonly judge: Pick<Judge, "durable" | "committing"> },
    folder: string,
  ) {
    this.database = new Database(logPath(folder));
  }

  open(folder: string): void {
    this.database.close();
    this.database = new Database(logPath(folder));
  }

  /** After each sync: all that is in the file is durable. */
  look(): void {
    const rows = this.database.query(NEW_RECORDS).all(this.nextSequence) as RecordRow[];
    for (const row of rows) this.take(row);
    const all = this.database.query("SELECT * FROM progress").all() as ProgressRow[];
    for (const row of all) this.takeProgress(row);
    for (const [place, [first]] of this.outputs) {
      if (first === undefined) continue;
      const text = `${place}: ${first.topic} ${first.partition}-${first.offset}`;
      throw new Violation("outputs and progress are one commit", text);
    }
  }

  partition(topic: string, partition: number): PartitionLog {
    const place = `${topic}/${partition}`;
    let log = this.logs.get(place);
    if (log === undefined) {
      log = new PartitionLog(topic, partition);
      this.logs.set(place, log);
    }
    return log;
  }

  partitions(): Iterable<PartitionLog> {
    return this.logs.values();
  }

  progress(group: string, partition: number): Progress | null {
    return this.progresses.get(`${group}/${partition}`)?.value ?? null;
  }

  /** How often a partition has changed hands, over all of them. */
  get takeovers(): number {
    const row = this.database.query("SELECT total(epoch) AS epochs FROM claims").get();
    return (row as { readonly epochs: number }).epochs;
  }

  close(): void {
    this.database.close();
  }

  private take({ timestamp_ms: timestampMs, ...row }: RecordRow): void {
    const headers = decodeHeaders(row.headers);
    const { topic, partition, key, value } = row;
    const checksum = recordChecksum({ key, value, headers });
    const offset = BigInt(row.offset);
    const record = { ...row, offset, headers, timestampMs, checksum };
    this.nextSequence = row.sequence + 1;
    const log = this.partition(topic, partition);
    if (row.offset !== log.nextOffset) {
      const text = `${topic} partition ${partition}: ${row.offset} after ${log.nextOffset - 1}`;
      throw new Violation("offsets are contiguous", text);
    }
    log.records.push(record);
    log.nextOffset += 1;
    log.durableEnd = log.nextOffset;
    log.show(log.nextOffset);
    const owner = ownerOf(record);
    if (owner !== null) {
      const place = `${owner}/${partition}`;
      this.outputs.set(place, [...(this.outputs.get(place) ?? []), record]);
    }
    this.options.judge.durable({
      ...{ records: [record], progress: null, committed: null },
      ...{ onDurable: () => {}, onLost: () => {} },
    });
  }

  private takeProgress({ group_name: group, partition, progress: text }: ProgressRow): void {
    const place = `${group}/${partition}`;
    const known = this.progresses.get(place);
    if (known?.text === text) return;
    const value = decodeProgress(text);
    const outputs = this.outputs.get(place) ?? [];
    const commit = { outputs, changelog: [], inputs: value.inputs };
    const before = known?.value ?? null;
    this.options.judge.committing({ group, partition, before, commit });
    this.outputs.delete(place);
    this.progresses.set(place, { text, value });
  }
}

/** The group whose commit wrote the record; null for what was appended. */
function ownerOf({ topic, headers }: StoredRecord): string | null {
  if (topic.endsWith("-dead-letters")) return topic.replace(/-dead-letters$/, "");
  // An operator's action has an id; the detector's events have none.
  const isAction = headers.some(([name]) => name === "id");
  return topic === "flag_wallet" && !isAction ? "threshold" : null;
}
