/**
 * A process's connection to the simulated log: the port as the engine sees it.
 *
 *   append, read, join, ... ──messages──> log server, coordinator
 */

import {
  type Bounds,
  type Claim,
  type JoinOptions,
  LogError,
  type LogRecord,
  type NewRecord,
  type Owner,
  type Progress,
  type ReadOptions,
  type TopicSpec,
} from "../../src/log/event-log.ts";
import { joinSimulated } from "./group-member.ts";
import type { LogConnection } from "./log-side.ts";
import { type MessageOptions, Messages, unknown } from "./messages.ts";
import type { PartitionLog } from "./partition-log.ts";

/** As many records as one answer holds, unless a reader wants fewer. */
const PAGE_RECORDS = 64;
export class Connection implements LogConnection {
  readonly incarnation: string;
  readonly settings = {};
  readonly keepsChangelogs: boolean;
  private readonly messages: Messages;
  private readonly listeners = new Set<() => void>();
  private isBellDue = false;

  constructor(private readonly options: MessageOptions) {
    this.messages = new Messages(options);
    this.incarnation = options.server.incarnation;
    this.keepsChangelogs = options.server.options.keepsChangelogs;
  }

  async ensureTopics(specs: readonly TopicSpec[]): Promise<void> {
    await this.messages.ask("ensure topics", null, () => this.options.server.ensure(specs));
  }

  append(records: readonly NewRecord[]): Promise<readonly bigint[]> {
    const { server } = this.options;
    const about = `${records.length} to ${records[0]?.topic}/${records[0]?.partition}`;
    return this.messages.askToWrite("append", about, (resolve, reject) => {
      for (const { topic, partition } of records) server.partition(topic, partition);
      const written = server.write(records);
      const offsets = written.map(({ offset }) => offset);
      server.enqueue({
        ...{ records: written, progress: null, committed: null },
        onDurable: () => resolve(offsets),
        onLost: () => reject(unknown("append")),
      });
    });
  }

  async *read(options: ReadOptions): AsyncGenerator<readonly LogRecord[]> {
    const { topic, partition, signal, maxRecords = PAGE_RECORDS } = options;
    const until = options.until === undefined ? Number.POSITIVE_INFINITY : Number(options.until);
    const isStopped = () => signal?.aborted === true;
    let next = Number(options.from);
    while (next < until && !isStopped()) {
      const page = { next, until, maxRecords: Math.min(maxRecords, PAGE_RECORDS) };
      const { records, reached } = await this.page(topic, partition, page, signal);
      if (records.length > 0) yield records;
      next = reached;
    }
  }

  async bounds(topic: string, partition: number): Promise<Bounds> {
    const log = this.options.server.partition(topic, partition);
    return this.messages.look("bounds", topic, () => ({ start: 0n, end: BigInt(log.end) }));
  }

  progress(group: string, partition: number): Promise<Progress | null> {
    const { server } = this.options;
    return this.messages.look("progress", group, () => server.progressShown(group, partition));
  }

  join(options: JoinOptions): AsyncIterable<Claim> {
    return joinSimulated(this.messages, options);
  }

  owners(group: string): Promise<readonly Owner[]> {
    return this.messages.look("owners", group, () => this.options.coordinator.owners(group));
  }

  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  notify(): void {
    this.options.announce();
  }

  meta(key: string): Promise<string | null> {
    return this.messages.ask("meta", key, () => this.options.server.meta.get(key) ?? null);
  }

  async setMeta(key: string, value: string): Promise<void> {
    await this.messages.ask("set meta", key, () => this.options.server.meta.set(key, value));
  }

  async close(): Promise<void> {
    this.listeners.clear();
  }

  /** Wakes who listens, soon, and once for all that has changed until then. */
  ring(): void {
    if (this.isBellDue || this.listeners.size === 0) return;
    this.isBellDue = true;
    const run = () => {
      this.isBellDue = false;
      for (const listener of [...this.listeners]) listener();
    };
    this.messages.answer("bell", null, run);
  }

  /** Visible records of one partition; waits for the first, unless the end is reached. */
  private page(
    topic: string,
    partition: number,
    range: { readonly next: number; readonly until: number; readonly maxRecords: number },
    signal: AbortSignal | undefined,
  ): Promise<{ records: readonly LogRecord[]; reached: number }> {
    const { next, until, maxRecords } = range;
    return new Promise((resolve, reject) => {
      const about = `${topic}/${partition} from ${next}`;
      const stop = () => resolve({ records: [], reached: next });
      signal?.addEventListener("abort", stop, { once: true });
      const reply = (give: () => void) => {
        this.messages.answer("read answered", about, () => {
          signal?.removeEventListener("abort", stop);
          give();
        });
      };
      const look = (log: PartitionLog) => {
        if (signal?.aborted === true || !this.options.life.isAlive) return;
        const records = log.visibleFrom(next, maxRecords, until);
        const last = records.at(-1);
        if (last === undefined && log.visibleEnd < until) return log.whenShown(() => look(log));
        const isAll = records.length < maxRecords && log.visibleEnd >= until;
        const reached = last === undefined || isAll ? until : Number(last.offset) + 1;
        reply(() => resolve({ records, reached }));
      };
      this.messages.send("read", about, () => {
        const log = this.options.server.partition(topic, partition);
        if (next > Math.max(log.durableEnd, log.nextOffset)) {
          const error = new LogError("position_out_of_range", `${about}, end ${log.durableEnd}`);
          return reply(() => reject(error));
        }
        look(log);
      });
    });
  }
}

