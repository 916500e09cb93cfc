/**
 * A simulation: random records run through two groups while the log tells of its steps; at steps
 * that chance picks, the folder is copied as a crash would leave it. Each copy is then opened,
 * perhaps with stores that were lost or are older, and must end as if nothing had happened; so
 * must a copy of that recovery.
 */

import { expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { cpSync, existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import { logPath } from "../../src/log/embedded/schema.ts";
import { createEmitter } from "../../src/stream/emitter.ts";
import type { Group, Stream } from "../../src/stream/group.ts";
import { startProcessor } from "../../src/stream/processor.ts";
import { Settling, whenSettled } from "../../src/stream/settling.ts";
import { Stores } from "../../src/stream/stores.ts";
import { defineTopology, topicSpecs } from "../../src/stream/topology.ts";
import { View } from "../../src/stream/view.ts";
import {
  foldSends,
  hashes,
  left,
  mix,
  mixed,
  newest,
  right,
  seen,
  type Send,
  tail,
} from "./crash-topology.ts";
import { removeFoldersAfterEach, temporaryFolder } from "./temporary-folder.ts";

removeFoldersAfterEach();

const PARTITIONS = 3;
/** Some for every key, id and partition. */
const MIN_SENDS = 150;
const topology = defineTopology([mix, tail]);

/** Mulberry32: small, and the same everywhere. */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

function randomSends(random: (below: number) => number, count: number): Send[] {
  return Array.from({ length: count }, () => {
    const stream = random(2) === 0 ? left : right;
    const n = random(10) === 0 && stream === right ? -1 : random(3);
    return { stream, key: `k${random(6)}`, n, id: random(2) === 0 ? `id ${random(8)}` : null };
  });
}

interface Running {
  send(sends: readonly Send[]): Promise<unknown>;
  settle(): Promise<void>;
  rows(group: Group): View;
  records<M>(stream: Stream<M>): Promise<{ key: string; message: M }[]>;
  count(topic: string): Promise<number>;
  close(): Promise<void>;
}

async function run(folder: string, onStep: (step: string) => void): Promise<Running> {
  const log = openEmbeddedLog({ folder, create: true, nowMs: () => 0, onStep });
  await log.ensureTopics(topicSpecs(topology, { partitions: PARTITIONS, keepsChangelogs: false }));
  const stores = new Stores(join(folder, "stores"), log.incarnation);
  const all = { log, stores, partitions: PARTITIONS };
  const views = new Map(topology.groups.map((group) => [group.name, new View({ ...all, group })]));
  const delay = () => new Promise<void>((resolve) => setImmediate(resolve));
  const processors = topology.groups.map((group) => startProcessor({ ...all, group, delay }));
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition);
  const view = (name: string) => views.get(name) as View;
  return {
    send: (sends) =>
      Promise.all(
        sends.map(({ stream, key, n, id }) =>
          createEmitter({ log, stream, partitions: PARTITIONS }).emit({ key, message: n, id }),
        ),
      ),
    settle: async () => {
      const positions = [];
      for (const topic of ["left", "right", "mixed"]) {
        for (const partition of partitions) {
          const { end } = await log.bounds(topic, partition);
          if (end > 0n) positions.push({ topic, partition, offset: end - 1n });
        }
      }
      const pending = await whenSettled({
        ...{ log, settling: new Settling(topology, positions) },
        progressOf: (group, partition) => view(group).progress(partition),
        signal: AbortSignal.timeout(30_000),
      });
      expect(pending).toBeNull();
    },
    rows: ({ name }) => view(name),
    records: async (stream) => {
      const found = [];
      for (const partition of partitions) {
        const { end: until } = await log.bounds(stream.topic, partition);
        for await (const batch of log.read({ topic: stream.topic, partition, from: 0n, until })) {
          for (const { key, value } of batch) {
            const message = stream.codec.decode(value as Uint8Array);
            found.push({ key: Buffer.from(key).toString(), message });
          }
        }
      }
      return found;
    },
    count: async (topic) => {
      let count = 0;
      for (const partition of partitions) count += Number((await log.bounds(topic, partition)).end);
      return count;
    },
    close: async () => {
      await Promise.all(processors.map((processor) => processor.stop()));
      for (const each of views.values()) each.close();
      await log.close();
    },
  };
}

/** What a crash at this moment leaves: every file as it is, without SQLite's shared memory. */
function image(from: string, to: string): void {
  if (!existsSync(logPath(from))) return;
  cpSync(from, to, { recursive: true, filter: (path) => !path.endsWith("-shm") });
}

/** The members of the image are dead, as other programs find out by their process ids. */
function bury(folder: string): void {
  const database = new Database(logPath(folder));
  for (const statement of [
    "DELETE FROM members",
    "DELETE FROM memberships",
    "UPDATE claims SET member = NULL",
  ]) {
    database.exec(statement);
  }
  database.close();
}

/** Some stores are lost; some are as they were in an older image, as after a power cut. */
function ageStores(folder: string, older: string | undefined, random: (below: number) => number) {
  for (const group of ["mix", "tail"]) {
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const fate = random(3);
      if (fate === 0) continue;
      const path = (of: string) => join(of, "stores", `${group}-table`, `${partition}.db`);
      for (const suffix of ["", "-wal"]) {
        rmSync(path(folder) + suffix, { force: true });
        if (fate === 1 || older === undefined || !existsSync(path(older) + suffix)) continue;
        cpSync(path(older) + suffix, path(folder) + suffix);
      }
    }
  }
}

/** What an image holds are the first of all sends: they were written in their order. */
async function expectAsIfNothingHappened(running: Running, sends: readonly Send[]): Promise<void> {
  await running.settle();
  const written = (await running.count("left")) + (await running.count("right"));
  const expected = foldSends(sends.slice(0, written));
  const rows = <R>(group: Group, kind: Parameters<View["scan"]>[1]) =>
    Array.from({ length: PARTITIONS }, (_, partition) => [
      ...running.rows(group).scan(partition, kind),
    ]).flat() as { key: string; value: R }[];
  expect(
    Object.fromEntries(rows<number>(mix, hashes).map(({ key, value }) => [key, value])),
  ).toEqual(expected.hashes);
  const newestFound: Record<string, number[]> = {};
  for (const { key, value } of rows<number>(mix, newest)) (newestFound[key] ??= []).push(value);
  expect(newestFound).toEqual(expected.newest);

  const told = await running.records(mixed);
  const byCause: Record<string, number[]> = {};
  const tails: Record<string, string> = {};
  for (const { key, message } of told) {
    (byCause[`${message.from} ${key}`] ??= []).push(message.hash);
    tails[key] = `${tails[key] ?? ""} ${message.hash}`;
  }
  expect(byCause).toEqual(expected.mixed);
  expect(
    Object.fromEntries(rows<string>(tail, seen).map(({ key, value }) => [key, value])),
  ).toEqual(tails);
  expect(await running.count("mix-dead-letters")).toBe(expected.deadLetters);
}

/**
 * What is sent follows from the seed. Which records share a transaction, and so how many steps
 * there are, is up to the machine, too: records are sent until all images are taken.
 */
async function simulate(seed: number, images: number): Promise<void> {
  const random = chance(seed);
  const randomStep = chance(~seed);
  const place = temporaryFolder();
  const folder = join(place, "live");
  const taken: string[] = [];
  let steps = 0;
  const takeSometimes = () => {
    steps += 1;
    if (steps < 10 || randomStep(12) !== 0 || taken.length >= images) return;
    const to = join(place, `image ${taken.length}`);
    image(folder, to);
    taken.push(to);
  };
  const live = await run(folder, takeSometimes);
  const sends: Send[] = [];
  while (sends.length < MIN_SENDS || taken.length < images) {
    const some = randomSends(random, 1 + random(12));
    sends.push(...some);
    const sending = live.send(some);
    if (random(3) > 0) await sending;
    if (random(8) === 0) await live.settle();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await expectAsIfNothingHappened(live, sends);
  await live.close();

  for (const [index, each] of taken.entries()) {
    const crashed = join(place, `crashed ${index}`);
    cpSync(each, crashed, { recursive: true }); // the image stays as it is, for later ones
    bury(crashed);
    if (index % 2 === 1) ageStores(crashed, taken[index - 1 - random(index)], random);
    const again = join(place, `again ${index}`);
    let stepsLeft = 1 + random(20);
    const recovering = await run(crashed, () => {
      stepsLeft -= 1;
      if (stepsLeft === 0) image(crashed, again);
    });
    await expectAsIfNothingHappened(recovering, sends);
    await recovering.close();
    if (!existsSync(again)) continue;
    bury(again);
    const last = await run(again, () => {});
    await expectAsIfNothingHappened(last, sends);
    await last.close();
  }
}

const given = Bun.env["SIMULATION_SEED"];
const fresh = crypto.getRandomValues(new Uint32Array(1))[0] as number;
const seeds = given === undefined ? [1, fresh] : [Number(given)];

test.each(seeds)(
  "a crash at any step loses nothing and doubles nothing (SIMULATION_SEED=%d)",
  async (seed) => {
    await simulate(seed, 4);
  },
  30_000,
);
