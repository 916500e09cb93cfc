/**
 * The topics of a deployment as a whole, for whoever looks after the cluster: also where there is
 * no log yet, or one that nothing would start on.
 *
 *   specs, groups ──with the adapter's own topics──> declared ──compared──> create, correct, remove
 */

import type { TopicSpec } from "../event-log.ts";
import { Connections, type KafkaAccess } from "./connections.ts";
import { type ActualTopic, type DeclaredTopic, type Drift, drifts } from "./drift.ts";
import { Fetcher } from "./fetcher.ts";
import { LogMeta, META_SPEC } from "./log-meta.ts";
import { TopicNames } from "./names.ts";
import { progressSpec } from "./progress-topic.ts";
import { reachCluster } from "./reaching.ts";
import type { TopicSettings } from "./topic-settings.ts";
import { topicBytes } from "./topic-bytes.ts";
import { declared, Topics } from "./topics.ts";

export interface TopicAdminOptions extends KafkaAccess {
  readonly prefix: string;
  readonly nowMs: () => number;
}

export interface ComparedTopic {
  readonly declared: DeclaredTopic;
  /** Null: it is missing. */
  readonly actual: ActualTopic | null;
  readonly drifts: readonly Drift[];
}

export interface TopicComparison {
  /** In the order of their declaration. */
  readonly topics: readonly ComparedTopic[];
  /** Of the prefix, and not declared; by name. Empty without a prefix. */
  readonly unknown: readonly string[];
  /**
   * Other deployments with topics under this prefix, which are not ours: longer prefixes that begin
   * with it and have any of the topics declared, and its own beginnings, where it begins as their
   * topics do: the deployment without a prefix has a `log-meta`, which stands under the prefix
   * `log`, too.
   */
  readonly otherPrefixes: readonly string[];
  /** How many copies a topic that is created now gets. */
  readonly replicas: number;
}

/** Throws LogError, as opening the log does. */
export async function withTopicAdmin<T>(
  options: TopicAdminOptions,
  action: (admin: TopicAdmin) => Promise<T>,
): Promise<T> {
  const connections = new Connections(options);
  const waiting = new Connections(options);
  const fetcher = new Fetcher({ quick: connections, waiting });
  try {
    await reachCluster(connections, options);
    return await action(new TopicAdmin(options, connections, fetcher));
  } finally {
    fetcher.close();
    await Promise.all([connections.close(), waiting.close()]);
  }
}

export class TopicAdmin {
  private readonly names: TopicNames;
  private readonly topics: Topics;

  constructor(
    private readonly options: TopicAdminOptions,
    private readonly connections: Connections,
    private readonly fetcher: Fetcher,
  ) {
    this.names = new TopicNames(options.prefix);
    this.topics = new Topics(connections);
  }

  /** What was fixed when the log was created; null where there is none. */
  async settings(): Promise<Readonly<Record<string, string>> | null> {
    const { connections, fetcher } = this;
    const topic = this.names.meta;
    if ((await this.topics.describe([topic])).size === 0) return null;
    const { nowMs } = this.options;
    const identity = await new LogMeta({ connections, fetcher, topic, nowMs }).identity();
    return identity?.settings ?? null;
  }

  /** `groups` have progress, in as many partitions as are said. */
  async compare(
    specs: readonly TopicSpec[],
    groups: { readonly names: readonly string[]; readonly partitions: number },
  ): Promise<TopicComparison> {
    const { names, topics } = this;
    const ofGroup = (group: string) => {
      const name = names.progress(group);
      return declared(name, { name, ...progressSpec(groups.partitions) });
    };
    const wanted = [
      ...specs.map((spec) => declared(names.topic(spec.name), spec)),
      ...groups.names.map(ofGroup),
      declared(names.meta, { name: names.meta, ...META_SPEC }),
    ];
    const replicas = await topics.wantedReplicas();
    const existing = await topics.describe(wanted.map(({ name }) => name));
    const compared = wanted.map((each): ComparedTopic => {
      const actual = existing.get(each.name) ?? null;
      const different = actual === null ? [] : drifts(each, actual, replicas);
      return { declared: each, actual, drifts: different };
    });
    return { topics: compared, replicas, ...(await this.unknownAmong(wanted)) };
  }

  /** Bytes of one copy of each that is there, by name; those that can't be told are left out. */
  bytes({ topics }: TopicComparison): Promise<ReadonlyMap<string, number>> {
    const there = topics.flatMap(({ declared: { name }, actual }) =>
      actual === null ? [] : [{ name, partitions: actual.partitions }],
    );
    return topicBytes(this.connections, there);
  }

  async create(topics: readonly DeclaredTopic[]): Promise<void> {
    await this.topics.create(topics);
  }

  /** These settings alone. */
  async correct(topics: readonly TopicSettings[]): Promise<void> {
    await this.topics.correct(topics);
  }

  /** With all that they hold. */
  async remove(names: readonly string[]): Promise<void> {
    await this.topics.remove(names);
  }

  private async unknownAmong(
    wanted: readonly DeclaredTopic[],
  ): Promise<Pick<TopicComparison, "unknown" | "otherPrefixes">> {
    const { prefix } = this.options;
    if (prefix === "") return { unknown: [], otherPrefixes: [] }; // they may be anybody's
    const ours = new Set(wanted.map(({ name }) => name));
    const found = (await this.topics.namesUnder(prefix)).filter((name) => !ours.has(name));
    const own = wanted.map(({ name }) => name.slice(prefix.length));
    const before = (name: string) =>
      own.filter((end) => name.endsWith(end)).map((end) => name.slice(0, -end.length));
    const longer = found.flatMap(before).filter((other) => other.length > prefix.length);
    const declaredUnder = (other: string) => own.map((name) => other + name);
    const shorter = Array.from(prefix, (_, length) => prefix.slice(0, length)).filter((other) =>
      declaredUnder(other).some((name) => found.includes(name)),
    );
    const theirs = new Set(shorter.flatMap(declaredUnder));
    const isOthers = (name: string) =>
      theirs.has(name) || longer.some((other) => name.startsWith(other));
    return {
      unknown: found.filter((name) => !isOthers(name)),
      otherPrefixes: [...new Set([...shorter, ...longer])],
    };
  }
}
