/** Copies of stores for views: what a follower keeps up, from where, and when not. */

import { afterEach, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { configureSync, type LogRecord as Line, resetSync } from "@logtape/logtape";
import { type EmbeddedLog, openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import type { LogRecord, Progress } from "../../src/log/event-log.ts";
import { createEmitter } from "../../src/stream/emitter.ts";
import { Follower } from "../../src/stream/follower.ts";
import { tableName } from "../../src/stream/group.ts";
import type { Position } from "../../src/stream/position.ts";
import { startProcessor } from "../../src/stream/processor.ts";
import { Stores } from "../../src/stream/store.ts";
import { defineTopology, TOMBSTONE_RETENTION_MS, topicSpecs } from "../../src/stream/topology.ts";
import { View } from "../../src/stream/view.ts";
import { removeFoldersAfterEach, temporaryFolder } from "./temporary-folder.ts";
import { eventually } from "./members.ts";
import { keyIn, numbers, sums, tallyGroup } from "./tally.ts";

removeFoldersAfterEach();

const PARTITIONS = 4;
const group = tallyGroup();
/** Of the followers; moves when a test says so. */
const clock = { ms: 0 };
const ends: (() => Promise<unknown> | void)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A log that keeps changelogs, with a processor whose stores no view can read. */
async function startOwner(ownerMs = 0) {
  const log = openEmbeddedLog({
    folder: ":memory:",
    create: true,
    nowMs: () => 0,
    keepsChangelogs: true,
  });
  ends.push(() => log.close());
  const topology = defineTopology([group]);
  await log.ensureTopics(topicSpecs(topology, { partitions: PARTITIONS, keepsChangelogs: true }));
  const stores = new Stores(":memory:", log.incarnation, () => ownerMs);
  const processor = startProcessor({ log, group, stores, partitions: PARTITIONS, delay });
  ends.push(() => processor.stop());
  const emitter = createEmitter({ log, stream: numbers, partitions: PARTITIONS });
  const send = (partition: number, ...messages: number[]) =>
    emitter.emitAll(messages.map((message) => ({ key: keyIn(partition), message })));
  return { log, send };
}

function startView(log: EmbeddedLog, folder: string, nowMs: () => number = () => 0) {
  const stores = new Stores(join(folder, "views"), log.incarnation, nowMs);
  const monotonicMs = () => clock.ms;
  const follower = new Follower({ log, group, stores, partitions: PARTITIONS, delay, monotonicMs });
  const standing = (partition: number) => follower.progress(partition);
  const view = new View({ log, group, stores, partitions: PARTITIONS, standing });
  ends.push(() => view.close());
  ends.push(() => follower.stop());
  const total = (partition: number) => view.get(keyIn(partition), sums)?.total ?? null;
  return { follower, stores, view, total };
}

describe("a follower", () => {
  test("keeps a view of followed partitions up to date, and of no others", async () => {
    const { log, send } = await startOwner();
    const { follower, total } = startView(log, temporaryFolder());
    follower.follow(1);
    await send(1, 2, 3);
    await send(2, 10);
    await eventually("the sum of partition 1", () => total(1) === 5);
    await send(1, 4);
    await eventually("the next sum", () => total(1) === 9);
    expect(total(2)).toBeNull();
    follower.followAll();
    await eventually("the sum of partition 2", () => total(2) === 10);
  });

  test("shows the progress that belongs to the rows, so that settled means readable", async () => {
    const { log, send } = await startOwner();
    const { follower, view, total } = startView(log, temporaryFolder());
    follower.followAll();
    for (let n = 1; n <= 20; n += 1) {
      const [{ offset }] = (await send(0, 1)) as [Position];
      const isBeyond = () => (view.progress(0)?.inputs[0]?.nextOffset ?? 0n) > offset;
      await eventually(`progress beyond ${n}`, isBeyond);
      expect(total(0)).toBe(n);
    }
  });

  test("says what is not in step yet, and nothing once all has been", async () => {
    const { log, send } = await startOwner();
    await send(3, 1);
    const { follower } = startView(log, temporaryFolder());
    expect(follower.behind).toBeNull(); // nothing is followed
    follower.follow(3);
    expect(follower.behind).toBe(3);
    await eventually("the first step", () => follower.behind === null);
  });

  test("goes on from where its copy stood", async () => {
    const { log, send } = await startOwner();
    const folder = temporaryFolder();
    const first = startView(log, folder);
    first.follower.follow(0);
    await send(0, 1, 2);
    await eventually("the first sum", () => first.total(0) === 3);
    await first.follower.stop();
    const read: bigint[] = [];
    const watched = Object.assign(Object.create(log) as EmbeddedLog, {
      read: (options: Parameters<EmbeddedLog["read"]>[0]) => {
        read.push(options.from);
        return log.read(options);
      },
    });
    await send(0, 4);
    const again = startView(watched, folder);
    again.follower.follow(0);
    await eventually("the next sum", () => again.total(0) === 7);
    expect(read.length).toBeGreaterThan(0);
    expect(read.every((from) => from > 0n)).toBe(true);
  });

  test("builds a copy anew that was away for half the time that tombstones are kept", async () => {
    const { log, send } = await startOwner();
    const folder = temporaryFolder();
    let nowMs = 1_000_000;
    const first = startView(log, folder, () => nowMs);
    first.follower.follow(0);
    await send(0, 1);
    await eventually("the sum", () => first.total(0) === 1);
    await first.follower.stop();
    const stale = first.stores.open(tableName(group), 0);
    const place = stale.progress();
    const rows = [["\0\0\0\x01x\x01", new Uint8Array([1])]] as const;
    const after = place as Progress;
    const change = { epoch: 0, before: place, after, inStepMs: nowMs };
    stale.apply({ ...change, rows }); // its tombstone was dropped
    stale.close();
    const rowsOf = (view: View) => [...view.scan(0, sums)].length;
    await send(0, 2);
    nowMs += TOMBSTONE_RETENTION_MS / 2;
    const soon = startView(log, folder, () => nowMs);
    soon.follower.follow(0);
    await eventually("the next sum", () => soon.total(0) === 3);
    await soon.follower.stop();
    nowMs += TOMBSTONE_RETENTION_MS / 2 + 1;
    await send(0, 3);
    const late = startView(log, folder, () => nowMs);
    late.follower.follow(0);
    await eventually("the last sum", () => late.total(0) === 6);
    expect(rowsOf(late.view)).toBe(1);
  });

  test("does not follow a copy that is newer than its changelog, and says what to do", async () => {
    const { log, send } = await startOwner();
    const folder = temporaryFolder();
    const first = startView(log, folder);
    first.follower.follow(0);
    await send(0, 1);
    await eventually("the sum", () => first.total(0) === 1);
    await first.follower.stop();
    const newer = first.stores.open(tableName(group), 0);
    const before = newer.progress() as Progress;
    const after = { ...before, changelogOffset: 99n }; // the log was set back since
    newer.apply({ epoch: 0, before, after, rows: [], inStepMs: 0 });
    newer.close();
    await send(0, 2);
    const again = startView(log, folder);
    again.follower.follow(0);
    await eventually("a reason", () => typeof again.follower.notFollowed[0]?.reason === "string");
    expect(again.follower.notFollowed[0]?.reason).toMatch(
      /stands at offset 99 of tally-table partition 0, .* only up to \d+: delete the store/,
    );
    expect(again.total(0)).toBe(1);
  });

  test("makes a copy anew that was damaged", async () => {
    const { log, send } = await startOwner();
    const folder = temporaryFolder();
    const first = startView(log, folder);
    first.follower.follow(0);
    await send(0, 1, 2);
    await eventually("the sum", () => first.total(0) === 3);
    await first.follower.stop();
    first.view.close();
    writeFileSync(first.stores.path(tableName(group), 0), Buffer.alloc(8_192, "x"));
    const again = startView(log, folder);
    again.follower.follow(0);
    await eventually("a copy in step", () => again.follower.behind === null);
    expect(again.total(0)).toBe(3);
    expect(again.follower.notFollowed).toEqual([]);
  });

  test("stands nowhere while a copy is built anew, so that nothing looks settled", async () => {
    const { log, send } = await startOwner();
    const folder = temporaryFolder();
    const first = startView(log, folder, () => 1);
    first.follower.follow(0);
    await send(0, 1);
    await eventually("the sum", () => first.total(0) === 1);
    await first.follower.stop();
    const other = startView(log, temporaryFolder());
    other.follower.follow(0);
    await send(0, 2);
    await eventually("the owner's commit", () => other.total(0) === 3);
    const isReading = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const slow = Object.assign(Object.create(log) as EmbeddedLog, {
      async *read(options: Parameters<EmbeddedLog["read"]>[0]) {
        isReading.resolve();
        await goOn.promise;
        yield* log.read(options);
      },
    });
    const late = startView(slow, folder, () => TOMBSTONE_RETENTION_MS);
    late.follower.follow(0);
    await isReading.promise;
    expect(late.total(0)).toBeNull();
    expect(late.follower.progress(0)).toBeNull();
    goOn.resolve();
    await eventually("the next sum", () => late.total(0) === 3);
    expect(late.follower.progress(0)?.inputs[0]?.nextOffset).toBe(2n);
  });

  test("builds a copy of another changelog anew, and stands nowhere until then", async () => {
    const folder = temporaryFolder();
    const named = <T extends object>(log: EmbeddedLog, own: T = {} as T) =>
      Object.assign(Object.create(log) as EmbeddedLog, { incarnation: "one", ...own });
    const left = await startOwner(1);
    const first = startView(named(left.log), folder);
    first.follower.follow(0);
    await left.send(0, 1, 2);
    await eventually("the sum there", () => first.total(0) === 3);
    await first.follower.stop();
    const { log, send } = await startOwner(2);
    const other = startView(log, temporaryFolder());
    other.follower.follow(0);
    await send(0, 10);
    await eventually("the first sum", () => other.total(0) === 10);
    await send(0, 20);
    await eventually("the second sum", () => other.total(0) === 30);
    const isReading = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const slow = named(log, {
      async *read(options: Parameters<EmbeddedLog["read"]>[0]) {
        isReading.resolve();
        await goOn.promise;
        yield* log.read(options);
      },
    });
    const again = startView(slow, folder);
    again.follower.follow(0);
    expect(again.view.progress(0)).toBeNull();
    await isReading.promise;
    expect(again.view.progress(0)).toBeNull();
    goOn.resolve();
    await eventually("the sum here", () => again.total(0) === 30);
    expect([...again.view.scan(0, sums)]).toEqual([...other.view.scan(0, sums)]);
  });

  test("empties a copy of a group that has done nothing here", async () => {
    const folder = temporaryFolder();
    const left = await startOwner(1);
    const first = startView(left.log, folder);
    first.follower.follow(0);
    await left.send(0, 1);
    await eventually("the sum there", () => first.total(0) === 1);
    await first.follower.stop();
    const { log } = await startOwner(2);
    const { incarnation } = left.log;
    const again = startView(Object.assign(Object.create(log), { incarnation }), folder);
    again.follower.follow(0);
    await eventually("the first look", () => again.follower.behind === null);
    expect([again.total(0), again.view.progress(0)]).toEqual([null, null]);
  });

  test("tells how far it is while it loads a large table", async () => {
    const { log } = await startOwner();
    const isLoaded = Promise.withResolvers<void>();
    const count = 9_000;
    const records = Array.from({ length: count }, (_, n) => rowRecord(BigInt(n)));
    const large = Object.assign(Object.create(log) as EmbeddedLog, {
      progress: async () => ({ inputs: [], outputs: [], changelogOffset: BigInt(count) }),
      async *read() {
        yield records;
        await isLoaded.promise;
      },
      notify: () => {
        told += 1;
        log.notify();
      },
    });
    let told = 0;
    const { follower, view } = startView(large, temporaryFolder());
    follower.follow(0);
    const reached = () => view.progress(0)?.changelogOffset ?? null;
    await eventually("a word on the way", () => told > 0);
    expect(reached()).toBe(BigInt(count - 1));
    expect(follower.behind).toBe(0);
    isLoaded.resolve();
    await eventually("the end", () => reached() === BigInt(count));
  });

  test("tries again when the log cannot be read for a while", async () => {
    const { log, send } = await startOwner();
    let isBroken = true;
    const faulty = Object.assign(Object.create(log) as EmbeddedLog, {
      progress: (...place: Parameters<EmbeddedLog["progress"]>) =>
        isBroken ? Promise.reject(new Error("away")) : log.progress(...place),
    });
    const { follower, total } = startView(faulty, temporaryFolder());
    follower.follow(0);
    await send(0, 1);
    expect(total(0)).toBeNull();
    isBroken = false;
    await eventually("the sum", () => total(0) === 1);
  });

  test("goes on when a copy cannot be closed", async () => {
    const { log, send } = await startOwner();
    const { follower, stores, total } = startView(log, temporaryFolder());
    const open = stores.open.bind(stores);
    let isBroken = true;
    stores.open = (...place) => {
      const store = open(...place);
      if (!isBroken) return store;
      isBroken = false;
      const close = () => {
        store.close();
        throw new Error("not closed");
      };
      const progress = () => {
        throw new Error("not read");
      };
      return Object.assign(Object.create(store) as typeof store, { close, progress });
    };
    follower.follow(0);
    await send(0, 1);
    await eventually("the sum", () => total(0) === 1);
  });

  test("names what it cannot follow any more, why and for how long, until it can", async () => {
    const { log, send } = await startOwner();
    let isBroken = false;
    const faulty = Object.assign(Object.create(log) as EmbeddedLog, {
      progress: (...place: Parameters<EmbeddedLog["progress"]>) =>
        isBroken ? Promise.reject(new Error("damaged")) : log.progress(...place),
    });
    const { follower, total } = startView(faulty, temporaryFolder());
    follower.follow(1);
    follower.follow(2);
    await eventually("a step of each", () => follower.behind === null);
    expect(follower.notFollowed).toEqual([]);
    clock.ms += 60_000; // in step all the while
    isBroken = true;
    log.notify();
    await eventually("both", () => follower.notFollowed.length === 2);
    clock.ms += 7_000;
    expect(follower.notFollowed).toEqual([
      { partition: 1, reason: "damaged", forMs: 7_000 },
      { partition: 2, reason: "damaged", forMs: 7_000 },
    ]);
    expect(follower.behind).toBeNull(); // it answers as of its last copy
    isBroken = false;
    await send(1, 5);
    await eventually("the sum", () => total(1) === 5);
    await eventually("none", () => follower.notFollowed.length === 0);
  });

  test("names one whose rows do not come, though nothing fails", async () => {
    const { log, send } = await startOwner();
    let isSilent = false;
    const goOn = Promise.withResolvers<void>();
    const silent = Object.assign(Object.create(log) as EmbeddedLog, {
      async *read(options: Parameters<EmbeddedLog["read"]>[0]) {
        if (isSilent) await goOn.promise;
        yield* log.read(options);
      },
    });
    const { follower, total } = startView(silent, temporaryFolder());
    follower.follow(0);
    await send(0, 1);
    await eventually("the sum", () => total(0) === 1);
    isSilent = true;
    const { progress } = log;
    let asked = 0;
    silent.progress = (...place) => progress.apply(log, place).finally(() => (asked += 1));
    await send(0, 2);
    await eventually("a look", () => asked > 0);
    expect(follower.notFollowed).toEqual([]);
    clock.ms += 5_000;
    expect(follower.notFollowed).toMatchObject([{ partition: 0, forMs: 5_000 }]);
    goOn.resolve();
    await eventually("the next sum", () => total(0) === 3);
    await eventually("none", () => follower.notFollowed.length === 0);
  });

  test("stops at once though the log does not answer", async () => {
    const { log } = await startOwner();
    const isAsked = Promise.withResolvers<void>();
    const away = Object.assign(Object.create(log) as EmbeddedLog, {
      progress: () => {
        isAsked.resolve();
        return new Promise<never>(() => {});
      },
    });
    const { follower } = startView(away, temporaryFolder());
    follower.follow(0);
    await isAsked.promise;
    await follower.stop();
    expect(follower.progress(0)).toBeNull(); // it was never known to be of this changelog
  });

  test("stops at once though the log does not say which changelog it has", async () => {
    const { log, send } = await startOwner();
    const folder = temporaryFolder();
    const first = startView(log, folder);
    first.follower.follow(0);
    await send(0, 1);
    await eventually("the sum", () => first.total(0) === 1);
    await first.follower.stop();
    await send(0, 2);
    const other = startView(log, temporaryFolder());
    other.follower.follow(0);
    await eventually("the owner's commit", () => other.total(0) === 3);
    const isAsked = Promise.withResolvers<void>();
    const away = Object.assign(Object.create(log) as EmbeddedLog, {
      bounds: () => {
        isAsked.resolve();
        return new Promise<never>(() => {});
      },
    });
    const again = startView(away, folder);
    again.follower.follow(0);
    await isAsked.promise;
    await again.follower.stop();
  });

  test("says once why it cannot follow, and again when it comes again", async () => {
    const said: Line[] = [];
    configureSync({
      reset: true,
      sinks: { said: (record) => said.push(record) },
      loggers: [
        { category: "stream", sinks: ["said"] },
        { category: ["logtape", "meta"], lowestLevel: "error" },
      ],
    });
    ends.push(() => resetSync());
    const { log } = await startOwner();
    let tries = 0;
    let isBroken = true;
    const faulty = Object.assign(Object.create(log) as EmbeddedLog, {
      progress: async () => {
        tries += 1;
        if (isBroken) throw new Error("damaged");
        return null;
      },
    });
    const { follower } = startView(faulty, temporaryFolder());
    const lines = () => said.filter(({ properties }) => properties["message"] === "damaged");
    follower.follow(2);
    await eventually("ten tries", () => tries > 10);
    expect(lines()).toHaveLength(1);
    isBroken = false;
    await eventually("a step", () => follower.behind === null);
    isBroken = true;
    tries = 0;
    log.notify();
    await eventually("ten more", () => tries > 10);
    expect(lines()).toHaveLength(2);
  });
});

function rowRecord(offset: bigint): LogRecord {
  const key = new TextEncoder().encode(`row ${offset}`);
  const place = { topic: tableName(group), partition: 0, offset };
  return { ...place, key, value: key, headers: [], timestampMs: 0, checksum: 0 };
}

/** Between tries: a turn of the event loop. */
function delay(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
