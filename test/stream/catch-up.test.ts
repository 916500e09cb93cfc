import { afterEach, describe, expect, spyOn, test } from "bun:test";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import { type EventLog, LogError } from "../../src/log/event-log.ts";
import { jsonCodec } from "../../src/stream/codec.ts";
import { createEmitter } from "../../src/stream/emitter.ts";
import {
  type Context,
  defineGroup,
  input,
  type RowKind,
  type Stream,
} from "../../src/stream/group.ts";
import { startProcessor } from "../../src/stream/processor.ts";
import { Store } from "../../src/stream/store.ts";
import { Stores } from "../../src/stream/stores.ts";
import { createTester, type Tester } from "../../src/stream/tester.ts";
import { defineTopology, topicSpecs } from "../../src/stream/topology.ts";
import { hashes, left, mix, newest, right, tail } from "./crash-topology.ts";
import type { Faults } from "./faulty-log.ts";
import { folded, keyIn, memoryLog, numbers, shown, tallyGroup } from "./tally.ts";

const group = tallyGroup();
const key = keyIn(1);
const send = (count: number) =>
  tester.send(numbers, ...Array.from({ length: count }, (_, message) => ({ key, message })));

let tester: Tester;
afterEach(() => tester.close());

async function expectFolded(): Promise<void> {
  expect(await shown(tester, group)).toEqual(folded(await tester.messages(numbers)));
}

const modes = [
  ["by running its inputs again", false],
  ["from its changelog", true],
] as const;
describe.each(modes)("a store brought back %s", (_, keepsChangelogs) => {
  let handedOut = 0;
  const count = (records: readonly unknown[]) => {
    handedOut += records.length;
  };
  async function start(faults: Faults = {}): Promise<void> {
    handedOut = 0;
    const counting: Faults = {
      onReplay: (_claim, records) => count(records),
      onRead: (topic, records) => (topic === "tally-table" ? count(records) : undefined),
      ...faults,
    };
    const openLog = memoryLog(counting, { keepsChangelogs });
    tester = await createTester({ groups: [group], openLog });
  }

  test("has the rows that it had, and emits nothing again", async () => {
    await start();
    for (let n = 0; n < 30; n += 1) {
      await tester.send(numbers, { key: `key ${n % 7}`, message: n }, { key, message: 1 });
      if (n % 4 === 0) await tester.settle();
    }
    await tester.settle();
    const before = await shown(tester, group);
    await tester.restart({ losesStores: true });
    await tester.settle();
    expect(await shown(tester, group)).toEqual(before);
    await expectFolded();
    await send(3);
    await tester.settle();
    await expectFolded();
  });

  test("has none of the rows that are gone", async () => {
    const openLog = memoryLog({}, { keepsChangelogs });
    tester = await createTester({ groups: [mix, tail], openLog });
    for (let n = 0; n < 20; n += 1) {
      await tester.send(left, { key: `key ${n % 3}`, message: n, id: `${n % 7}` });
      await tester.send(right, { key: `key ${n % 3}`, message: n });
      if (n % 5 === 0) await tester.settle();
    }
    await tester.settle();
    const all = () => [hashes, newest].map((kind) => tester.rows(mix, kind));
    const before = all();
    expect(before[1]).toHaveLength(9); // three of each key are kept, the others deleted
    await tester.restart({ losesStores: true });
    await tester.settle();
    expect(all()).toEqual(before);
    // Ids are rows, too: a repeat is one still.
    await tester.send(left, { key: "key 0", message: 0, id: "0" });
    await tester.settle();
    expect(all()).toEqual(before);
  });

  test("costs what is missing: nothing when it is up to date", async () => {
    await start();
    await send(100);
    await tester.settle();
    await tester.restart();
    await send(1);
    await tester.settle();
    expect(handedOut).toBe(0);
    await expectFolded();
  });

  test("costs what is missing: what was committed since it was written", async () => {
    let commits = 0;
    await start({
      afterCommit: () => {
        commits += 1;
        if (commits === 3) throw new LogError("outcome_unknown", "lost");
      },
    });
    await send(5_000);
    await tester.settle();
    // The first page of 64 records and two batches were not in the store. Each record changes a
    // row of its own and the one sum, which is written once a batch. A changelog's first row says
    // which one it is.
    expect(handedOut).toBe(keepsChangelogs ? 1 + 64 + 1 + 2 * (2_048 + 1) : 64 + 2 * 2_048);
    await expectFolded();
  });

  test("goes on where it was left when it is interrupted", async () => {
    let batches = 0;
    const interrupt = (records: readonly unknown[]) => {
      batches += 1;
      if (batches === 6) throw new LogError("unavailable", "not now");
      count(records);
    };
    await start({
      onReplay: (_claim, records) => interrupt(records),
      onRead: (topic, records) => (topic === "tally-table" ? interrupt(records) : undefined),
    });
    const records = 12_000;
    await send(records);
    await tester.settle();
    await tester.restart({ losesStores: true });
    await tester.settle();
    expect(batches).toBeGreaterThan(6);
    // The store is written about every 8,192: so much is done twice at most.
    expect(handedOut).toBeGreaterThan(records);
    expect(handedOut).toBeLessThan(records + 8_192 + 2_048);
    await expectFolded();
  });

  test("that is taken away meanwhile is brought back by the next owner", async () => {
    let batches = 0;
    await start({
      onReplay: (claim) => {
        batches += 1;
        if (batches === 2) (claim as typeof claim & { revoke(): void }).revoke();
      },
      onRead: async (topic) => {
        if (topic === "tally-table") batches += 1;
      },
    });
    await send(9_000);
    await tester.settle();
    await tester.restart({ losesStores: true });
    await send(1);
    await tester.settle();
    expect(batches).toBeGreaterThan(2);
    await expectFolded();
  });

  test("that is ahead of its log is refused, with what to do", async () => {
    const stores = new Stores(":memory:", "one");
    await ranOn(stores, [1, 2, 3], { keepsChangelogs });
    const { error, log } = await firstFailureOn(stores, [], { keepsChangelogs });
    expect(error).toMatchObject({ code: "store_ahead" });
    expect(error.message).toContain("tally-table/1 stands at numbers offset 3");
    expect(error.message).toContain("committed only up to 0: delete the store");
    await log.close();
  });
});

test("a store of another changelog is built anew, however long that one is", async () => {
  const mode = { keepsChangelogs: true };
  const abandoned = new Stores(":memory:", "one", () => 1);
  await (await ranOn(abandoned, [1, 2, 3], mode)).close();
  const opened = abandoned.open("tally-table", 1);
  opened.take(9); // it had more owners than the group has had since it was started anew
  opened.close();
  const owners = new Stores(":memory:", "other", () => 2);
  const log = await ranOn(owners, [10, 20, 30, 40, 50, 60, 70, 80], mode);
  expect((await log.bounds("tally-table", 1)).end).toBeGreaterThan(4n);
  await log.clean(); // what says which changelog it is, is never compacted away
  const fresh = new Stores(":memory:", "fresh", () => 3);
  for (const stores of [abandoned, fresh]) {
    const processor = startOn(log, stores);
    const progress = () => stores.openForReading("tally-table", 1)?.progress();
    await until(log, () => progress()?.inputs[0]?.nextOffset === 8n);
    await processor.stop();
  }
  expect(rowsOf(abandoned)).toEqual(rowsOf(owners));
  expect(rowsOf(fresh)).toEqual(rowsOf(owners));
  await log.close();
});

test("a store of its changelog is continued after a restart", async () => {
  const mode = { keepsChangelogs: true };
  const stores = new Stores(":memory:", "one", () => 1);
  const log = await ranOn(stores, [1, 2, 3], mode);
  const emitter = createEmitter({ log, stream: numbers, partitions: 4 });
  const elsewhere = new Stores(":memory:", "other", () => 2);
  await emitter.emitAll([{ key, message: 4 }]);
  const other = startOn(log, elsewhere);
  const standing = (of: Stores) => of.openForReading("tally-table", 1)?.progress() ?? null;
  const end = (of: Stores) => standing(of)?.inputs[0]?.nextOffset;
  await until(log, () => end(elsewhere) === 4n);
  await other.stop();
  const store = stores.open("tally-table", 1);
  const reset = spyOn(Store.prototype, "reset");
  const processor = startOn(log, stores);
  await until(log, () => end(stores) === 4n);
  await processor.stop();
  expect(reset).not.toHaveBeenCalled();
  reset.mockRestore();
  store.close();
  expect(rowsOf(stores)).toEqual(rowsOf(elsewhere));
  await log.close();
});

test("a store of other records at the same place is refused", async () => {
  const stores = new Stores(":memory:", "one");
  await ranOn(stores, [1, 2, 3]);
  const { error, log } = await firstFailureOn(stores, [4, 5, 6, 7]);
  expect(error).toMatchObject({ code: "topic_changed" });
  await log.close();
});

test("a rule that fails on what it once did stops there, by name", async () => {
  let isBroken = false;
  const changed = tallyGroup((n) => {
    if (n === 3 && isBroken) throw new Error("three");
  });
  tester = await createTester({ groups: [changed], openLog: memoryLog() });
  await send(10);
  await tester.settle();
  isBroken = true;
  await tester.restart({ losesStores: true });
  await send(1);
  const error = await tester.settle().catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: "rule_failed" });
  expect((error as Error).message).toContain("numbers partition 1 offset 3: three");
  isBroken = false;
  await tester.restart();
  await tester.settle();
  await expectFolded();
});

describe("a group of two inputs", () => {
  const stream = (topic: string): Stream<string> => ({
    topic,
    codec: jsonCodec(),
    validate: () => null,
  });
  const [one, other] = [stream("one"), stream("other")];
  const seen: RowKind<string> = { name: "seen", tag: 1, codec: jsonCodec() };
  const append = (context: Context, text: string) =>
    context.set(seen, `${context.get(seen) ?? ""} ${text}`);
  const pair = defineGroup({
    name: "pair",
    inputs: [input(one, append), input(other, append)],
    rows: [seen],
  });

  test("takes them in the log's order, live and when its store is brought back", async () => {
    let failIn = 0;
    const openLog = memoryLog({
      onReplay: () => {
        failIn -= 1;
        if (failIn === 0) throw new LogError("unavailable", "not now");
      },
    });
    tester = await createTester({ groups: [pair], openLog });
    const sent: string[] = [];
    let last: Promise<unknown> = Promise.resolve();
    // Runs of different lengths, so that pages of the two inputs end at different places.
    for (let run = 0; sent.length < 12_000; run += 1) {
      const texts = Array.from({ length: 1 + ((run * 37) % 190) }, (_, n) => `${sent.length + n}`);
      const to = run % 2 === 0 ? one : other;
      last = tester.send(to, ...texts.map((message) => ({ key, message })));
      sent.push(...texts);
      if (run % 10 === 0) await last;
      if (run % 30 === 0) await tester.settle();
    }
    await last;
    await tester.settle();
    const expected = ` ${sent.join(" ")}`;
    expect(tester.row(pair, key, seen)).toBe(expected);
    failIn = 6; // after the store was written in between
    await tester.restart({ losesStores: true });
    await tester.settle();
    expect(failIn).toBeLessThan(0);
    expect(tester.row(pair, key, seen)).toBe(expected);
  });
});

interface Mode {
  readonly keepsChangelogs?: boolean;
}

/** A log of its own with these numbers, and the group run over them until they are done. */
async function ranOn(stores: Stores, messages: readonly number[], mode: Mode = {}) {
  const log = openEmbeddedLog({ folder: ":memory:", create: true, nowMs: () => 0, ...mode });
  const topology = defineTopology([group]);
  const keepsChangelogs = mode.keepsChangelogs ?? false;
  await log.ensureTopics(topicSpecs(topology, { partitions: 4, keepsChangelogs }));
  const emitter = createEmitter({ log, stream: numbers, partitions: 4 });
  await emitter.emitAll(messages.map((message) => ({ key, message })));
  if (messages.length > 0) {
    const processor = startOn(log, stores);
    const end = BigInt(messages.length);
    const store = () => stores.openForReading("tally-table", 1);
    await until(log, () => store()?.progress()?.inputs[0]?.nextOffset === end);
    await processor.stop();
  }
  return log;
}

/** As `ranOn`, and then run over these stores instead. */
async function firstFailureOn(stores: Stores, messages: readonly number[], mode: Mode = {}) {
  const log = await ranOn(new Stores(":memory:", "other"), messages, mode);
  const processor = startOn(log, stores);
  const failed = () => processor.state().find(({ phase }) => phase === "stopped");
  await until(log, () => failed() !== undefined);
  const error = failed()?.error as Error;
  await processor.stop();
  return { error, log };
}

function rowsOf(stores: Stores): [key: string, value: string][] {
  const store = stores.open("tally-table", 1);
  const rows = store.range({ from: "", to: "\xff\xff\xff", isReverse: false, limit: -1 });
  store.close();
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  return rows.map(({ key: rowKey, value }) => [hex(rowKey), hex(value)]);
}

function startOn(log: EventLog, stores: Stores) {
  return startProcessor({ log, group, stores, partitions: 4, delay: () => Promise.resolve() });
}

async function until(log: EventLog, isSo: () => boolean): Promise<void> {
  if (isSo()) return;
  await new Promise<void>((resolve) => {
    const stop = log.onChange(() => {
      if (!isSo()) return;
      stop();
      resolve();
    });
  });
}
