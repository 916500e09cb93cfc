/** When a store counts as in step with its changelog, by a clock that the test sets. */

import { afterEach, describe, expect, test } from "bun:test";
import { type EmbeddedLog, openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import type { EventLog } from "../../src/log/event-log.ts";
import { createEmitter } from "../../src/stream/emitter.ts";
import { Follower } from "../../src/stream/follower.ts";
import { startProcessor } from "../../src/stream/processor.ts";
import type { Store } from "../../src/stream/store.ts";
import { Stores } from "../../src/stream/stores.ts";
import { defineTopology, TOMBSTONE_RETENTION_MS, topicSpecs } from "../../src/stream/topology.ts";
import { type Faults, faultyLog } from "./faulty-log.ts";
import { eventually } from "./members.ts";
import { keyIn, numbers, tallyGroup } from "./tally.ts";
import { removeFoldersAfterEach, temporaryFolder } from "./temporary-folder.ts";

removeFoldersAfterEach();

const PARTITIONS = 2;
const AT = 1;
/** Out of step for longer, a store is built anew. */
const LIFE_MS = TOMBSTONE_RETENTION_MS / 2;
const HOUR_MS = 3_600_000;
const group = tallyGroup();
const ends: (() => Promise<unknown> | void)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

class Place {
  nowMs = Date.UTC(2026, 0, 31);
  readonly stores: Stores;

  constructor(readonly log: EmbeddedLog) {
    this.stores = new Stores(temporaryFolder(), log.incarnation, () => this.nowMs);
  }

  /** Would it be built anew now, were it not in step? */
  isStale(): boolean {
    const store = this.stores.openForReading("tally-table", AT) as Store;
    try {
      return store.mayMissTombstones(LIFE_MS);
    } finally {
      store.close();
    }
  }

  stands(): bigint | null {
    const store = this.stores.openForReading("tally-table", AT);
    const offset = store?.progress()?.inputs[0]?.nextOffset ?? null;
    store?.close();
    return offset;
  }

  owner(log: EventLog = this.log) {
    const { stores } = this;
    const processor = startProcessor({ log, group, stores, partitions: PARTITIONS, delay });
    ends.push(() => processor.stop());
    const isRunning = () => processor.state().filter((s) => s.phase === "running").length === 2;
    return { processor, runs: () => eventually("both partitions", isRunning) };
  }

  follower(log: EventLog = this.log): Follower {
    const { stores } = this;
    const monotonicMs = () => 0;
    const all = { log, group, stores, partitions: PARTITIONS, delay, monotonicMs };
    const follower = new Follower(all);
    ends.push(() => follower.stop());
    follower.follow(AT);
    return follower;
  }
}

async function start() {
  const options = { folder: ":memory:", create: true, nowMs: () => 0, keepsChangelogs: true };
  const log = openEmbeddedLog(options);
  ends.push(() => log.close());
  const mode = { partitions: PARTITIONS, keepsChangelogs: true };
  await log.ensureTopics(topicSpecs(defineTopology([group]), mode));
  const emitter = createEmitter({ log, stream: numbers, partitions: PARTITIONS });
  const send = () => emitter.emit({ key: keyIn(AT, PARTITIONS), message: 1 });
  return { log, send };
}

describe("a store that has an owner", () => {
  test("is in step while nothing is to be done, however long that lasts", async () => {
    const { log, send } = await start();
    const place = new Place(log);
    const { processor } = place.owner();
    await send();
    await eventually("the record", () => place.stands() === 1n);
    place.nowMs += LIFE_MS + 1;
    await eventually("a stamp", () => !place.isStale());
    await processor.stop();
    place.nowMs += LIFE_MS - HOUR_MS;
    expect(place.isStale()).toBe(false);
    place.nowMs += HOUR_MS + 1;
    expect(place.isStale()).toBe(true);
  });

  test("is asked about once an hour, and no more often", async () => {
    const { log, send } = await start();
    const place = new Place(log);
    let asked = 0;
    const watched = Object.assign(Object.create(log) as EmbeddedLog, {
      bounds: (...where: Parameters<EmbeddedLog["bounds"]>) => {
        asked += 1;
        return log.bounds(...where);
      },
    });
    const { runs } = place.owner(watched);
    await send();
    await eventually("the record", () => place.stands() === 1n);
    await runs();
    await turns(100);
    expect(asked).toBe(0);
    place.nowMs += HOUR_MS;
    await eventually("a look", () => asked === 1);
    await turns(100);
    expect(asked).toBe(1); // the other partition's store is empty
  });

  test("has missed nothing when it is taken again and nothing was done meanwhile", async () => {
    const { log, send } = await start();
    const place = new Place(log);
    const first = place.owner();
    await send();
    await eventually("the record", () => place.stands() === 1n);
    await first.processor.stop();
    place.nowMs += 2 * LIFE_MS;
    expect(place.isStale()).toBe(true);
    const again = place.owner();
    await again.runs();
    await again.processor.stop();
    expect(place.isStale()).toBe(false);
  });

  test("is in step as of its commit, however late it is written", async () => {
    const { log, send } = await start();
    const place = new Place(log);
    const asleep: Faults = { afterCommit: () => void (place.nowMs += 2 * LIFE_MS) };
    const { processor } = place.owner(faultyLog(withoutBounds(log), asleep));
    await send();
    await eventually("the record", () => place.stands() === 1n);
    await processor.stop();
    expect(place.isStale()).toBe(true);
  });
});

describe("a copy for views", () => {
  test("is in step while nothing comes, however long that lasts", async () => {
    const { log, send } = await start();
    new Place(log).owner();
    await send();
    const copy = new Place(log);
    copy.follower();
    await eventually("the record", () => copy.stands() === 1n);
    copy.nowMs += LIFE_MS + 1;
    await eventually("a stamp", () => !copy.isStale());
  });

  test("has missed nothing when it is followed again and nothing came meanwhile", async () => {
    const { log, send } = await start();
    new Place(log).owner();
    await send();
    const copy = new Place(log);
    const first = copy.follower();
    await eventually("the record", () => copy.stands() === 1n);
    await first.stop();
    copy.nowMs += 2 * LIFE_MS;
    copy.follower();
    await eventually("a stamp", () => !copy.isStale());
  });

  test("is not in step while the changelog has more, whatever it has heard", async () => {
    const { log, send } = await start();
    const owner = new Place(log);
    owner.owner();
    await send();
    let asked = 0;
    const deaf = Object.assign(Object.create(log) as EmbeddedLog, {
      progress: async (...where: Parameters<EmbeddedLog["progress"]>) => {
        heard ??= await log.progress(...where);
        return heard;
      },
      bounds: (...where: Parameters<EmbeddedLog["bounds"]>) => {
        asked += 1;
        return log.bounds(...where);
      },
    });
    let heard: Awaited<ReturnType<EmbeddedLog["progress"]>> = null;
    const copy = new Place(log);
    copy.follower(deaf);
    await eventually("the record", () => copy.stands() === 1n);
    await send();
    await eventually("the next", () => owner.stands() === 2n);
    copy.nowMs += LIFE_MS + 1;
    await eventually("a look", () => asked > 0);
    await turns(20);
    expect([copy.stands(), copy.isStale()]).toEqual([1n, true]);
  });

  test("that slept for too long is built anew, although it was never closed", async () => {
    const { log, send } = await start();
    new Place(log).owner();
    await send();
    const copy = new Place(log);
    const follower = copy.follower(withoutBounds(log));
    await eventually("the record", () => copy.stands() === 1n);
    const store = copy.stores.open("tally-table", AT);
    const stands = store.progress();
    if (stands === null) throw new Error("it stands nowhere");
    const change = { epoch: 0, before: stands, after: stands, inStepMs: copy.nowMs };
    store.apply({ ...change, rows: [["\xff\0", new Uint8Array(1)]] }); // its tombstone was dropped
    copy.nowMs += LIFE_MS + 1;
    await send();
    await eventually("the next", () => copy.stands() === 2n);
    expect(store.get("\xff\0")).toBeNull();
    expect(follower.behind).toBeNull();
    store.close();
  });
});

/** Cannot be asked about idle stores. */
function withoutBounds(log: EmbeddedLog): EmbeddedLog {
  const bounds = () => Promise.reject(new Error("away"));
  return Object.assign(Object.create(log) as EmbeddedLog, { bounds });
}

/** Between tries: a turn of the event loop. */
function delay(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await delay();
}
