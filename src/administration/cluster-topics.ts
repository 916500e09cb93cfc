/**
 * Looking after the topics of a deployment in a cluster: what differs from the declaration, and
 * bringing it in line.
 *
 *   log's settings, topology ──> comparison ──> report        plan ──apply──> cluster
 */

import { DEFAULT_DECIMALS, DEFAULT_PARTITIONS, topologyOf } from "../app.ts";
import type { KafkaAccess } from "../log/kafka/connections.ts";
import type { DeclaredTopic, Drift } from "../log/kafka/drift.ts";
import { openKafkaLog } from "../log/kafka/kafka-log.ts";
import { type TopicAdmin, type TopicComparison, withTopicAdmin } from "../log/kafka/topic-admin.ts";
import { topicSpecs } from "../stream/topology.ts";
import { AdministrationError } from "./administration-error.ts";
import { type ReportedTopic, reportOfCluster } from "./topic-report.ts";

export interface ClusterTopicsOptions {
  readonly kafka: KafkaAccess & { readonly prefix: string };
  /** Said by the user; null: as the log has it, or the default where there is none. */
  readonly partitions: number | null;
  readonly decimals: number | null;
  readonly nowMs: () => number;
}

/** What a sync does; lists are empty where there is nothing to do. */
export interface TopicPlan {
  readonly create: readonly DeclaredTopic[];
  /** With the drifts that a setting corrects. */
  readonly correct: readonly { readonly name: string; readonly drifts: readonly Drift[] }[];
  readonly remove: readonly string[];
  /** What a sync cannot correct. */
  readonly leave: readonly { readonly name: string; readonly drift: Drift }[];
  /** Copies of a record that a topic created now gets. */
  readonly replicas: number;
}

/** Throws AdministrationError, LogError. */
export async function withClusterTopics<T>(
  options: ClusterTopicsOptions,
  action: (topics: ClusterTopics) => Promise<T>,
): Promise<T> {
  return withTopicAdmin({ ...options.kafka, nowMs: options.nowMs }, async (admin) => {
    const found = await admin.settings();
    const settings = wantedSettings(options, found);
    const topology = topologyOf(settings.decimals);
    const { partitions } = settings;
    const comparison = await admin.compare(
      topicSpecs(topology, { partitions, keepsChangelogs: true }),
      { names: topology.groups.map(({ name }) => name), partitions },
    );
    const bytes = await admin.bytes(comparison);
    const report = reportOfCluster(topology, { ...options.kafka, comparison, bytes });
    return action(
      new ClusterTopics(options, { admin, comparison, settings, report, isThere: found !== null }),
    );
  });
}

export class ClusterTopics {
  readonly report: readonly ReportedTopic[];
  /** False where no log was created yet. */
  readonly isLogThere: boolean;
  /** Of other deployments with topics under this prefix: these are not listed. */
  readonly otherPrefixes: readonly string[];

  constructor(
    private readonly options: ClusterTopicsOptions,
    private readonly parts: {
      readonly admin: TopicAdmin;
      readonly comparison: TopicComparison;
      readonly settings: { readonly partitions: number; readonly decimals: number };
      readonly report: readonly ReportedTopic[];
      readonly isThere: boolean;
    },
  ) {
    this.report = parts.report;
    this.isLogThere = parts.isThere;
    this.otherPrefixes = parts.comparison.otherPrefixes;
  }

  /** Throws AdministrationError `partitions_fixed`. */
  plan({ deletesUnknown }: { readonly deletesUnknown: boolean }): TopicPlan {
    const { topics, unknown, replicas } = this.parts.comparison;
    for (const { declared, drifts } of topics) {
      const count = drifts.find(({ setting }) => setting === "partitions");
      if (count !== undefined) throw countChanged(`topic ${declared.name}`, count);
    }
    const drifted = topics.map(({ declared: { name }, drifts }) => ({
      name,
      drifts: drifts.filter(({ isCorrectable }) => isCorrectable),
      left: drifts.filter(({ isCorrectable }) => !isCorrectable),
    }));
    return {
      create: topics.filter(({ actual }) => actual === null).map(({ declared }) => declared),
      correct: drifted.filter(({ drifts }) => drifts.length > 0),
      remove: deletesUnknown ? unknown : [],
      leave: drifted.flatMap(({ name, left }) => left.map((drift) => ({ name, drift }))),
      replicas,
    };
  }

  /** Settings first: nothing that endangers data stands beside what is created. */
  async apply(plan: TopicPlan): Promise<void> {
    const { admin } = this.parts;
    await admin.correct(
      plan.correct.map(({ name, drifts }) => ({
        name,
        settings: Object.fromEntries(drifts.map(({ setting, declared }) => [setting, declared])),
      })),
    );
    if (!this.isLogThere) await this.createLog();
    await admin.create(plan.create);
    await admin.remove(plan.remove);
  }

  /**
   * Without it the next one to start would be free to choose another count of partitions. Where
   * the streams are there and it is not, it is lost: its decimals are known to nobody here.
   */
  private async createLog(): Promise<void> {
    const { partitions, decimals } = this.parts.settings;
    const settings = { partitions: String(partitions), decimals: String(decimals) };
    const { kafka, nowMs } = this.options;
    const ownTopics = topologyOf(decimals).streams.map(({ topic }) => topic);
    const options = { ...kafka, nowMs, ownTopics, create: true, defaults: {}, settings };
    const log = await openKafkaLog(options);
    await log.close();
  }
}

function wantedSettings(
  { partitions, decimals }: ClusterTopicsOptions,
  found: Readonly<Record<string, string>> | null,
): { readonly partitions: number; readonly decimals: number } {
  if (found === null) {
    return {
      partitions: partitions ?? DEFAULT_PARTITIONS,
      decimals: decimals ?? DEFAULT_DECIMALS,
    };
  }
  const fixed = {
    partitions: Number(found["partitions"]),
    decimals: Number(found["decimals"]),
  };
  if (partitions !== null && partitions !== fixed.partitions) {
    const count = { declared: String(partitions), actual: String(fixed.partitions) };
    throw countChanged("the log", count);
  }
  if (decimals === null || decimals === fixed.decimals) return fixed;
  throw new AdministrationError(
    "settings_mismatch",
    `the log was created with decimals ${fixed.decimals}, not ${decimals}: what is there would ` +
      "change its value; leave the setting out, or use another --prefix",
  );
}

function countChanged(
  what: string,
  { declared, actual }: { readonly declared: string; readonly actual: string },
): AdministrationError {
  return new AdministrationError(
    "partitions_fixed",
    `${what} has ${actual} partitions, not ${declared}, and a partition count can't change under ` +
      "existing data: keys would move to other partitions, away from their rows, their ids and " +
      "their order. Nothing was changed; for another count use another --prefix and import there",
  );
}
