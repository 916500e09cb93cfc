/**
 * The topics of a log: as the topology declares them, and as they are.
 *
 *   topology ──> declared, and what each holds ──with what is there──> one line a topic
 */

import { topologyOf } from "../app.ts";
import { openEmbeddedLog } from "../log/embedded/embedded-log.ts";
import type { TopicSpec } from "../log/event-log.ts";
import type { Drift } from "../log/kafka/drift.ts";
import { TopicNames } from "../log/kafka/names.ts";
import type { TopicComparison } from "../log/kafka/topic-admin.ts";
import { deadLetterTopic, tableName } from "../stream/group.ts";
import { type Topology, topicSpecs } from "../stream/topology.ts";

export interface ReportedTopic {
  /** As the log has it: in a cluster with its prefix. */
  readonly name: string;
  /** The message type of a stream; what else it is for; null for an unknown one. */
  readonly holds: string | null;
  readonly state: "as declared" | "drifted" | "missing" | "unknown";
  /** Null for one that is not there, or not declared. */
  readonly partitions: number | null;
  readonly declaredPartitions: number | null;
  /** Copies of each record; null where it is not there, or not in a cluster. */
  readonly replicas: number | null;
  /** Null in a cluster, where gaps can't be told from records. */
  readonly records: number | null;
  /**
   * In a data folder of keys, values and headers; in a cluster as one copy lies on disk, null where
   * nobody can be asked for it.
   */
  readonly bytes: number | null;
  /** As it is; null for one that is not there, or not declared. */
  readonly retention: Retention | null;
  readonly drifts: readonly Drift[];
}

/** Null is for good: of all records, or on a compacted topic of tombstones. */
export type Retention = Pick<TopicSpec, "cleanup" | "retentionMs">;

/** Of the log in a data folder. Throws LogError. */
export async function embeddedTopics(options: {
  readonly folder: string;
  readonly nowMs: () => number;
}): Promise<readonly ReportedTopic[]> {
  const log = openEmbeddedLog(options);
  try {
    const topology = topologyOf(Number(log.settings["decimals"]));
    const partitions = Number(log.settings["partitions"]);
    const specs = topicSpecs(topology, { partitions, keepsChangelogs: log.keepsChangelogs });
    const report = reportOfFolder(topology, specs, await log.topics());
    return await Promise.all(
      report.map(async (topic) =>
        topic.partitions === null ? topic : { ...topic, ...(await log.size(topic.name)) },
      ),
    );
  } finally {
    await log.close();
  }
}

/** Of a cluster's. */
export function reportOfCluster(
  topology: Topology,
  found: {
    readonly prefix: string;
    readonly comparison: TopicComparison;
    /** By name. */
    readonly bytes: ReadonlyMap<string, number>;
  },
): readonly ReportedTopic[] {
  const { prefix, bytes } = found;
  const { topics, unknown } = found.comparison;
  const contents = contentsOf(topology);
  const known = topics.map(({ declared, actual, drifts }): ReportedTopic => {
    const isDrifted = drifts.length > 0;
    return {
      name: declared.name,
      holds: contents.get(declared.name.slice(prefix.length)) ?? null,
      state: actual === null ? "missing" : isDrifted ? "drifted" : "as declared",
      partitions: actual?.partitions ?? null,
      declaredPartitions: declared.partitions,
      replicas: actual?.replicas ?? null,
      ...{ records: null, bytes: bytes.get(declared.name) ?? null },
      retention: actual === null ? null : clusterRetention(actual.config),
      drifts,
    };
  });
  return [...known, ...unknown.map((name) => unknownTopic(name))];
}

function reportOfFolder(
  topology: Topology,
  specs: readonly TopicSpec[],
  existing: readonly TopicSpec[],
): readonly ReportedTopic[] {
  const contents = contentsOf(topology);
  const actual = new Map(existing.map((spec) => [spec.name, spec]));
  const known = specs.map((spec): ReportedTopic => {
    const found = actual.get(spec.name);
    const drifts = found === undefined ? [] : folderDrifts(spec, found);
    return {
      name: spec.name,
      holds: contents.get(spec.name) ?? null,
      state: found === undefined ? "missing" : drifts.length > 0 ? "drifted" : "as declared",
      partitions: found?.partitions ?? null,
      declaredPartitions: spec.partitions,
      replicas: null,
      ...UNCOUNTED,
      retention: found === undefined ? null : retentionOf(found),
      drifts,
    };
  });
  const declared = new Set(specs.map(({ name }) => name));
  const unknown = existing.filter(({ name }) => !declared.has(name));
  return [...known, ...unknown.map(({ name, partitions }) => unknownTopic(name, partitions))];
}

function folderDrifts(declared: TopicSpec, actual: TopicSpec): readonly Drift[] {
  const fields = ["partitions", "cleanup", "retentionMs"] as const;
  return fields
    .filter((field) => declared[field] !== actual[field])
    .map((field) => ({
      setting: field,
      declared: String(declared[field]),
      actual: String(actual[field]),
      endangers: true,
      isCorrectable: false,
    }));
}

function unknownTopic(name: string, partitions: number | null = null): ReportedTopic {
  const nothing = { holds: null, declaredPartitions: null, replicas: null, drifts: [] };
  return { ...nothing, ...UNCOUNTED, retention: null, name, partitions, state: "unknown" };
}

const UNCOUNTED = { records: null, bytes: null };

function retentionOf({ cleanup, retentionMs }: TopicSpec): Retention {
  return { cleanup, retentionMs };
}

/** By the settings of Kafka's that this program declares. */
function clusterRetention(config: Readonly<Record<string, string>>): Retention {
  const isCompacted = config["cleanup.policy"]?.includes("compact") === true;
  const text = config[isCompacted ? "delete.retention.ms" : "retention.ms"];
  const ms = Number(text ?? Number.NaN);
  const isForGood = !(ms >= 0) || ms === Number.MAX_SAFE_INTEGER;
  return { cleanup: isCompacted ? "compact" : "keep", retentionMs: isForGood ? null : ms };
}

/** By the name without prefix. */
function contentsOf(topology: Topology): ReadonlyMap<string, string> {
  const names = new TopicNames("");
  return new Map([
    ...topology.streams.map(({ topic, codec }) => [topic, codec.name] as const),
    ...topology.groups.flatMap((group) => [
      [deadLetterTopic(group), `dead letters of ${group.name}`] as const,
      [tableName(group), `changelog of ${group.name}`] as const,
      [names.progress(group.name), `progress of ${group.name}`] as const,
    ]),
    [names.meta, "values of the whole log"],
  ]);
}
