/**
 * Topics of the cluster, as declared and as they are.
 *
 *   spec ──settings of this adapter──> created, or compared: what endangers data is refused
 *
 * Imported history carries old timestamps, so records are kept by the broker's own append time.
 */

import { getLogger } from "@logtape/logtape";
import { LogError, type TopicSpec } from "../event-log.ts";
import type { Connections } from "./connections.ts";
import {
  type ActualTopic,
  type DeclaredTopic,
  type Drift,
  drifts,
  driftText,
  minInSync,
  replicasFor,
} from "./drift.ts";
import { MAX_MESSAGE_BYTES, REQUEST_MS } from "./limits.ts";
import { messageOf, retrying, typeOf } from "./retry.ts";
import { changeTopicSettings, TOPIC_RESOURCE, type TopicSettings } from "./topic-settings.ts";

const CREATE_WITHIN_MS = 10_000;
/** There are none for so many replicas. */
const FEWER_BROKERS = "INVALID_REPLICATION_FACTOR";
/** A reader of the rows that belong to a progress finds them for so long (`verify`). */
const MIN_COMPACTION_LAG_MS = 60 * 60 * 1_000;

const logger = getLogger(["log", "kafka"]);

/** A declaration as the cluster is to have it. */
export function declared(name: string, spec: TopicSpec): DeclaredTopic {
  const { partitions, cleanup, retentionMs } = spec;
  const common = {
    "max.message.bytes": String(MAX_MESSAGE_BYTES),
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

export class Topics {
  constructor(private readonly connections: Connections) {}

  /**
   * Creates what is missing. Throws `topic_mismatch` for drift that endangers data, and tells of
   * any other.
   */
  async ensure(wanted: readonly DeclaredTopic[]): Promise<void> {
    const actual = await this.describe(wanted.map(({ name }) => name));
    const missing = wanted.filter(({ name }) => !actual.has(name));
    await this.create(missing);
    for (const topic of wanted) {
      const found = actual.get(topic.name);
      if (found === undefined) continue;
      const different = drifts(topic, found);
      const danger = different.filter(({ endangers }) => endangers);
      if (danger.length > 0) throw mismatch(topic.name, danger);
      if (different.length === 0) continue;
      logger.warn("topic {topic} is not as declared: {what}; `topics sync` corrects it", {
        topic: topic.name,
        what: driftText(different),
      });
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
      const replicas = replicasFor(brokers.length);
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
        if (areAll(error, ["TOPIC_ALREADY_EXISTS"])) return; // another process was faster
        // Of brokers that were named a moment ago: the controller has yet to hear from one again.
        if (areAll(error, ["TOPIC_ALREADY_EXISTS", FEWER_BROKERS])) throw notYet(whyOf(error));
        throw error;
      }
    });
    for (const { name } of topics) await this.awaitLeaders(name);
  }

  /** All that begin so, without the brokers' own. */
  async namesUnder(prefix: string): Promise<readonly string[]> {
    return this.retrying("list topics", async () => {
      const { topics } = await this.connections.metadata(null);
      const own = topics.filter(({ name, isInternal }) => name.startsWith(prefix) && !isInternal);
      return own.map(({ name }) => name).sort();
    });
  }

  /** How many copies of a record this cluster is to have. */
  async wantedReplicas(): Promise<number> {
    const { brokers } = await this.retrying("count the brokers", () =>
      this.connections.metadata([]),
    );
    return replicasFor(brokers.length);
  }

  /**
   * These settings alone; the others of the topics stay. Resolves once a broker shows them, which
   * is a moment after they were taken. Throws `topic_mismatch` if they are refused.
   */
  async correct(topics: readonly TopicSettings[]): Promise<void> {
    if (topics.length === 0) return;
    const what = "change settings of topics";
    await this.retrying(what, async () =>
      changeTopicSettings(await this.connections.any(), topics),
    );
    await this.retrying(what, async () => {
      const actual = await this.describe(topics.map(({ name }) => name));
      for (const { name, settings } of topics) {
        const shown = actual.get(name)?.config ?? {};
        const late = Object.entries(settings).find(([key, value]) => shown[key] !== value);
        if (late !== undefined) throw notYet(`${name} is still shown with ${late[0]} as it was`);
      }
    });
  }

  /** With all that they hold. Resolves once they are gone. */
  async remove(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    await this.retrying("remove topics", async () => {
      const broker = await this.connections.any();
      try {
        await broker.deleteTopics({ topics: names, timeout: CREATE_WITHIN_MS });
      } catch (error) {
        if (typeOf(error) !== "UNKNOWN_TOPIC_OR_PARTITION") throw error; // it is gone already
      }
      for (const name of names) this.connections.forget(name);
      const left = await this.describe(names);
      if (left.size === 0) return;
      throw notYet(`${[...left.keys()].join(", ")} still there`);
    });
  }

  /** A topic's partitions get their leaders a moment after it was made. */
  private async awaitLeaders(name: string): Promise<void> {
    const ask = async () => {
      this.connections.forget(name);
      // A busy broker calls a topic unknown for seconds after it was made.
      const { topics } = await this.connections.metadata([name]);
      const leaders = topics[0]?.leaders ?? [];
      if (leaders.length > 0 && leaders.every((leader) => leader >= 0)) return;
      throw notYet(`${name} has no leaders yet`);
    };
    await retrying(ask, { withinMs: CREATE_WITHIN_MS, what: `see topic ${name}` });
  }

  private async configs(
    names: readonly string[],
  ): Promise<ReadonlyMap<string, Record<string, string>>> {
    if (names.length === 0) return new Map();
    const broker = await this.connections.any();
    const asked = { resources: names.map((name) => ({ type: TOPIC_RESOURCE, name })) };
    const { resources } = await broker.describeConfigs(asked).catch((error: unknown) => {
      if (typeOf(error) !== "UNKNOWN_TOPIC_OR_PARTITION") throw error;
      throw notYet(messageOf(error)); // another broker has told of it
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
    const options = { withinMs: REQUEST_MS, what };
    return retrying(attempt, { ...options, refused: (error) => refused(what, error) });
  }
}

function entries(config: Readonly<Record<string, string>>) {
  return Object.entries(config).map(([name, value]) => ({ name, value }));
}

function areAll(error: unknown, types: readonly string[]): boolean {
  return errorsIn(error).every((each) => types.includes(typeOf(each)));
}

/** One for each topic that could not be made. */
function errorsIn(error: unknown): readonly unknown[] {
  return (error as { readonly errors?: readonly unknown[] }).errors ?? [error];
}

function whyOf(error: unknown): string {
  return [...new Set(errorsIn(error).map(messageOf))].join("; ");
}

/** Comes true in a moment: `isPassing` knows the type. */
function notYet(message: string): Error {
  return Object.assign(new Error(message), { type: "LEADER_NOT_AVAILABLE" });
}

function mismatch(name: string, found: readonly Drift[]): LogError {
  const isCount = found.some(({ setting }) => setting === "partitions");
  const advice = isCount
    ? "A partition count can't change under existing data: keys would move."
    : "Data may be lost by it: correct it with `topics sync`.";
  const message = `topic ${name} is not as declared: ${driftText(found)}. ${advice}`;
  return new LogError("topic_mismatch", message);
}

/** What will not pass by itself: rights that are missing, a policy of the cluster. */
function refused(what: string, error: unknown): LogError {
  const message = `the cluster refuses to ${what}: ${whyOf(error)}`;
  return new LogError("unusable_place", message, { cause: error });
}
