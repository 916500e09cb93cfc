import { describe, expect, test } from "bun:test";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import type { LogRecord, Progress } from "../../src/log/event-log.ts";
import { jsonCodec } from "../../src/stream/codec.ts";
import { toDeadLetter } from "../../src/stream/dead-letter.ts";
import { toMark } from "../../src/stream/dead-letter-mark.ts";
import { defineGroup, input, type Stream } from "../../src/stream/group.ts";
import { Statuses, type StatusOptions } from "../../src/stream/status.ts";
import { StreamError } from "../../src/stream/stream-error.ts";
import { defineTopology, topicSpecs } from "../../src/stream/topology.ts";

const lines: Stream<number> = { topic: "lines", codec: jsonCodec(), validate: () => null };
const count = defineGroup({ name: "count", inputs: [input(lines, () => {})], rows: [] });
const topology = defineTopology([count]);
const bytes = (text: string) => new TextEncoder().encode(text);

/** Four records, of the seconds 0 to 3, in one of two partitions; it is second 10. */
async function filled(
  own: Partial<StatusOptions["log"]> = {},
  folded: StatusOptions["folded"] = () => undefined,
) {
  let nowMs = 0;
  let monotonicMs = 0;
  const log = openEmbeddedLog({ folder: ":memory:", create: true, nowMs: () => nowMs });
  await log.ensureTopics(topicSpecs(topology, { partitions: 2, keepsChangelogs: false }));
  for (; nowMs < 4_000; nowMs += 1_000) {
    await log.append([{ topic: "lines", partition: 1, key: bytes("k"), value: bytes("1") }]);
  }
  nowMs = 10_000;
  const asked: StatusOptions["log"] = {
    bounds: (topic, partition) => log.bounds(topic, partition),
    progress: (group, partition) => log.progress(group, partition),
    owners: (group) => log.owners(group),
    read: (options) => log.read(options),
    ...own,
  };
  let rows = 5;
  const statuses = new Statuses({
    ...{ log: asked, topology, partitions: 2, nowMs: () => nowMs },
    monotonicMs: () => monotonicMs,
    rows: () => rows++,
    folded,
  });
  return {
    log,
    look: () => statuses.look(),
    lags: () => statuses.lags(),
    pass: (ms: number) => (monotonicMs += ms),
    [Symbol.asyncDispose]: () => log.close(),
  };
}

const progressAt = (nextOffset: bigint): Partial<StatusOptions["log"]> => ({
  progress: async (_, partition) => {
    const inputs = [{ topic: "lines", nextOffset, checksum: 0 }];
    return partition === 0 ? null : { inputs, outputs: [], changelogOffset: null };
  },
});

describe("the status of a partition", () => {
  test("tells of a group that never ran that all is to be done, by nobody", async () => {
    await using here = await filled();
    const [empty, full] = await here.look();
    expect(empty).toMatchObject({ partition: 0, owner: null, lagRecords: 0n, lagMs: null });
    expect(full).toEqual({
      ...{ group: "count", partition: 1, owner: null, lagRecords: 4n, lagMs: 10_000, rows: 6 },
      inputs: [{ topic: "lines", nextOffset: null, end: 4n }],
      dead: { open: 0, handled: 0 },
      counts: { dead_letters: 0, repeats: 0 },
      recovery: null,
    });
  });

  test("has the records left, and how long the oldest has waited", async () => {
    const owners = async () => [{ partition: 1, owner: "pid 7" }];
    await using here = await filled({ ...progressAt(3n), owners });
    expect((await here.look())[1]).toMatchObject({ owner: "pid 7", lagRecords: 1n, lagMs: 7_000 });
    await using done = await filled(progressAt(4n));
    expect((await done.look())[1]).toMatchObject({ lagRecords: 0n, lagMs: null });
  });

  test("takes a gap before the end for no lag", async () => {
    const bounds = async () => ({ start: 0n, end: 6n });
    const gap: Partial<StatusOptions["log"]> = { bounds, async *read() {} };
    await using here = await filled({ ...progressAt(5n), ...gap });
    expect((await here.look())[1]).toMatchObject({ lagRecords: 0n, lagMs: null });
  });

  test("counts dead letters apart from those that somebody has dealt with", async () => {
    await using here = await filled();
    const refused = { topic: "lines", partition: 1, headers: [], timestampMs: 0, checksum: 0 };
    const letter = (offset: bigint) => {
      const record: LogRecord = { ...refused, offset, key: bytes("k"), value: bytes("1") };
      return toDeadLetter(count, record, { reason: "invalid_record", detail: "no" });
    };
    await here.log.append([letter(0n), letter(1n)]);
    expect((await here.look())[1]).toMatchObject({ dead: { open: 2, handled: 0 } });
    const mark = { how: "dropped", actor: "ann", reason: "a test", atMs: 0, as: null } as const;
    await here.log.append([toMark(count, { topic: "lines", partition: 1, offset: 0n }, mark)]);
    expect((await here.look())[1]).toMatchObject({ dead: { open: 1, handled: 1 } });
  });

  test("counts rows anew only after a while", async () => {
    await using here = await filled();
    const rows = async () => (await here.look()).map((status) => status.rows);
    expect(await rows()).toEqual([5, 6]);
    here.pass(9_999);
    expect(await rows()).toEqual([5, 6]);
    here.pass(1);
    expect(await rows()).toEqual([7, 8]);
  });

  test("says what a table lacks, and how long it takes as fast as it went", async () => {
    const all = 1_000_000n;
    let at: bigint | null = null;
    const progress = (nextOffset: bigint) => ({
      inputs: [{ topic: "lines", nextOffset, checksum: 0 }],
      ...{ outputs: [], changelogOffset: null },
    });
    const bounds = async (topic: string, partition: number) => ({
      ...{ start: 0n, end: topic === "lines" && partition === 1 ? all : 0n },
    });
    const log = { ...progressAt(all), bounds };
    const folded = () => (at === null ? null : progress(at));
    await using here = await filled(log, folded);
    const recovery = async () => (await here.look())[1]?.recovery;
    expect(await recovery()).toEqual({ left: 1_000_000, etaMs: null });
    here.pass(1_000);
    expect(await recovery()).toEqual({ left: 1_000_000, etaMs: null });
    at = 100_000n;
    here.pass(1_000);
    expect(await recovery()).toEqual({ left: 900_000, etaMs: 18_000 });
    at = all - 5n;
    expect(await recovery()).toMatchObject({ left: 5 });
    at = all;
    expect(await recovery()).toBeNull();
    at = all - 2_048n; // as one that has just committed
    expect(await recovery()).toBeNull();
    at = 0n; // lost again
    expect(await recovery()).toEqual({ left: 1_000_000, etaMs: null });
    const unreadable = () => {
      throw new StreamError("store_unavailable", "it cannot be read");
    };
    await using other = await filled(log, unreadable);
    expect((await other.look())[1]?.recovery).toBeNull();
  });

  test("takes no table that is behind with its writes for one that is built", async () => {
    const [next, end] = [500_000n, 1_000_000n];
    const inputs = (nextOffset: bigint) => [{ topic: "lines", nextOffset, checksum: 0 }];
    const at = (nextOffset: bigint): Progress => ({
      ...{ inputs: inputs(nextOffset), outputs: [], changelogOffset: null },
    });
    let done = next;
    const first = { topic: "lines", offset: next, timestampMs: 0 } as LogRecord;
    const log: Partial<StatusOptions["log"]> = {
      progress: async (_, partition) => (partition === 0 ? null : at(done)),
      bounds: async (topic, partition) => ({
        ...{ start: 0n, end: topic === "lines" && partition === 1 ? end : 0n },
      }),
      async *read() {
        yield [first];
      },
    };
    let lacks = 18_432n;
    await using here = await filled(log, (_, partition) =>
      partition === 0 ? null : at(done - lacks),
    );
    const recovery = async () => (await here.look())[1]?.recovery;
    expect(await recovery()).toBeNull();
    lacks = 18_433n;
    expect(await recovery()).toEqual({ left: 18_433, etaMs: null });
    [done, lacks] = [done + 1n, 9_000n]; // it commits, so it is built
    expect(await recovery()).toBeNull();
  });

  test("has what commits counted: zeros before the first, nothing where not all were", async () => {
    const counted = { late: 3 };
    const ran: Partial<StatusOptions["log"]> = {
      progress: async (_, partition) => {
        const progress = { inputs: [], outputs: [], changelogOffset: null };
        return partition === 0 ? progress : { ...progress, counts: counted };
      },
    };
    await using here = await filled(ran);
    expect((await here.lags()).map(({ counts }) => counts)).toEqual([null, counted]);
    await using fresh = await filled();
    const none = { dead_letters: 0, repeats: 0 };
    expect((await fresh.lags()).map(({ counts }) => counts)).toEqual([none, none]);
  });
});
