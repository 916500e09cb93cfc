import { describe, expect, test } from "bun:test";
import type { EventLog, Progress } from "../../src/log/event-log.ts";
import { jsonCodec } from "../../src/stream/codec.ts";
import { defineGroup, input, type Stream } from "../../src/stream/group.ts";
import { STANDSTILL_MS, Standings } from "../../src/stream/standing.ts";
import { defineTopology } from "../../src/stream/topology.ts";

const stream = (topic: string): Stream<number> => ({
  topic,
  codec: jsonCodec(),
  validate: () => null,
});
const [a, b] = [stream("a"), stream("b")];
const [fromA, fromB] = [input(a, () => {}), input(b, () => {})];
const both = defineGroup({ name: "both", inputs: [fromA, fromB], rows: [] });
const one = defineGroup({ name: "one", inputs: [fromA], rows: [] });
const topology = defineTopology([both, one]);

/** A log of which only what is looked at is there, set by hand, and a clock. */
function world() {
  const owners = new Map<string, string>();
  const done = new Map<string, Record<string, bigint>>();
  const ends = new Map<string, readonly [start: bigint, end: bigint]>();
  let nowMs = 0;
  const log: Pick<EventLog, "bounds" | "progress" | "owners"> = {
    bounds: async (topic, partition) => {
      const [start, end] = ends.get(`${topic}/${partition}`) ?? [0n, 0n];
      return { start, end };
    },
    progress: async (group, partition): Promise<Progress | null> => {
      const inputs = done.get(`${group}/${partition}`);
      if (inputs === undefined) return null;
      const entries = Object.entries(inputs);
      return {
        inputs: entries.map(([topic, nextOffset]) => ({ topic, nextOffset, checksum: 1 })),
        outputs: [],
        changelogOffset: null,
      };
    },
    owners: async (group) =>
      [0, 1].map((partition) => {
        return { partition, owner: owners.get(`${group}/${partition}`) ?? null };
      }),
  };
  const standings = new Standings({ log, topology, partitions: 2, monotonicMs: () => nowMs });
  return {
    owners,
    done,
    ends,
    look: () => standings.look(),
    /** Looks after so long; group and partition of what stands still. */
    stillAfter: async (ms: number) => {
      nowMs += ms;
      return (await standings.look()).flatMap(({ group, partitionsStandingStill }) =>
        partitionsStandingStill.map((partition) => `${group}/${partition}`),
      );
    },
  };
}

describe("the standing of groups", () => {
  test("is the lag over all inputs and partitions, and what nobody runs", async () => {
    const { owners, done, ends, look } = world();
    ends.set("a/0", [0n, 10n]).set("a/1", [5n, 8n]).set("b/1", [0n, 2n]);
    done.set("both/0", { a: 4n }).set("both/1", { a: 8n, b: 1n }).set("one/0", { a: 10n });
    owners.set("both/0", "pid 1").set("both/1", "pid 2").set("one/1", "pid 1");
    const still = { partitionsStandingStill: [] };
    expect(await look()).toEqual([
      { group: "both", lag: 7n, partitionsWithoutOwner: [], ...still },
      { group: "one", lag: 3n, partitionsWithoutOwner: [0], ...still },
    ]);
  });

  test("names a partition with owner and lag that makes no progress for 5 s", async () => {
    const { owners, done, ends, stillAfter } = world();
    owners.set("both/1", "pid 1").set("one/1", "pid 1");
    ends.set("a/1", [0n, 3n]);
    expect(await stillAfter(60_000)).toEqual([]);
    expect(await stillAfter(STANDSTILL_MS - 1)).toEqual([]);
    done.set("one/1", { a: 1n });
    expect(await stillAfter(1)).toEqual(["both/1"]);
    expect(await stillAfter(STANDSTILL_MS - 1)).toEqual(["both/1"]);
    expect(await stillAfter(1)).toEqual(["both/1", "one/1"]);
    ends.set("a/1", [0n, 9n]); // more to do is no progress
    done.set("both/1", { a: 0n, b: 0n });
    expect(await stillAfter(1)).toEqual(["both/1", "one/1"]);
    done.set("both/1", { a: 2n, b: 0n });
    expect(await stillAfter(1)).toEqual(["one/1"]);
  });

  test("counts no time without lag, without owner, or of the owner before", async () => {
    const { owners, done, ends, stillAfter } = world();
    done.set("one/0", { a: 2n });
    ends.set("a/0", [0n, 2n]);
    owners.set("one/0", "pid 1");
    expect(await stillAfter(STANDSTILL_MS)).toEqual([]);
    ends.set("a/0", [0n, 3n]);
    expect(await stillAfter(STANDSTILL_MS)).toEqual([]);
    expect(await stillAfter(STANDSTILL_MS)).toEqual(["one/0"]);
    owners.delete("one/0");
    expect(await stillAfter(STANDSTILL_MS)).toEqual([]);
    owners.set("one/0", "pid 1");
    expect(await stillAfter(STANDSTILL_MS)).toEqual([]);
    owners.set("one/0", "pid 2");
    expect(await stillAfter(STANDSTILL_MS)).toEqual([]);
    expect(await stillAfter(STANDSTILL_MS)).toEqual(["one/0"]);
    done.set("one/0", { a: 3n });
    expect(await stillAfter(STANDSTILL_MS)).toEqual([]);
  });
});
