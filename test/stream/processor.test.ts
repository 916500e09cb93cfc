import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Database } from "bun:sqlite";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Claim,
  type EventLog,
  type JoinOptions,
  LogError,
} from "../../src/log/event-log.ts";
import { nextTurn } from "../../src/stream/catch-up.ts";
import { defineGroup, input } from "../../src/stream/group.ts";
import { startProcessor } from "../../src/stream/processor.ts";
import { Stores } from "../../src/stream/stores.ts";
import { storeMismatch } from "../../src/stream/store-fault.ts";
import type { Faults } from "./faulty-log.ts";
import { eventually, type Member, sendNumbers, startMember, viewOf } from "./members.ts";
import { keyIn, numbers, type Sum, sums, tallyGroup, totals } from "./tally.ts";
import { removeFoldersAfterEach, temporaryFolder } from "./temporary-folder.ts";
import { rejection } from "../rejection.ts";

removeFoldersAfterEach();
setDefaultTimeout(30_000); // several conditions are awaited, each with a deadline of its own

const group = tallyGroup();
let folder: string;
let members: Member[];
beforeEach(() => {
  folder = temporaryFolder();
  members = [];
});
afterEach(async () => {
  for (const member of members.splice(0)) await member.close();
});

async function start(partitions: number, faults: Faults = {}, standIn = false): Promise<Member> {
  const member = await startMember({ folder, group, partitions, faults, standIn });
  members.push(member);
  return member;
}

function rowOf(member: Member, partitions: number, key: string): Sum | null {
  const view = viewOf(member, group, partitions);
  try {
    return view.get(key, sums);
  } finally {
    view.close();
  }
}

/** Every sum that was told, by key, in order: each is told once. */
async function told(member: Member, partitions: number): Promise<Record<string, Sum[]>> {
  const found: Record<string, Sum[]> = {};
  for (let partition = 0; partition < partitions; partition += 1) {
    const { start: from, end: until } = await member.log.bounds("totals", partition);
    for await (const records of member.log.read({ topic: "totals", partition, from, until })) {
      for (const { key, value } of records) {
        const of = Buffer.from(key).toString();
        (found[of] ??= []).push(totals.codec.decode(value as Uint8Array));
      }
    }
  }
  return found;
}

const sumsOf = (...each: number[]) =>
  each.map((_, n) => ({ total: each.slice(0, n + 1).reduce((a, b) => a + b), count: n + 1 }));

describe("members of a group", () => {
  const partitions = 4;
  const running = (...of: number[]) => Object.fromEntries(of.map((p) => [p, "running"]));

  test("share its partitions, hand them over as they come and go, and lose nothing", async () => {
    const keys = [0, 1, 2, 3].map((partition) => keyIn(partition));
    const all = (n: number) => keys.map((key): [string, number] => [key, n]);
    const first = await start(partitions);
    await eventually("all for one", () => Object.keys(first.phases()).length === 4);
    await sendNumbers(first, partitions, all(1));
    const second = await start(partitions);
    await sendNumbers(second, partitions, all(2));
    await eventually("a half each", () =>
      [first, second].every((member) => Object.keys(member.phases()).length === 2),
    );
    expect({ ...first.phases(), ...second.phases() }).toEqual(running(0, 1, 2, 3));
    await sendNumbers(first, partitions, all(3));
    await first.close();
    await sendNumbers(second, partitions, all(4));
    await eventually("all for the other", () => Object.keys(second.phases()).length === 4);
    const isDone = (key: string) => rowOf(second, partitions, key)?.count === 4;
    await eventually("all done", () => keys.every(isDone));
    expect(await told(second, partitions)).toEqual(
      Object.fromEntries(keys.map((key) => [key, sumsOf(1, 2, 3, 4)])),
    );
  });

  test("that stand in have all until a regular one comes, and nothing afterwards", async () => {
    const standIn = await start(partitions, {}, true);
    await eventually("stood in", () => Object.keys(standIn.phases()).length === 4);
    const regular = await start(partitions);
    await eventually("yielded", () => Object.keys(regular.phases()).length === 4);
    expect(standIn.phases()).toEqual({});
    const late = await start(partitions, {}, true);
    const key = keyIn(2);
    await sendNumbers(late, partitions, [[key, 5]]);
    await eventually("done", () => rowOf(late, partitions, key)?.total === 5);
    expect([late.phases(), regular.phases()]).toEqual([{}, running(0, 1, 2, 3)]);
  });
});

describe("an owner that hangs and wakes up after another has taken over", () => {
  /** The first owner stops at the step until `wake` is called; another takes its partition. */
  async function hangAt(step: "beforeCommit" | "afterCommit") {
    const isReached = Promise.withResolvers<void>();
    const isAwake = Promise.withResolvers<void>();
    const stale = await start(1, {
      [step]: () => {
        isReached.resolve();
        return isAwake.promise;
      },
    });
    await sendNumbers(stale, 1, [["a", 1], ["b", 1]]);
    await isReached.promise;
    stale.hang();
    const next = await start(1);
    stale.evict();
    await eventually("taken over", () => next.phases()[0] === "running");
    await sendNumbers(next, 1, [["a", 2]]);
    await eventually("the next has gone on", () => rowOf(next, 1, "a")?.count === 2);
    const before = dump();
    isAwake.resolve();
    await eventually("the stale one has given up", () => Object.keys(stale.phases()).length === 0);
    return { next, before };
  }

  /** The store's file as it is. */
  function dump(): unknown {
    const store = new Database(join(folder, "stores", "tally-table", "0.db"));
    const all = [
      store.query("SELECT hex(key), CAST(value AS TEXT) FROM rows").all(),
      store.query("SELECT * FROM place").all(),
    ];
    store.close();
    return all;
  }

  test.each(["beforeCommit", "afterCommit"] as const)("%s: changes nothing", async (step) => {
    const { next, before } = await hangAt(step);
    expect(dump()).toEqual(before);
    await sendNumbers(next, 1, [["b", 2]]);
    await eventually("gone on", () => rowOf(next, 1, "b")?.count === 2);
    expect(await told(next, 1)).toEqual({ a: sumsOf(1, 2), b: sumsOf(1, 2) });
  });
});

test("an owner takes its store before it writes to it", async () => {
  const first = await start(1);
  await sendNumbers(first, 1, [["a", 1]]);
  await eventually("done", () => rowOf(first, 1, "a")?.count === 1);
  await members.pop()?.close();
  const epoch = () => {
    const store = new Database(join(folder, "stores", "tally-table", "0.db"));
    const place = store.query("SELECT epoch FROM place").get() as { epoch: number };
    store.close();
    return place.epoch;
  };
  const before = epoch();
  const second = await start(1);
  await eventually("running", () => second.phases()[0] === "running");
  expect(epoch()).toBeGreaterThan(before);
});

describe("a store that", () => {
  const partitions = 2;
  const [bad, good] = [keyIn(0, partitions), keyIn(1, partitions)];
  const path = () => join(folder, "stores", "tally-table", "0.db");

  async function runOnce(): Promise<void> {
    const member = await start(partitions);
    await sendNumbers(member, partitions, [[bad, 1], [good, 1]]);
    await eventually("done", () => rowOf(member, partitions, bad)?.count === 1);
    await members.pop()?.close();
  }

  test.each([
    ["is damaged", () => writeFileSync(path(), Buffer.alloc(8_192, "x"))],
    ["is of another log", () => change("UPDATE place SET incarnation = 'another'")],
    ["has lost its tables", () => change("DROP TABLE rows")],
    ["has rows that cannot be read", () => change("UPDATE rows SET value = x'ff'")],
    ["has a place that cannot be read", () => change("UPDATE place SET progress = '{'")],
    ["has pages that are damaged", () => writeFileSync(path(), damagedPages(readFileSync(path())))],
  ])("%s is built anew, and the others go on", async (_, damage) => {
    await runOnce();
    damage();
    const member = await start(partitions);
    await sendNumbers(member, partitions, [[bad, 2], [good, 2]]);
    await eventually("the other", () => rowOf(member, partitions, good)?.count === 2);
    await eventually("built anew", () => member.phases()[0] === "running");
    await eventually("gone on", () => rowOf(member, partitions, bad)?.count === 2);
    expect(member.phases()).toEqual({ 0: "running", 1: "running" });
  });

  test("loses its place while its partition runs is built anew", async () => {
    const member = await start(1);
    await sendNumbers(member, 1, [["a", 1]]);
    await eventually("done", () => rowOf(member, 1, "a")?.count === 1);
    change("DELETE FROM place");
    await sendNumbers(member, 1, [["a", 2]]);
    await eventually("gone on", () => {
      try {
        return rowOf(member, 1, "a")?.count === 2;
      } catch {
        return false; // it is of no use to readers until it is built anew
      }
    });
    expect(member.phases()).toEqual({ 0: "running" });
  });

  test("stays of no use is taken away once, and then stops its partition", async () => {
    const { log, processor: other } = await start(1);
    await other.stop();
    const taken: number[] = [];
    class DamagingDisk extends Stores {
      override open(table: string, partition: number): never {
        throw storeMismatch(this.path(table, partition), "cannot be read");
      }
      override discard(_table: string, partition: number): void {
        taken.push(partition);
      }
    }
    const stores = new DamagingDisk(join(folder, "stores"), log.incarnation);
    const processor = startProcessor({ log, group, stores, partitions: 1, delay: nextTurn });
    try {
      await eventually("stopped", () => processor.state()[0]?.phase === "stopped");
      expect(processor.state()[0]?.error).toMatchObject({ code: "store_mismatch" });
      expect(taken).toEqual([0]);
    } finally {
      await processor.stop();
    }
  });

  test("that is ahead of its log stops its partition, and nothing of it goes", async () => {
    await runOnce();
    change(`UPDATE place SET progress = replace(progress, '"numbers",1', '"numbers",9')`);
    const member = await start(partitions);
    await eventually("stopped", () => member.phases()[0] === "stopped");
    expect(member.processor.state()[0]?.error).toMatchObject({ code: "store_ahead" });
    expect(existsSync(path())).toBe(true);
  });

  /** All but the first, which says what the others are. */
  function damagedPages(file: Buffer): Buffer {
    return Buffer.concat([file.subarray(0, 4_096), Buffer.alloc(file.length - 4_096, 0xee)]);
  }

  function change(statement: string): void {
    const database = new Database(path());
    database.exec(statement);
    database.close();
  }

  test("is locked by another is tried again until it is free", async () => {
    await runOnce();
    const holder = new Database(path());
    holder.exec("BEGIN IMMEDIATE");
    const member = await start(partitions);
    await sendNumbers(member, partitions, [[bad, 2], [good, 2]]);
    await eventually("the other", () => rowOf(member, partitions, good)?.count === 2);
    holder.exec("ROLLBACK");
    holder.close();
    await eventually("gone on", () => rowOf(member, partitions, bad)?.count === 2);
    expect(member.phases()).toEqual({ 0: "running", 1: "running" });
  });
});

describe("a processor", () => {
  test("says what it counted, what it skipped and how far it came", async () => {
    const strict = defineGroup({
      name: "tally",
      inputs: [
        input(
          numbers,
          (_context, n) => {
            if (n === 13) throw new Error("thirteen");
          },
          { fingerprint: String },
        ),
      ],
      rows: [],
    });
    const member = await startMember({ folder, group: strict, partitions: 1 });
    members.push(member);
    const record = (value: string) => ({
      ...{ topic: "numbers", partition: 0, key: Buffer.from("a"), value: Buffer.from(value) },
      headers: [["id", Buffer.from("1")]] as const,
    });
    await member.log.append(["1", "1", "2", "x", "1", "3"].map(record));
    await member.log.append([{ ...record("13"), headers: [] }]);
    await eventually("stopped", () => member.phases()[0] === "stopped");
    const [state] = member.processor.state();
    expect(state).toMatchObject({ partition: 0, deadLetters: 3, repeats: 2 });
    expect(state?.progress?.inputs[0]?.nextOffset).toBe(6n);
  });

  test("commits in parts what takes long, and shows each part while more waits", async () => {
    let nowMs = 0;
    const ends: number[] = [];
    const shownBefore: number[] = [];
    const member: Member = await startMember({
      ...{ folder, group: tallyGroup(), partitions: 1 },
      // A third of a second between two looks at the clock.
      monotonicMs: () => (nowMs += 333),
      faults: {
        beforeCommit: (_, { inputs }) => {
          ends.push(Number(inputs[0]?.nextOffset));
          shownBefore.push(rowOf(member, 1, "a")?.count ?? 0);
        },
      },
    });
    members.push(member);
    const sent = Array.from({ length: 64 + 1_000 }, (_, n): [string, number] => ["a", n]);
    await sendNumbers(member, 1, sent);
    await eventually("done", () => rowOf(member, 1, "a")?.count === sent.length);
    const sizes = ends.map((end, index) => end - (ends[index - 1] ?? 0));
    expect(sizes.length).toBeGreaterThan(7);
    expect(Math.max(...sizes)).toBe(128);
    expect(shownBefore).toEqual([0, ...ends.slice(0, -1)]);
  });

  test("stops once however often it is told to, and gives its partitions back", async () => {
    const member = await start(2);
    await eventually("running", () => Object.keys(member.phases()).length === 2);
    await Promise.all([member.processor.stop(), member.processor.stop()]);
    await member.processor.done;
    expect(member.processor.state()).toEqual([]);
    const owners = await member.log.owners("tally");
    expect(owners.map(({ owner }) => owner)).toEqual([null, null]);
  });

  test("waits before it takes a claim again that was over with its failure", async () => {
    const refusal = new LogError("record_too_large", "the broker takes no such record");
    const delays: number[] = [];
    let claims = 0;
    const claimsOf = async function* ({ signal }: JoinOptions): AsyncGenerator<Claim> {
      while (!signal.aborted && claims < 3) {
        claims += 1;
        const released = Promise.withResolvers<void>();
        yield failingClaim(claims, { refusal, released: released.resolve });
        await released.promise;
      }
    };
    const log: Partial<EventLog> = { keepsChangelogs: true, join: claimsOf, notify: () => {} };
    const processor = startProcessor({
      log: log as EventLog,
      group,
      stores: new Stores(":memory:", "incarnation"),
      partitions: 1,
      delay: async (ms) => void delays.push(ms),
    });
    await processor.done;
    expect(claims).toBe(3);
    // The other waits are an hour long: for the next stamp of a store.
    expect(delays.filter((ms) => ms < 3_600_000)).toEqual([500, 500, 500]);
  });

  test("ends with what is wrong when its topics are not there", async () => {
    const member = await start(2);
    const nowhere = input({ ...numbers, topic: "nowhere" }, () => {});
    const lost = defineGroup({ name: "lost", inputs: [nowhere], rows: [] });
    const { log, stores } = member;
    const delay = () => Promise.resolve();
    const processor = startProcessor({ log, group: lost, stores, partitions: 2, delay });
    expect(await rejection(processor.done)).toMatchObject({ code: "unknown_topic" });
    expect(await rejection(processor.stop())).toMatchObject({ code: "unknown_topic" });
  });
});

/** A claim of a log that ends it with any failure of a commit. */
function failingClaim(
  epoch: number,
  { refusal, released }: { readonly refusal: LogError; readonly released: () => void },
): Claim {
  const over = new AbortController();
  const place = { topic: numbers.topic, partition: 0, offset: 0n };
  const message = { key: Buffer.from(keyIn(0, 1)), value: numbers.codec.encode(1) };
  const record = { ...place, ...message, headers: [], timestampMs: 0, checksum: 0 };
  return {
    group: group.name,
    partition: 0,
    epoch,
    progress: null,
    revoked: over.signal,
    read: async () => [record],
    async *replay() {},
    commit: async () => {
      over.abort();
      throw refusal;
    },
    release: async () => released(),
  };
}
