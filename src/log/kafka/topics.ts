/**
 * Topics of the cluster, as declared and as they are.
 *
 *   spec ──settings of this adapter──> created, or compared: what endangers data is refused
 *
 * Imported history carries old timestamps, so records are kept by the broker's own append time.
 */

import { LogError, type TopicSpec } from "../event-log.ts";
import type { Connections } from "./connections.ts";
import { REQUEST_MS } from "./limits.ts";
import { retrying, typeOf } from "./retry.ts";

const TOPIC_RESOURCE = 2;
const MAX_REPLICAS = 3;
const CREATE_WITHIN_MS = 10_000;
/** A reader of the rows that belong to a progress finds them for so long (`verify`). */
const MIN_COMPACTION_LAG_MS = 60 * 60 * 1_000;

/** Of one topic: what its owner declared, and the settings that follow from it. */
export interface DeclaredTopic {
  /** As the cluster has it, with its prefix. */
  readonly name: string;
  readonly partitions: number;
  readonly config: Readonly<Record<string, string>>;
}

export interface ActualTopic {
  readonly partitions: number;
  readonly replicas: number;
  readonly config: Readonly<Record<string, string>>;
}

/** A difference between them. `endangers`: data may be lost by it, so nothing starts. */
export interface Drift {
  readonly setting: string;
  readonly declared: string;
  readonly actual: string;
  readonly endangers: boolean;
}

export function declared(name: string, spec: TopicSpec): DeclaredTopic {
  const { partitions, cleanup, retentionMs } = spec;
  const common = {
    "message.timestamp.type": "LogAppendTime",
    "unclean.leader.election.enable": "false",
  };
  const never = "-1";
  const config: Record<string, string> =
    cleanup === "keep"
      ? {
          ...common,
          "cleanup.policy": "delete",
          "retention.ms": retentionMs === null ? never : String(retentionMs),
          "retention.bytes": never,
        }
      : {
          ...common,
          "cleanup.policy": "compact",
          "delete.retention.ms": String(retentionMs ?? Number.MAX_SAFE_INTEGER),
          "min.compaction.lag.ms": String(MIN_COMPACTION_LAG_MS),
        };
  return { name, partitions, config };
}

/** Whoever acknowledges must be more than one, where there are three. */
export function minInSync(replicas: number): string {
  return replicas >= MAX_REPLICAS ? "2" : "1";
}

/** Where they differ; empty when nothing does. */
export function drifts(wanted: DeclaredTopic, actual: ActualTopic): readonly Drift[] {
  const found: Drift[] = [];
  if (wanted.partitions !== actual.partitions) {
    found.push({
      setting: "partitions",
      declared: String(wanted.partitions),
      actual: String(actual.partitions),
      endangers: true,
    });
  }
  const config = { ...wanted.config, "min.insync.replicas": minInSync(actual.replicas) };
  for (const [setting, value] of Object.entries(config)) {
    const now = actual.config[setting] ?? "";
    if (now === value) continue;
    const isDanger = endangers(setting, value, now);
    found.push({ setting, declared: value, actual: now, endangers: isDanger });
  }
  return found;
}

/** Shorter retention, compaction of a stream, another clock: each loses records. */
function endangers(setting: string, wanted: string, actual: string): boolean {
  if (setting === "cleanup.policy" || setting === "message.timestamp.type") return true;
  if (!setting.includes("retention")) return false;
  if (actual === "-1") return false;
  return wanted === "-1" || Number(actual) < Number(wanted);
}

export class Topics {
  constructor(private readonly connections: Connections) {}

  /** Creates what is missing. Throws `topic_mismatch` for drift that endangers data. */
  async ensure(wanted: readonly DeclaredTopic[]): Promise<void> {
    const actual = await this.describe(wanted.map(({ name }) => name));
    const missing = wanted.filter(({ name }) => !actual.has(name));
    await this.create(missing);
    for (const topic of wanted) {
      const found = actual.get(topic.name);
      if (found === undefined) continue;
      const danger = drifts(topic, found).filter(({ endangers: isDanger }) => isDanger);
      if (danger.length > 0) throw mismatch(topic.name, danger);
    }
  }

  /** Those that exist. */
  async describe(names: readonly string[]): Promise<ReadonlyMap<string, ActualTopic>> {
    if (names.length === 0) return new Map();
    return this.retrying("describe topics", async () => {
      const { topics } = await this.connections.metadata(names);
      const existing = topics.filter(({ leaders }) => leaders.length > 0);
      const configs = await this.configs(existing.map(({ name }) => name));
      return new Map(
        existing.map(({ name, leaders, replicas }) => [
          name,
          { partitions: leaders.length, replicas, config: configs.get(name) ?? {} },
        ]),
      );
    });
  }

  async create(topics: readonly DeclaredTopic[]): Promise<void> {
    if (topics.length === 0) return;
    await this.retrying("create topics", async () => {
      const { brokers } = await this.connections.metadata([]);
      const replicas = Math.min(MAX_REPLICAS, brokers.length);
      const broker = await this.connections.any();
      try {
        await broker.createTopics({
          timeout: CREATE_WITHIN_MS,
          topics: topics.map(({ name, partitions, config }) => ({
            topic: name,
            numPartitions: partitions,
            replicationFactor: replicas,
            configEntries: entries({ ...config, "min.insync.replicas": minInSync(replicas) }),
          })),
        });
      } catch (error) {
        if (!isOnlyExisting(error)) throw error; // another process was faster
      }
    });
    for (const { name } of topics) await this.awaitLeaders(name);
  }

  /** A topic's partitions get their leaders a moment after it was made. */
  private async awaitLeaders(name: string): Promise<void> {
    const ask = async () => {
      this.connections.forget(name);
      const leaders = await this.connections.partitions(name);
      if (leaders.every((leader) => leader >= 0)) return;
      throw Object.assign(new Error(`${name} has no leaders yet`), {
        type: "LEADER_NOT_AVAILABLE",
      });
    };
    await this.retrying(`see topic ${name}`, ask);
  }

  private async configs(
    names: readonly string[],
  ): Promise<ReadonlyMap<string, Record<string, string>>> {
    if (names.length === 0) return new Map();
    const broker = await this.connections.any();
    const { resources } = await broker.describeConfigs({
      resources: names.map((name) => ({ type: TOPIC_RESOURCE, name })),
    });
    return new Map(
      resources.map(({ resourceName, configEntries }) => [
        resourceName,
        Object.fromEntries(
          configEntries.map(({ configName, configValue }) => [configName, configValue ?? ""]),
        ),
      ]),
    );
  }

  private retrying<T>(what: string, attempt: () => Promise<T>): Promise<T> {
    return retrying(attempt, { withinMs: REQUEST_MS, what });
  }
}

/** What a topic's declaration calls it. */
const FIELDS: Readonly<Record<string, string>> = {
  "cleanup.policy": "cleanup",
  "retention.ms": "retentionMs",
  "delete.retention.ms": "retentionMs",
};

function entries(config: Readonly<Record<string, string>>) {
  return Object.entries(config).map(([name, value]) => ({ name, value }));
}

function isOnlyExisting(error: unknown): boolean {
  const { errors } = error as { readonly errors?: readonly unknown[] };
  return (errors ?? [error]).every((each) => typeOf(each) === "TOPIC_ALREADY_EXISTS");
}

function mismatch(name: string, found: readonly Drift[]): LogError {
  const differences = found
    .map(({ setting, declared: wanted, actual }) => {
      const field = FIELDS[setting];
      const what = field === undefined ? setting : `${field} (${setting})`;
      return `${what} is ${actual}, not ${wanted}`;
    })
    .join("; ");
  const isCount = found.some(({ setting }) => setting === "partitions");
  const advice = isCount
    ? "A partition count can't change under existing data: keys would move."
    : "Data may be lost by it: correct it with `topics sync`.";
  const message = `topic ${name} is not as declared: ${differences}. ${advice}`;
  return new LogError("topic_mismatch", message);
}
