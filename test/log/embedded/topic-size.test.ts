import { expect, test } from "bun:test";
import { openEmbeddedLog } from "../../../src/log/embedded/embedded-log.ts";
import type { TopicSpec } from "../../../src/log/event-log.ts";

const spec = (name: string): TopicSpec => {
  return { name, partitions: 2, cleanup: "keep", retentionMs: null };
};

test("a topic's size counts its own records, and their keys, values and headers", async () => {
  const log = openEmbeddedLog({ folder: ":memory:", create: true, nowMs: () => 0 });
  await log.ensureTopics([spec("a"), spec("b"), spec("empty")]);
  const key = new Uint8Array(3);
  const value = new Uint8Array(10);
  await log.append([
    { topic: "a", partition: 0, key, value },
    { topic: "a", partition: 1, key, value: null },
    { topic: "b", partition: 0, key, value: new Uint8Array(1_000) },
  ]);
  expect(await log.size("a")).toEqual({ records: 2, bytes: 16 });
  await log.append([{ topic: "a", partition: 0, key, value, headers: [["id", value]] }]);
  const { records, bytes } = await log.size("a");
  expect(records).toBe(3);
  expect(bytes).toBeGreaterThanOrEqual(16 + 13 + 12);
  expect(await log.size("empty")).toEqual({ records: 0, bytes: 0 });
  await log.close();
});
