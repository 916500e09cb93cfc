/**
 * What the embedded log's connection knows of topics and partitions: ids, bounds, and, while a
 * transaction runs, the next offsets that it hands out.
 *
 *   reserve(partition) ... reserve(partition) ──flush──> partitions.next_offset, sequence.next
 *
 * Between transactions the ends are only a cache, refreshed after every change of the log.
 */

import type { Database, Statement } from "bun:sqlite";
import { LogError, type TopicSpec } from "../event-log.ts";
import { checkTopicSpec } from "../topic-spec.ts";
import { reading } from "./log-fault.ts";

export interface PartitionRef {
  readonly id: number;
  readonly topic: string;
  readonly partition: number;
  /** As of the last refresh. */
  startOffset: number;
  nextOffset: number;
}

interface TopicRow {
  readonly id: number;
  readonly name: string;
  readonly partitions: number;
  readonly cleanup: TopicSpec["cleanup"];
  readonly retention_ms: number | null;
}

export class Catalog {
  private readonly topics = new Map<string, { spec: TopicSpec; refs: PartitionRef[] }>();
  private readonly byId = new Map<number, PartitionRef>();
  private readonly touched = new Set<PartitionRef>();
  private nextSequence: number | null = null;
  /** The log's next sequence as this connection has written it last; null while it has not. */
  writtenSequence: number | null = null;
  /** Moves with every change of another connection; null: what was read is not to be trusted. */
  private version: number | null = null;
  private readonly statements: Record<
    "version" | "ends" | "end" | "setEnd" | "sequence" | "setSequence",
    Statement
  >;

  constructor(private readonly database: Database) {
    this.statements = {
      version: database.prepare("PRAGMA data_version"),
      ends: database.prepare("SELECT id, start_offset, next_offset FROM partitions"),
      end: database.prepare("SELECT next_offset FROM partitions WHERE id = ?"),
      setEnd: database.prepare("UPDATE partitions SET next_offset = ? WHERE id = ?"),
      sequence: database.prepare("SELECT next FROM sequence"),
      setSequence: database.prepare("UPDATE sequence SET next = ?"),
    };
    this.refresh();
  }

  /** Throws `unknown_topic`, also for a partition that the topic does not have. */
  find(topic: string, partition: number): PartitionRef {
    const ref = this.topics.get(topic)?.refs[partition];
    if (ref !== undefined) return ref;
    this.refresh(); // another process may have made it
    const found = this.topics.get(topic)?.refs[partition];
    if (found === undefined) {
      throw new LogError(
        "unknown_topic",
        `the log has no partition ${partition} of topic ${topic}: declare it with ensureTopics`,
      );
    }
    return found;
  }

  spec(topic: string): TopicSpec | null {
    return this.topics.get(topic)?.spec ?? null;
  }

  specs(): readonly TopicSpec[] {
    const all = [...this.topics.values()].map(({ spec }) => spec);
    return all.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Those of which compaction or retention may take records. */
  cleanable(): { spec: TopicSpec; refs: readonly PartitionRef[] }[] {
    return [...this.topics.values()].filter(
      ({ spec }) => spec.cleanup === "compact" || spec.retentionMs !== null,
    );
  }

  /**
   * Reads ids and bounds again, about 20 microseconds, where another connection has changed the
   * log; what this one writes it knows. Keeps what a transaction has reserved. Throws `corrupt`,
   * `unavailable`, and reads everything again the next time.
   */
  refresh(): void {
    try {
      reading(this.database, () => this.refreshFromFile());
    } catch (error) {
      this.version = null;
      throw error;
    }
  }

  /** In a transaction: the next offset of a partition and the next sequence of the log. */
  reserve(ref: PartitionRef): { offset: number; sequence: number } {
    if (!this.touched.has(ref)) {
      this.touched.add(ref);
      const row = this.statements.end.get(ref.id) as { next_offset: number };
      ref.nextOffset = row.next_offset;
    }
    this.nextSequence ??= (this.statements.sequence.get() as { next: number }).next;
    const offset = ref.nextOffset;
    const sequence = this.nextSequence;
    ref.nextOffset += 1;
    this.nextSequence += 1;
    return { offset, sequence };
  }

  /** Before COMMIT: writes what was handed out. */
  flush(): void {
    for (const ref of this.touched) this.statements.setEnd.run(ref.nextOffset, ref.id);
    if (this.nextSequence !== null) {
      this.statements.setSequence.run(this.nextSequence);
      this.writtenSequence = this.nextSequence;
    }
    this.touched.clear();
    this.nextSequence = null;
  }

  /** After ROLLBACK: forgets what was handed out. Throws as `refresh` does. */
  reset(): void {
    this.touched.clear();
    this.nextSequence = null;
    this.writtenSequence = null;
    this.version = null;
    this.refresh();
  }

  /** In a transaction. Throws `topic_mismatch`. */
  ensure(specs: readonly TopicSpec[]): void {
    this.loadTopics();
    this.version = null;
    for (const spec of specs) {
      const existing = this.topics.get(spec.name)?.spec;
      if (existing === undefined) this.create(spec);
      else checkSame(existing, spec);
    }
  }

  close(): void {
    for (const statement of Object.values(this.statements)) statement.finalize();
  }

  private refreshFromFile(): void {
    const { data_version } = this.statements.version.get() as { data_version: number };
    if (data_version === this.version) return;
    this.version = data_version;
    const rows = this.statements.ends.all() as {
      id: number;
      start_offset: number;
      next_offset: number;
    }[];
    if (rows.length !== this.byId.size) this.loadTopics();
    for (const { id, start_offset, next_offset } of rows) {
      const ref = this.byId.get(id);
      if (ref === undefined || this.touched.has(ref)) continue;
      ref.startOffset = start_offset;
      ref.nextOffset = next_offset;
    }
  }

  private create(spec: TopicSpec): void {
    checkTopicSpec(spec);
    const { lastInsertRowid } = this.database
      .query("INSERT INTO topics (name, partitions, cleanup, retention_ms) VALUES (?, ?, ?, ?)")
      .run(spec.name, spec.partitions, spec.cleanup, spec.retentionMs);
    const insert = this.database.query(
      "INSERT INTO partitions (topic_id, partition) VALUES (?, ?)",
    );
    for (let partition = 0; partition < spec.partitions; partition += 1) {
      insert.run(lastInsertRowid, partition);
    }
  }

  private loadTopics(): void {
    const topics = this.database.query("SELECT * FROM topics").all() as TopicRow[];
    const partitions = this.database
      .query("SELECT id, topic_id, partition, start_offset, next_offset FROM partitions")
      .all() as Record<"id" | "topic_id" | "partition" | "start_offset" | "next_offset", number>[];
    for (const topic of topics) {
      const spec: TopicSpec = {
        name: topic.name,
        partitions: topic.partitions,
        cleanup: topic.cleanup,
        retentionMs: topic.retention_ms,
      };
      const refs = this.topics.get(topic.name)?.refs ?? [];
      for (const row of partitions.filter(({ topic_id }) => topic_id === topic.id)) {
        if (this.byId.has(row.id)) continue;
        const ref: PartitionRef = {
          id: row.id,
          topic: topic.name,
          partition: row.partition,
          startOffset: row.start_offset,
          nextOffset: row.next_offset,
        };
        refs[row.partition] = ref;
        this.byId.set(row.id, ref);
      }
      this.topics.set(topic.name, { spec, refs });
    }
  }
}

function checkSame(existing: TopicSpec, declared: TopicSpec): void {
  for (const field of ["partitions", "cleanup", "retentionMs"] as const) {
    if (existing[field] === declared[field]) continue;
    throw new LogError(
      "topic_mismatch",
      `topic ${declared.name} was created with ${field} ${existing[field]} and is declared with ` +
        `${declared[field]}: keep the value, or use another log`,
    );
  }
}
