import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import { createEmitter } from "../../src/stream/emitter.ts";
import { defineGroup, input, type RowKind, type Stream } from "../../src/stream/group.ts";
import { startProcessor } from "../../src/stream/processor.ts";
import { StandIn, type Wait } from "../../src/stream/stand-in.ts";
import { Stores } from "../../src/stream/stores.ts";
import { defineTopology, topicSpecs } from "../../src/stream/topology.ts";
import { View } from "../../src/stream/view.ts";
import { rejection } from "../rejection.ts";

const textCodec = {
  name: "text",
  encode: (text: string) => new TextEncoder().encode(text),
  decode: (bytes: Uint8Array) => new TextDecoder().decode(bytes),
};
const words: Stream<string> = { topic: "words", codec: textCodec, validate: () => null };
const lastRow: RowKind<string> = { name: "last", tag: 1, codec: textCodec };
const group = defineGroup({
  name: "last-word",
  inputs: [
    input(words, (context, word) => {
      if (word === "bad") throw new Error("bad words are not taken");
      context.set(lastRow, word);
    }),
  ],
  rows: [lastRow],
});
const topology = defineTopology([group]);
const partitions = 4;

function delay(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const finish = () => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener("abort", finish, { once: true });
    if (signal.aborted) finish();
  });
}

/** A log of its own, and a stand-in whose clock runs `speed` times as fast. */
async function open({ speed = 1, signal = new AbortController().signal } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "stand-in-"));
  const openLog = () => openEmbeddedLog({ folder, create: true, nowMs: () => 0 });
  const log = openLog();
  await log.ensureTopics(topicSpecs(topology, { partitions, keepsChangelogs: false }));
  const stores = new Stores(join(folder, "stores"), log.incarnation);
  const view = new View({ log, group, stores, partitions });
  const waits: Wait[] = [];
  let starts = 0;
  const standIn = new StandIn({
    log,
    topology,
    progressOf: (_, partition) => view.progress(partition),
    startStandIns: (wants) => {
      starts += 1;
      return [startProcessor({ log, group, stores, partitions, delay, standIn: true, wants })];
    },
    delay,
    monotonicMs: () => performance.now() * speed,
    signal,
    onWait: (wait) => waits.push(wait),
  });
  const emitter = createEmitter({ log, stream: words, partitions });
  return {
    log,
    view,
    waits,
    standIn,
    starts: () => starts,
    /** Another member, as another process has it. */
    startRegular: () => {
      const other = openLog();
      const processor = startProcessor({ log: other, group, stores, partitions, delay });
      return {
        [Symbol.asyncDispose]: async () => {
          await processor.stop();
          await other.close();
        },
      };
    },
    emit: async (key: string, message: string) => ({
      topic: words.topic,
      ...(await emitter.emit({ key, message })),
    }),
    [Symbol.asyncDispose]: async () => {
      await standIn.leave();
      view.close();
      await log.close();
      rmSync(folder, { recursive: true });
    },
  };
}

describe("standing in", () => {
  test("does what nobody does, in the partitions that are waited for, and leaves", async () => {
    await using run = await open();
    const position = await run.emit("a", "hello");
    await run.standIn.settle([position]);
    expect(run.view.get("a", lastRow)).toBe("hello");
    const owned = (await run.log.owners(group.name)).filter(({ owner }) => owner !== null);
    expect(owned.map(({ partition }) => partition)).toEqual([position.partition]);
    await run.standIn.leave();
    expect((await run.log.owners(group.name)).every(({ owner }) => owner === null)).toBe(true);
  });

  test("starts nothing for what is settled", async () => {
    await using run = await open();
    await run.standIn.settle([await run.emit("a", "hello")]);
    await run.standIn.leave();
    await run.standIn.settle([]);
    expect(run.starts()).toBe(1);
  });

  test("leaves a group to its live member", async () => {
    await using run = await open();
    await using _regular = run.startRegular();
    await run.standIn.settle([await run.emit("a", "hello")]);
    await run.standIn.leave(); // it may have been there first
    await run.standIn.settle([await run.emit("a", "hello again")]);
    expect(run.view.get("a", lastRow)).toBe("hello again");
    expect(run.standIn.join([]).map((processor) => processor.state())).toEqual([[]]);
  });

  test("ends at a rule that fails, naming group, partition and offset", async () => {
    await using run = await open();
    await run.emit("a", "good");
    const { partition, offset } = await run.emit("a", "bad");
    const settled = run.standIn.settle([{ topic: words.topic, partition, offset }]);
    expect(await rejection(settled)).toMatchObject({
      code: "rule_failed",
      message: expect.stringContaining(
        `last-word stopped at words partition ${partition} offset ${offset}: bad words`,
      ),
    });
    expect(run.view.get("a", lastRow)).toBe("good");
  });

  test("ends when a live member makes no progress, naming it and where it stands", async () => {
    await using run = await open({ speed: 20 });
    await using _regular = run.startRegular();
    const good = await run.emit("a", "good");
    await run.standIn.settle([good]);
    const bad = await run.emit("a", "bad");
    const settled = run.standIn.settle([bad]);
    expect(await rejection(settled)).toMatchObject({
      code: "not_settled",
      message: expect.stringContaining(
        `last-word partition ${bad.partition} makes no progress at offset ${bad.offset} of words ` +
          `for 5 s: pid ${process.pid} runs it`,
      ),
    });
    expect(run.waits.at(-1)).toMatchObject({ nextOffset: bad.offset, leftRecords: 1n });
  });

  test("ends when it is told to", async () => {
    const stopping = new AbortController();
    await using run = await open({ signal: stopping.signal });
    await using _regular = run.startRegular();
    const bad = await run.emit("a", "bad");
    const settled = run.standIn.settle([bad]);
    stopping.abort();
    expect(await rejection(settled)).toMatchObject({ code: "not_settled", message: "interrupted" });
  });
});
