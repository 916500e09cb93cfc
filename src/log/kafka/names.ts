/**
 * Names in the cluster: a prefix keeps two deployments apart. The port knows names without it.
 *
 *   topic `events` <──prefix `test-`──> `test-events` in the cluster
 */

import type { InputProgress, LogRecord, NewRecord } from "../event-log.ts";
import type { GroupOffset } from "./group-offsets.ts";

export class TopicNames {
  constructor(readonly prefix: string) {}

  topic(name: string): string {
    return this.prefix + name;
  }

  group(name: string): string {
    return this.prefix + name;
  }

  progress(group: string): string {
    return `${this.prefix}${group}-progress`;
  }

  transactionalId(group: string, partition: number): string {
    return `${this.prefix}${group}-${partition}`;
  }

  get meta(): string {
    return `${this.prefix}log-meta`;
  }

  toKafka(records: readonly NewRecord[]): readonly NewRecord[] {
    if (this.prefix === "") return records;
    return records.map((record) => ({ ...record, topic: this.topic(record.topic) }));
  }

  /** Where a group stands in a partition, as the cluster is told. */
  offsets(inputs: readonly InputProgress[], partition: number): readonly GroupOffset[] {
    return inputs.map(({ topic, nextOffset }) => ({
      topic: this.topic(topic),
      partition,
      nextOffset,
    }));
  }

  /** Of records of one topic that nobody else has: they are changed, for copies take time. */
  toPort(records: LogRecord[]): readonly LogRecord[] {
    if (this.prefix === "") return records;
    const topic = records[0]?.topic.slice(this.prefix.length) ?? "";
    for (const record of records as { topic: string }[]) record.topic = topic;
    return records;
  }
}
