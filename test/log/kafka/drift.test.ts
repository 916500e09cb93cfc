import { describe, expect, test } from "bun:test";
import type { TopicSpec } from "../../../src/log/event-log.ts";
import { type ActualTopic, drifts, minInSync, replicasFor } from "../../../src/log/kafka/drift.ts";
import { declared } from "../../../src/log/kafka/topics.ts";

const STREAM: TopicSpec = { name: "s", partitions: 8, cleanup: "keep", retentionMs: null };
const AGED: TopicSpec = { ...STREAM, retentionMs: 60_000 };
const TABLE: TopicSpec = { ...STREAM, cleanup: "compact", retentionMs: 604_800_000 };

const REPLICAS = 3;

/** As declared, but for what is said. */
function actual(spec: TopicSpec, other: Partial<ActualTopic> = {}): ActualTopic {
  const { partitions, config } = declared(spec.name, spec);
  const replicas = other.replicas ?? REPLICAS;
  return {
    partitions,
    replicas,
    ...other,
    config: { ...config, "min.insync.replicas": minInSync(replicas), ...other.config },
  };
}

function found(spec: TopicSpec, other: Partial<ActualTopic> = {}) {
  return drifts(declared(spec.name, spec), actual(spec, other), REPLICAS);
}

const SPECS = { stream: STREAM, aged: AGED, table: TABLE } as const;
type Case = readonly [kind: keyof typeof SPECS, setting: string, actual: string];

/** A record that was acknowledged may be lost by each. */
const DANGERS: readonly Case[] = [
  ["stream", "cleanup.policy", "compact"],
  ["stream", "cleanup.policy", "compact,delete"],
  ["table", "cleanup.policy", "delete"],
  ["table", "cleanup.policy", "compact,delete"],
  ["stream", "retention.ms", "604800000"],
  ["aged", "retention.ms", "59999"],
  ["stream", "retention.bytes", "1073741824"],
  ["table", "delete.retention.ms", "86400000"],
  ["stream", "message.timestamp.type", "CreateTime"],
  ["table", "message.timestamp.type", "CreateTime"],
  ["stream", "min.insync.replicas", "1"],
  ["stream", "unclean.leader.election.enable", "true"],
];

/** Not as declared, and nothing is lost by it. */
const HARMLESS: readonly Case[] = [
  ["aged", "retention.ms", "-1"],
  ["aged", "retention.ms", "60001"],
  ["table", "delete.retention.ms", "604800001"],
  ["table", "min.compaction.lag.ms", "0"],
  ["stream", "min.insync.replicas", "3"],
  ["stream", "max.message.bytes", "1048587"],
  ["table", "max.message.bytes", "1000"],
];

describe("drift", () => {
  test("is nothing where a topic is as declared, whatever else is set", () => {
    for (const spec of [STREAM, AGED, TABLE]) {
      expect(found(spec)).toEqual([]);
      expect(found(spec, { config: { "segment.bytes": "1000000" } })).toEqual([]);
      expect(found(spec, { config: { "max.message.bytes": "9000000" } })).toEqual([]);
    }
  });

  test("compares with what verify rests on: a table's rows stay for an hour", () => {
    expect(actual(TABLE).config["min.compaction.lag.ms"]).toBe("3600000");
  });

  test.each(DANGERS)("of a %s in %s to %s endangers data", (kind, setting, value) => {
    const spec = SPECS[kind];
    expect(found(spec, { config: { [setting]: value } })).toEqual([
      {
        setting,
        declared: actual(spec).config[setting] as string,
        actual: value,
        endangers: true,
        isCorrectable: true,
      },
    ]);
  });

  test.each(HARMLESS)("of a %s in %s to %s is shown, no danger", (kind, setting, value) => {
    expect(found(SPECS[kind], { config: { [setting]: value } })).toMatchObject([
      { setting, actual: value, endangers: false, isCorrectable: true },
    ]);
  });

  test("in the count of partitions endangers data, and no setting corrects it", () => {
    expect(found(STREAM, { partitions: 16 })).toMatchObject([
      { setting: "partitions", declared: "8", actual: "16", endangers: true, isCorrectable: false },
    ]);
  });

  test("in the number of copies is shown where there are fewer, so that a cluster may grow", () => {
    expect(found(STREAM, { replicas: 1 })).toMatchObject([
      { setting: "replicas", declared: "3", actual: "1", endangers: false, isCorrectable: false },
    ]);
    expect(found(STREAM, { replicas: 4 })).toEqual([]);
    expect(drifts(declared("s", STREAM), actual(STREAM, { replicas: 1 }))).toEqual([]);
  });

  test("measures the acknowledging copies by those that the topic has", () => {
    expect([1, 2, 3, 5].map(minInSync)).toEqual(["1", "1", "2", "2"]);
    expect([1, 2, 3, 5].map(replicasFor)).toEqual([1, 2, 3, 3]);
  });
});
