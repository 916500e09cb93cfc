/** What a processor tells of itself in numbers. */

import { expect, test } from "bun:test";
import { LogError, type Progress } from "../../src/log/event-log.ts";
import { jsonCodec } from "../../src/stream/codec.ts";
import { createEmitter } from "../../src/stream/emitter.ts";
import { defineGroup, input, type Stream } from "../../src/stream/group.ts";
import {
  COMMIT_SIZES,
  CommitTally,
  missingBetween,
  type Recovery,
} from "../../src/stream/processing-numbers.ts";
import { type Processor, startProcessor } from "../../src/stream/processor.ts";
import { Stores } from "../../src/stream/stores.ts";
import { defineTopology, topicSpecs } from "../../src/stream/topology.ts";
import { until } from "../conformance/fixture.ts";
import { memoryLog } from "./tally.ts";

const RECORDS = 200;
const numbers: Stream<number> = { topic: "numbers", codec: jsonCodec(), validate: () => null };

test("a store that is built anew tells how far it is, commits tell of their size", async () => {
  const log = memoryLog()(() => 0);
  let running: Processor | null = null;
  const seen: (Recovery | null | undefined)[] = [];
  const look = () => seen.push(running?.numbers().tasks[0]?.recovery);
  const group = defineGroup({ name: "g", inputs: [input(numbers, look)], rows: [] });
  const topology = defineTopology([group]);
  await log.ensureTopics(topicSpecs(topology, { partitions: 1, keepsChangelogs: false }));
  const emitter = createEmitter({ log, stream: numbers, partitions: 1 });
  await emitter.emitAll(Array.from({ length: RECORDS }, (_, message) => ({ key: "k", message })));
  const start = async () => {
    const stores = new Stores(":memory:", log.incarnation);
    const delay = () => Promise.resolve();
    running = startProcessor({ log, group, stores, partitions: 1, delay });
    await until("it runs", () => running?.numbers().tasks[0]?.phase === "running");
    return running;
  };
  const first = await start();
  await until("all is committed", () => first.numbers().commits.records === RECORDS);
  const { commits, tasks } = first.numbers();
  expect(commits).toMatchObject({ fenced: 0, unknown: 0, refused: 0 });
  expect(commits.sizes.reduce((sum, count) => sum + count, 0)).toBe(commits.done);
  expect(tasks).toEqual([{ partition: 0, phase: "running", recovery: null }]);
  await first.stop();

  seen.length = 0;
  const second = await start();
  expect(seen).toHaveLength(RECORDS);
  expect(seen[0]).toEqual({ done: 0, left: RECORDS });
  expect(seen.every((each) => (each?.done ?? 0) + (each?.left ?? 0) === RECORDS)).toBe(true);
  expect(seen.at(-1)?.done).toBeGreaterThan(0);
  expect(second.numbers()).toMatchObject({ commits: { done: 0 }, tasks: [{ recovery: null }] });
  await second.stop();
  await log.close();
});

test("a commit stands among those of its size, a failed one under what it came to", () => {
  const tally = new CommitTally();
  for (const records of [1, 2, 4, 5, 2_048, 2_049]) tally.committed(records);
  expect(COMMIT_SIZES).toHaveLength(tally.sizes.length - 1);
  expect(tally.sizes).toEqual([1, 2, 1, 0, 0, 0, 1, 1]);
  expect([tally.done, tally.records]).toEqual([6, 4_109]);
  for (const code of ["fenced", "outcome_unknown", "unavailable", "topic_changed"] as const) {
    tally.failed(new LogError(code, "x"));
  }
  tally.failed(new TypeError("anything else may have been written"));
  expect([tally.fenced, tally.unknown, tally.refused]).toEqual([1, 2, 2]);
});

test("what a store lacks is told by inputs, or by changed rows", () => {
  const progress = (a: bigint, b: bigint, changelogOffset: bigint | null): Progress => ({
    inputs: [
      { topic: "a", nextOffset: a, checksum: 0 },
      { topic: "b", nextOffset: b, checksum: 0 },
    ],
    ...{ outputs: [], changelogOffset },
  });
  const to = progress(10n, 4n, 99n);
  const each = (from: Progress | null) => [
    missingBetween(from, to, false),
    missingBetween(from, to, true),
  ];
  expect(each(null)).toEqual([14, 100]);
  expect(each(progress(7n, 4n, 49n))).toEqual([3, 50]);
  expect(each(to)).toEqual([0, 0]);
  expect(missingBetween(null, null, false)).toBe(0);
  expect(missingBetween(null, progress(1n, 1n, null), true)).toBe(0);
});
