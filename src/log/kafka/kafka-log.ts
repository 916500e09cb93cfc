/**
 * The log on Apache Kafka: an EventLog in a cluster's topics, for any number of machines.
 *
 *   append ──> appender (idempotent) ──> topics      commit ──> one transaction a member
 *   read, bounds ──> fetcher, without a group        join ──> Kafka's group, one claim a partition
 *
 * Beside the declared topics it keeps `log-meta` and a `<group>-progress` for each group. Commits
 * carry the changed rows: stores are caught up from changelogs, not from their inputs.
 */

import { MemberAssignment } from "kafkajs/src/consumer/assignerProtocol.js";
import {
  type Bounds,
  type Claim,
  type EventLog,
  type JoinOptions,
  LogError,
  type LogRecord,
  MAX_RECORD_BYTES,
  type NewRecord,
  type Owner,
  type Progress,
  type ReadOptions,
  type TopicSpec,
} from "../event-log.ts";
import { Appender, type Step } from "./appender.ts";
import { unknownPartition } from "./connections.ts";
import { joinGroup } from "./group-join.ts";
import { GroupWriters } from "./group-writer.ts";
import {
  ABANDON_WITHIN_MS,
  RELEASE_WITHIN_MS,
  REQUEST_MS,
  RETRY_LAST_MS,
} from "./limits.ts";
import { openIdentity } from "./log-identity.ts";
import type { LogIdentity } from "./log-meta.ts";
import { type KafkaLogOptions, LogParts } from "./log-parts.ts";
import { recordBounds } from "./offsets.ts";
import { ProgressFollower, progressSpec } from "./progress-topic.ts";
import { checkTopicSpec } from "../topic-spec.ts";
import { reachCluster } from "./reaching.ts";
import { atMost, pause, retrying } from "./retry.ts";
import { declared } from "./topics.ts";

const DEFAULT_MAX_RECORDS = 2_048;

/** Ids under which a place is a member of groups, kept where a restart finds them. */
export interface MemberIds {
  /** The one that an earlier process has left, dead or alive; null: none. Asked once. */
  former(group: string): string | null;
  /** The present one; null: left in order. Never throws. */
  remember(group: string, id: string | null): void;
}

/**
 * Throws LogError: `unavailable` within OPEN_WITHIN_MS when no broker answers, `unusable_place`
 * when it refuses the credentials, `not_found`, `format_mismatch`, `settings_mismatch`,
 * `topic_mismatch`, `moved` while another log is being moved into it.
 */
export async function openKafkaLog(options: KafkaLogOptions): Promise<KafkaLog> {
  const parts = new LogParts(options);
  try {
    const { clusterId } = await reachCluster(parts.connections, options);
    const identity = await openIdentity(parts, options);
    return new KafkaLog(parts, options, { ...identity, clusterId: clusterId ?? "" });
  } catch (error) {
    await atMost(ABANDON_WITHIN_MS, parts.close());
    throw error;
  }
}

export class KafkaLog implements EventLog {
  readonly incarnation: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly keepsChangelogs = true;
  readonly wasCreated: boolean;
  /** The cluster's own id. */
  readonly clusterId: string;
  private readonly appender: Appender;
  private readonly followers = new Map<string, ProgressFollower>();
  private readonly listeners = new Set<() => void>();
  private readonly closing = new AbortController();
  private readonly joins = new Set<Promise<void>>();
  private members: MemberIds | null = null;
  private readonly step: Step;

  constructor(
    private readonly parts: LogParts,
    private readonly options: KafkaLogOptions,
    identity: LogIdentity & { readonly clusterId: string; readonly wasCreated: boolean },
  ) {
    this.incarnation = identity.incarnation;
    this.settings = identity.settings;
    this.clusterId = identity.clusterId;
    this.wasCreated = identity.wasCreated;
    this.step = options.onStep ?? (() => {});
    const { nowMs } = options;
    this.appender = new Appender({
      connections: parts.connect(),
      nowMs,
      step: this.step,
      timeRecord: parts.meta.timeRecord,
    });
  }

  /**
   * Before the first `join`: where its ids are kept, so that a restart after a kill need not wait
   * for a session to end. The place depends on the cluster's id, which opening finds out.
   */
  keepMemberIds(members: MemberIds): void {
    this.members = members;
  }

  async ensureTopics(specs: readonly TopicSpec[]): Promise<void> {
    this.assertOpen();
    const { topics, names } = this.parts;
    specs.forEach(checkTopicSpec);
    await topics.ensure(specs.map((spec) => declared(names.topic(spec.name), spec)));
  }

  async append(records: readonly NewRecord[]): Promise<readonly bigint[]> {
    this.assertOpen();
    if (!this.isKnown(records)) await this.check(records);
    return this.appender.append(this.parts.names.toKafka(records));
  }

  async *read(options: ReadOptions): AsyncGenerator<readonly LogRecord[]> {
    this.assertOpen();
    const { names, fetcher } = this.parts;
    const { partition, until = null, maxRecords = DEFAULT_MAX_RECORDS } = options;
    const place = { topic: names.topic(options.topic), partition };
    await this.checkPartition(place.topic, partition);
    const { signal = this.closing.signal } = options;
    const cursor = fetcher.open(place, options.from);
    const stop = () => cursor.onChange();
    signal.addEventListener("abort", stop);
    try {
      const hasEnded = () => until !== null && cursor.nextOffset >= until;
      while (!signal.aborted && !hasEnded()) {
        const records = cursor.take(maxRecords, until);
        if (records.length > 0) yield names.toPort(records);
        else if (!hasEnded()) await cursor.changed();
      }
      if (until !== null && !hasEnded() && options.signal?.aborted !== true) this.assertOpen();
    } catch (error) {
      // A reader ends with its log. One that is to read so far and no further must know.
      if (!this.closing.signal.aborted || until !== null) throw error;
    } finally {
      signal.removeEventListener("abort", stop);
      cursor.close();
    }
  }

  async bounds(topic: string, partition: number): Promise<Bounds> {
    this.assertOpen();
    const { connections, fetcher, names } = this.parts;
    const place = { topic: names.topic(topic), partition };
    await this.checkPartition(place.topic, partition);
    return recordBounds(connections, fetcher, place);
  }

  async progress(group: string, partition: number): Promise<Progress | null> {
    this.assertOpen();
    let follower = this.followers.get(group);
    if (follower === undefined) {
      const { connections, fetcher, names } = this.parts;
      const topic = names.progress(group);
      const onChange = () => this.notify();
      follower = new ProgressFollower({ connections, fetcher, topic, onChange });
      this.followers.set(group, follower);
    }
    return follower.progress(partition);
  }

  async *join(options: JoinOptions): AsyncGenerator<Claim> {
    this.assertOpen();
    const signal = AbortSignal.any([options.signal, this.closing.signal]);
    const partitions = await waitingOut(async () => {
      const common = await this.commonPartitions(options);
      await this.ensureProgressTopic(options.group, common);
      return common;
    }, signal);
    if (partitions === null) return;
    const { parts } = this;
    const connections = parts.connect();
    const transactionConnections = parts.connect();
    const { nowMs } = this.options;
    const left = Promise.withResolvers<void>();
    this.joins.add(left.promise);
    try {
      yield* joinGroup({
        ...options,
        signal,
        connections,
        partitions,
        host: {
          names: parts.names,
          connections: parts.connections,
          transactionConnections,
          writers: new GroupWriters({
            connections: transactionConnections,
            groupId: parts.names.group(options.group),
            progressTopic: parts.names.progress(options.group),
            nowMs,
            step: this.step,
            signal,
          }),
          fetcher: parts.fetcher,
          nowMs,
          check: (records) => this.check(records),
        },
        formerMemberId: this.members?.former(options.group) ?? null,
        onMemberId: (id) => this.members?.remember(options.group, id),
        isServed: () => this.isServed(options.group),
      });
    } finally {
      await parts.disconnect(connections);
      await parts.disconnect(transactionConnections);
      this.joins.delete(left.promise);
      left.resolve();
    }
  }

  async owners(group: string): Promise<readonly Owner[]> {
    this.assertOpen();
    const { connections, names } = this.parts;
    const ask = () => connections.metadata([names.progress(group)]);
    const what = `look up the partitions of ${group}`;
    const { topics } = await retrying(ask, { withinMs: REQUEST_MS, what });
    const count = topics[0]?.leaders.length ?? 0;
    const owners = Array.from({ length: count }, (): string | null => null);
    if (count === 0) return [];
    const found = await this.describeGroup(group);
    for (const { clientId, clientHost, memberId, memberAssignment } of found?.members ?? []) {
      const assignment = MemberAssignment.decode(Buffer.from(memberAssignment))?.assignment ?? {};
      for (const partition of Object.values(assignment)[0] ?? []) {
        owners[partition] = `${clientId} at ${clientHost.replace("/", "")} (${memberId})`;
      }
    }
    return owners.map((owner, partition) => ({ partition, owner }));
  }

  onChange(listener: () => void): () => void {
    const own = () => listener(); // the same function may listen twice
    this.listeners.add(own);
    return () => this.listeners.delete(own);
  }

  /** Why nothing can be written now, as far as is known; null when the log is well. */
  get problem(): string | null {
    return this.appender.problem ?? this.parts.fetcher.problem;
  }

  notify(): void {
    for (const listener of this.listeners) listener();
  }

  async meta(key: string): Promise<string | null> {
    this.assertOpen();
    return this.parts.meta.get(key);
  }

  async setMeta(key: string, value: string): Promise<void> {
    this.assertOpen();
    await this.appender.append([this.parts.meta.valueRecord(key, value)]);
  }

  async close(): Promise<void> {
    if (this.closing.signal.aborted) return;
    this.closing.abort();
    for (const follower of this.followers.values()) follower.stop();
    await this.appender.close();
    // One that nobody pulls any more never ends by itself.
    await atMost(RELEASE_WITHIN_MS + REQUEST_MS, Promise.all(this.joins));
    await this.parts.close();
  }

  private assertOpen(): void {
    if (!this.closing.signal.aborted) return;
    throw new LogError("closed", "the log is closed: open it again");
  }

  /** Without asking the cluster. Throws `record_too_large`. */
  private isKnown(records: readonly NewRecord[]): boolean {
    const { names, connections } = this.parts;
    return records.every((record) => {
      checkSize(record);
      return connections.known(names.topic(record.topic))?.leaders[record.partition] !== undefined;
    });
  }

  /** Before anything is sent: a call is refused as a whole. */
  private async check(records: readonly NewRecord[]): Promise<void> {
    if (this.isKnown(records)) return;
    const { names } = this.parts;
    for (const record of records) {
      checkSize(record);
      await this.checkPartition(names.topic(record.topic), record.partition);
    }
  }

  private async checkPartition(topic: string, partition: number): Promise<void> {
    const { connections } = this.parts;
    const leaders = connections.known(topic)?.leaders ?? (await this.leaders(topic));
    if (leaders[partition] === undefined) throw unknownPartition(topic, partition);
  }

  private leaders(topic: string): Promise<readonly number[]> {
    const what = `look up topic ${topic}`;
    return retrying(() => this.parts.connections.partitions(topic), { withinMs: REQUEST_MS, what });
  }

  private async commonPartitions({ topics }: JoinOptions): Promise<number> {
    const { names } = this.parts;
    const counts = await Promise.all(
      topics.map(async (topic) => (await this.leaders(names.topic(topic))).length),
    );
    const [first] = counts;
    if (first !== undefined && counts.every((count) => count === first)) return first;
    throw new LogError(
      "topic_mismatch",
      `topics ${topics.join(", ")} must have one number of partitions: ${counts.join(", ")}`,
    );
  }

  private async ensureProgressTopic(group: string, partitions: number): Promise<void> {
    const { names, topics } = this.parts;
    const name = names.progress(group);
    await topics.ensure([declared(name, { name, ...progressSpec(partitions) })]);
  }

  private async isServed(group: string): Promise<boolean> {
    return ((await this.describeGroup(group))?.members.length ?? 0) > 0;
  }

  private describeGroup(group: string) {
    const { connections, names } = this.parts;
    const groupId = names.group(group);
    const ask = async () => {
      try {
        const coordinator = await connections.coordinator("group", groupId);
        const { groups } = await coordinator.describeGroups({ groupIds: [groupId] });
        return groups[0];
      } catch (error) {
        connections.forgetCoordinator("group", groupId);
        throw error;
      }
    };
    return retrying(ask, { withinMs: REQUEST_MS, what: `ask who runs ${group}` });
  }
}

/** Until the log can be read and written; null when the signal fires first. */
async function waitingOut<T>(attempt: () => Promise<T>, signal: AbortSignal): Promise<T | null> {
  while (!signal.aborted) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof LogError) || error.code !== "unavailable") throw error;
    }
    await pause(RETRY_LAST_MS, signal);
  }
  return null;
}

function checkSize({ topic, key, value, headers = [] }: NewRecord): void {
  let bytes = key.length + (value?.length ?? 0);
  for (const [name, each] of headers) bytes += name.length + each.length;
  if (bytes <= MAX_RECORD_BYTES) return;
  throw new LogError(
    "record_too_large",
    `a record of ${bytes} bytes for ${topic} is over the limit of ${MAX_RECORD_BYTES}`,
  );
}
