/**
 * A group with its owner on one side, and on the other a follower with its view.
 *
 *   send ──> owner ──changelog──> follower ──copy in a folder──> view ──> total
 */

import { join } from "node:path";
import { type EmbeddedLog, openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import { createEmitter } from "../../src/stream/emitter.ts";
import { Follower } from "../../src/stream/follower.ts";
import { startProcessor } from "../../src/stream/processor.ts";
import { Stores } from "../../src/stream/stores.ts";
import { defineTopology, topicSpecs } from "../../src/stream/topology.ts";
import { View } from "../../src/stream/view.ts";
import { keyIn, numbers, sums, tallyGroup } from "./tally.ts";

const PARTITIONS = 4;
export const group = tallyGroup();
/** Of the followers; moves when a test says so. */
export const clock = { ms: 0 };
export const ends: (() => Promise<unknown> | void)[] = [];

/** For `afterEach`. */
export async function endAll(): Promise<void> {
  for (const end of ends.splice(0).reverse()) await end();
}

/** A log that keeps changelogs, with a processor whose stores no view can read. */
export async function startOwner(ownerMs = 0) {
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

export function startView(log: EmbeddedLog, folder: string, nowMs: () => number = () => 0) {
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

/** The log with some of its calls made otherwise. */
export function withOwn<T extends object>(log: EmbeddedLog, own: T): EmbeddedLog & T {
  return Object.assign(Object.create(log) as EmbeddedLog, own);
}

/** Between tries: a turn of the event loop. */
function delay(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
