/** Waiting for others to settle: what is followed, when it ends, who is named. */

import { expect, test } from "bun:test";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import { LogError, type Progress } from "../../src/log/event-log.ts";
import { createEmitter } from "../../src/stream/emitter.ts";
import { SettledWait } from "../../src/stream/settled-wait.ts";
import type { Wait } from "../../src/stream/stand-in.ts";
import { defineTopology, topicSpecs } from "../../src/stream/topology.ts";
import { keyIn, numbers, tallyGroup } from "./tally.ts";

const PARTITIONS = 2;
const group = tallyGroup();
/** Of partition 1, once its record is. */
const DONE: Progress = {
  inputs: [{ topic: numbers.topic, nextOffset: 1n, checksum: 1 }],
  ...{ outputs: [], changelogOffset: null },
};

/** A log with one record in partition 1, and a clock that the test sets. */
async function start() {
  const log = openEmbeddedLog({ folder: ":memory:", create: true, nowMs: () => 0 });
  const topology = defineTopology([group]);
  await log.ensureTopics(topicSpecs(topology, { partitions: PARTITIONS, keepsChangelogs: false }));
  const emitter = createEmitter({ log, stream: numbers, partitions: PARTITIONS });
  const position = await emitter.emit({ key: keyIn(1, PARTITIONS), message: 1 });
  const clock = { ms: 0 };
  const progress: (Progress | null)[] = [null, null];
  const followed: number[] = [];
  const interrupt = new AbortController();
  const waits: Wait[] = [];
  const wait = new SettledWait({
    log,
    topology,
    progressOf: (_, partition) => progress[partition] ?? null,
    delay: async () => {
      clock.ms += 100;
      await new Promise((resolve) => setImmediate(resolve));
    },
    monotonicMs: () => clock.ms,
    signal: interrupt.signal,
    onWait: (each) => waits.push(each),
    follow: (partition) => followed.push(partition),
  });
  const settle = () => wait.settle([{ topic: numbers.topic, ...position }]);
  return { log, clock, progress, followed, interrupt, settle, waits };
}

test("follows what it waits for, and ends when it is settled", async () => {
  const { log, progress, followed, settle } = await start();
  const settling = settle();
  expect(followed).toEqual([1]);
  progress[1] = DONE;
  log.notify();
  await settling;
  await log.close();
});

test("gives up after 10 s without a move, naming position, group and who is missing", async () => {
  const { log, clock, settle, waits } = await start();
  const error = await settle().catch((reason: unknown) => reason as Error);
  expect(error).toMatchObject({ code: "not_settled" });
  expect((error as Error).message).toBe(
    "numbers 1-0 is not settled after 10 s: tally stands at offset 0 of partition 1; tally has " +
      "no owner for it: start `process`",
  );
  expect(clock.ms).toBeLessThan(11_000);
  expect(waits.length).toBeGreaterThan(90);
  expect(waits.at(-1)).toMatchObject({ leftRecords: 1n, isWithoutOwner: true, loading: null });
  await log.close();
});

test("tells at once that nobody runs what is waited for, and when somebody does", async () => {
  const { log, clock, progress, settle, waits } = await start();
  let owner: string | null = null;
  let asked = 0;
  log.owners = async () => {
    asked += 1;
    return [{ partition: 1, owner }];
  };
  const settling = settle();
  const passed = async (ms: number) => {
    while (clock.ms < ms) await new Promise((resolve) => setImmediate(resolve));
  };
  await passed(900);
  expect(waits.at(-1)?.isWithoutOwner).toBe(true);
  expect(asked).toBe(1);
  owner = "somebody";
  await passed(2_500);
  expect(waits.at(-1)?.isWithoutOwner).toBe(false);
  progress[1] = DONE;
  log.notify();
  await settling;
  await log.close();
});

test("does not give up while a copy of what its group has done is being loaded", async () => {
  const { log, clock, progress, settle, waits } = await start();
  const done = { ...DONE, changelogOffset: 9_999n };
  log.progress = async () => done;
  const settling = settle();
  const loading = { inputs: [], outputs: [], changelogOffset: 0n };
  for (let rows = 0n; clock.ms < 30_000; rows += 1n) {
    progress[1] = { ...loading, changelogOffset: rows };
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(waits.at(-1)?.loading).toMatchObject({ end: 9_999n });
  expect(waits.at(-1)?.loading?.at).toBeGreaterThan(0n);
  progress[1] = done;
  log.notify();
  await settling;
  await log.close();
});

test("a log that is away for a moment is no reason to give up", async () => {
  const { log, clock, progress, settle } = await start();
  const away = new LogError("unavailable", "cannot look up topic tally-progress");
  const isAskedAgain = Promise.withResolvers<void>();
  let asked = 0;
  log.progress = async () => {
    asked += 1;
    if (asked === 3) isAskedAgain.resolve();
    throw away;
  };
  const settling = settle();
  await isAskedAgain.promise;
  expect(clock.ms).toBeLessThan(10_000);
  progress[1] = DONE;
  log.notify();
  await settling;
  await log.close();
});

test("gives up on a log that stays away, and says why it knows no more", async () => {
  const { log, clock, settle } = await start();
  const away = new LogError("unavailable", "cannot look up topic tally-progress");
  log.progress = () => Promise.reject(away);
  log.owners = () => Promise.reject(away);
  const error = await settle().catch((reason: unknown) => reason as Error);
  expect(error).toMatchObject({ code: "not_settled", cause: away });
  expect((error as Error).message).toBe(
    "numbers 1-0 is not settled after 10 s: how far tally is in partition 1 cannot be asked " +
      "(cannot look up topic tally-progress)",
  );
  expect(clock.ms).toBeLessThan(11_000);
  await log.close();
});

test("passes on what no wait mends", async () => {
  const { log, settle } = await start();
  const damaged = new LogError("corrupt", "offset 3 is no progress record");
  log.progress = () => Promise.reject(damaged);
  expect(await settle().catch((reason: unknown) => reason)).toBe(damaged);
  await log.close();
});

test("ends when it is interrupted, though the log does not answer", async () => {
  const { log, interrupt, settle } = await start();
  const isAsked = Promise.withResolvers<void>();
  log.progress = () => {
    isAsked.resolve();
    return new Promise<never>(() => {});
  };
  const settling = settle();
  await isAsked.promise;
  interrupt.abort();
  const error = await settling.catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: "not_settled", message: "interrupted" });
  await log.close();
});

test("ends when it is interrupted", async () => {
  const { log, interrupt, settle } = await start();
  const settling = settle();
  interrupt.abort();
  expect(await settling.catch((reason: unknown) => reason)).toMatchObject({ code: "not_settled" });
  await log.close();
});
