/** Copies of stores for views: what a follower keeps up, and what it says where it cannot. */

import { afterEach, describe, expect, test } from "bun:test";
import { configureSync, type LogRecord as Line, resetSync } from "@logtape/logtape";
import type { EmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import type { LogRecord } from "../../src/log/event-log.ts";
import { tableName } from "../../src/stream/group.ts";
import type { Position } from "../../src/stream/position.ts";
import { clock, endAll, ends, group, startOwner, startView, withOwn } from "./following.ts";
import { removeFoldersAfterEach, temporaryFolder } from "./temporary-folder.ts";
import { eventually } from "./members.ts";

removeFoldersAfterEach();
afterEach(endAll);

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

  test("tells how far it is while it loads a large table", async () => {
    const { log } = await startOwner();
    const isLoaded = Promise.withResolvers<void>();
    const count = 9_000;
    const records = Array.from({ length: count }, (_, n) => rowRecord(BigInt(n)));
    const large = withOwn(log, {
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
    const { state, faulty } = breakable(log, "away", true);
    const { follower, total } = startView(faulty, temporaryFolder());
    follower.follow(0);
    await send(0, 1);
    expect(total(0)).toBeNull();
    state.isBroken = false;
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
    const { state, faulty } = breakable(log, "damaged", false);
    const { follower, total } = startView(faulty, temporaryFolder());
    follower.follow(1);
    follower.follow(2);
    await eventually("a step of each", () => follower.behind === null);
    expect(follower.notFollowed).toEqual([]);
    clock.ms += 60_000; // in step all the while
    state.isBroken = true;
    log.notify();
    await eventually("both", () => follower.notFollowed.length === 2);
    clock.ms += 7_000;
    expect(follower.notFollowed).toEqual([
      { partition: 1, reason: "damaged", forMs: 7_000 },
      { partition: 2, reason: "damaged", forMs: 7_000 },
    ]);
    expect(follower.behind).toBeNull(); // it answers as of its last copy
    state.isBroken = false;
    await send(1, 5);
    await eventually("the sum", () => total(1) === 5);
    await eventually("none", () => follower.notFollowed.length === 0);
  });

  test("names one whose rows do not come, though nothing fails", async () => {
    const { log, send } = await startOwner();
    let isSilent = false;
    const goOn = Promise.withResolvers<void>();
    const silent = withOwn(log, {
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
    const away = withOwn(log, {
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
    const faulty = withOwn(log, {
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

/** A log that tells no progress while it is broken. */
function breakable(log: EmbeddedLog, reason: string, isBroken: boolean) {
  const state = { isBroken };
  const faulty = withOwn(log, {
    progress: (...place: Parameters<EmbeddedLog["progress"]>) =>
      state.isBroken ? Promise.reject(new Error(reason)) : log.progress(...place),
  });
  return { state, faulty };
}

function rowRecord(offset: bigint): LogRecord {
  const key = new TextEncoder().encode(`row ${offset}`);
  const place = { topic: tableName(group), partition: 0, offset };
  return { ...place, key, value: key, headers: [], timestampMs: 0, checksum: 0 };
}
