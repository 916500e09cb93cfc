/** Conformance: topics and their declarations. */

import { expect } from "bun:test";
import { LogError } from "../../src/log/event-log.ts";
import { codeOf, errorOf, type Fixture, freshName, readAll, record, texts } from "./fixture.ts";
import { Member } from "./member.ts";

export function topicCases(fixture: Fixture): void {
  fixture.case(
    "creates a topic once, empty, and leaves what it holds when declared again",
    async () => {
      const log = await fixture.open();
      const spec = {
        name: freshName("t"),
        partitions: 3,
        cleanup: "keep",
        retentionMs: null,
      } as const;
      await log.ensureTopics([spec]);
      for (const partition of [0, 1, 2]) {
        expect(await log.bounds(spec.name, partition)).toEqual({ start: 0n, end: 0n });
      }
      await log.append([record(spec.name, "kept", { partition: 2 })]);
      await log.ensureTopics([spec]);
      expect(texts(await readAll(log, spec.name, 2))).toEqual(["kept"]);
    },
  );

  fixture.case("refuses a topic that is declared otherwise, naming topic and field", async () => {
    const log = await fixture.open();
    const spec = {
      name: freshName("t"),
      partitions: 3,
      cleanup: "compact",
      retentionMs: 60_000,
    } as const;
    await log.ensureTopics([spec]);
    const others = { partitions: 4, cleanup: "keep", retentionMs: null } as const;
    for (const [field, value] of Object.entries(others)) {
      const error = await errorOf(log.ensureTopics([{ ...spec, [field]: value }]));
      expect(error.code).toBe("topic_mismatch");
      expect(error.message).toContain(spec.name);
      expect(error.message).toContain(field);
    }
    expect(await codeOf(log.append([record(spec.name, "x", { partition: 3 })]))).toBe(
      "unknown_topic",
    );
  });

  fixture.case("refuses topic names and partition counts out of their limits", async () => {
    const log = await fixture.open();
    const spec = {
      name: freshName("t"),
      partitions: 1,
      cleanup: "keep",
      retentionMs: null,
    } as const;
    const bad = [
      ...["", "a b", "a/b", "é", "x".repeat(201)].map((name) => ({ ...spec, name })),
      ...[0, -1, 1.5, 1_025, Number.NaN].map((partitions) => ({ ...spec, partitions })),
    ];
    for (const each of bad)
      expect(await errorOf(log.ensureTopics([each]))).toBeInstanceOf(LogError);
    expect(await codeOf(log.bounds(spec.name, 0))).toBe("unknown_topic");
  });

  fixture.case("names an unknown topic or partition in every operation on it", async () => {
    const { log, topic } = await fixture.withTopic();
    const none = freshName("none");
    expect(await codeOf(log.bounds(none, 0))).toBe("unknown_topic");
    expect(await codeOf(log.bounds(topic, 2))).toBe("unknown_topic");
    expect(await codeOf(readAll(log, none, 0, { from: 0n, until: 1n }))).toBe("unknown_topic");
    expect(await codeOf(new Member(log, { group: freshName("g"), topics: [none] }).ended())).toBe(
      "unknown_topic",
    );
  });
}
