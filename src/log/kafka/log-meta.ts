/**
 * `log-meta`: what belongs to the log as a whole; one partition, compacted, one record a value.
 *
 *   format, incarnation, settings ──written once, in one transaction──> read by whoever opens
 */

import { LogError, type NewRecord } from "../event-log.ts";
import type { Connections } from "./connections.ts";
import type { Fetcher } from "./fetcher.ts";
import { readRange, stableBounds } from "./offsets.ts";
import { COMMIT_WITHIN_MS, RETRY_FIRST_MS } from "./limits.ts";
import { pause } from "./retry.ts";
import { openTransactions } from "./transaction.ts";

/** Another one is refused. */
export const FORMAT = "1";
export const META_SPEC = { partitions: 1, cleanup: "compact", retentionMs: null } as const;
const FORMAT_KEY = "format";
const INCARNATION_KEY = "incarnation";
const TIME_KEY = "time";
const SETTING = "setting.";
const VALUE = "value.";
const PARTITION = 0;
/** Each that remains unknown had another process begin meanwhile, which is soon done. */
const CREATE_TRIES = 3;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export interface LogIdentity {
  readonly incarnation: string;
  readonly settings: Readonly<Record<string, string>>;
}

export class LogMeta {
  private readonly values = new Map<string, string>();
  private nextOffset: bigint | null = null;

  constructor(
    private readonly options: {
      readonly connections: Connections;
      readonly fetcher: Fetcher;
      readonly topic: string;
      readonly nowMs: () => number;
    },
  ) {}

  /** Null where no log was created. Throws `format_mismatch`. */
  async identity(): Promise<LogIdentity | null> {
    await this.refresh();
    const format = this.values.get(FORMAT_KEY);
    if (format === undefined) return null;
    if (format !== FORMAT) {
      throw new LogError(
        "format_mismatch",
        `the log in the cluster has format ${format}, this program ${FORMAT}: use the version ` +
          "that made it",
      );
    }
    const settings: Record<string, string> = {};
    for (const [key, value] of this.values) {
      if (key.startsWith(SETTING)) settings[key.slice(SETTING.length)] = value;
    }
    return { incarnation: this.values.get(INCARNATION_KEY) ?? "", settings };
  }

  /**
   * Of several that create at once, one writes; the others are fenced, or find it there. True with
   * it when this one has written. Throws `unavailable`.
   */
  async create(
    settings: Readonly<Record<string, string>>,
  ): Promise<readonly [LogIdentity, boolean]> {
    const own: LogIdentity = { incarnation: crypto.randomUUID(), settings };
    for (let tries = 1; tries <= CREATE_TRIES; tries += 1) {
      if ((await this.write(own)) !== "unknown") break;
    }
    const endMs = performance.now() + COMMIT_WITHIN_MS;
    while (performance.now() < endMs) {
      const found = await this.identity(); // others see it soon, not at once
      if (found !== null) return [found, found.incarnation === own.incarnation];
      await pause(RETRY_FIRST_MS);
    }
    const message = `who was to create the log in ${this.options.topic} did not finish: try again`;
    throw new LogError("unavailable", message);
  }

  /** `unknown`: it may be there, or not; the next try ends what is open, and looks first. */
  private async write(identity: LogIdentity): Promise<"there" | "another writes" | "unknown"> {
    const { connections, topic, nowMs } = this.options;
    const { incarnation, settings } = identity;
    try {
      const transactions = await openTransactions({ connections, transactionalId: topic, nowMs });
      if ((await this.identity()) !== null) return "there";
      const entries: [string, string][] = [
        [FORMAT_KEY, FORMAT],
        [INCARNATION_KEY, incarnation],
        ...Object.entries(settings).map(([key, value]): [string, string] => [SETTING + key, value]),
      ];
      await transactions.begin([{ topic, partition: PARTITION }]);
      await transactions.write(entries.map(([key, value]) => this.record(key, value)));
      await transactions.commit();
      return "there";
    } catch (error) {
      const code = error instanceof LogError ? error.code : null;
      if (code === "outcome_unknown") return "unknown";
      if (code === "fenced") return "another writes";
      throw error;
    }
  }

  async get(key: string): Promise<string | null> {
    await this.refresh();
    return this.values.get(VALUE + key) ?? null;
  }

  valueRecord(key: string, value: string): NewRecord {
    return this.record(VALUE + key, value);
  }

  /** Says nothing; the answer to it says the brokers' time. Compaction takes it away again. */
  get timeRecord(): NewRecord {
    const { topic } = this.options;
    return { topic, partition: PARTITION, key: encoder.encode(TIME_KEY), value: null };
  }

  private async refresh(): Promise<void> {
    const { connections, fetcher, topic } = this.options;
    const place = { topic, partition: PARTITION };
    const { start, end } = await stableBounds(connections, place);
    const from = this.nextOffset ?? start;
    for (const { key, value } of await readRange(fetcher, place, { from, until: end })) {
      if (value === null) this.values.delete(decoder.decode(key));
      else this.values.set(decoder.decode(key), decoder.decode(value));
    }
    this.nextOffset = end;
  }

  private record(key: string, value: string): NewRecord {
    const { topic } = this.options;
    return {
      topic,
      partition: PARTITION,
      key: encoder.encode(key),
      value: encoder.encode(value),
    };
  }
}
