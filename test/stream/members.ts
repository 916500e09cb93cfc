/**
 * Members of a group that share one data folder, as programs in several terminals do: each has a
 * log of its own, its own connections to the stores, and a processor.
 */

import { Database } from "bun:sqlite";
import { join } from "node:path";
import { type EmbeddedLog, openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import { logPath } from "../../src/log/embedded/schema.ts";
import { createEmitter } from "../../src/stream/emitter.ts";
import type { Group } from "../../src/stream/group.ts";
import { type Processor, startProcessor } from "../../src/stream/processor.ts";
import { Stores } from "../../src/stream/stores.ts";
import { defineTopology, topicSpecs } from "../../src/stream/topology.ts";
import { View } from "../../src/stream/view.ts";
import { type Faults, faultyLog } from "./faulty-log.ts";
import { numbers } from "./tally.ts";

const DEADLINE_MS = 10_000;

export interface Member {
  readonly log: EmbeddedLog;
  readonly processor: Processor;
  readonly stores: Stores;
  /** The partitions that it has, by their phase. */
  phases(): Record<number, string>;
  /** Shows no life any more, as a process that was stopped. */
  hang(): void;
  /** Counts as gone: its partitions are free. */
  evict(): void;
  close(): Promise<void>;
}

export interface MemberOptions {
  readonly folder: string;
  readonly group: Group;
  readonly partitions: number;
  readonly faults?: Faults;
  readonly standIn?: boolean;
  readonly monotonicMs?: () => number;
}

export async function startMember(options: MemberOptions): Promise<Member> {
  const { folder, group, partitions, faults = {} } = options;
  const log = openEmbeddedLog({ folder, create: true, nowMs: () => 0 });
  const specs = topicSpecs(defineTopology([group]), { partitions, keepsChangelogs: false });
  await log.ensureTopics(specs);
  const stores = new Stores(join(folder, "stores"), log.incarnation);
  const processor = startProcessor({
    ...{ log: faultyLog(log, faults), group, stores, partitions, delay },
    standIn: options.standIn ?? false,
    monotonicMs: options.monotonicMs ?? (() => 0),
  });
  const { file: inside } = log as unknown as {
    file: { membership: { memberId: string; timer: ReturnType<typeof setInterval> } };
  };
  return {
    ...{ log, processor, stores },
    phases: () => Object.fromEntries(processor.state().map((s) => [s.partition, s.phase])),
    hang: () => clearInterval(inside.membership.timer),
    evict: () => {
      const database = new Database(logPath(folder));
      const { memberId } = inside.membership;
      database.query("UPDATE claims SET member = NULL WHERE member = ?").run(memberId);
      database.query("DELETE FROM memberships WHERE member = ?").run(memberId);
      database.query("DELETE FROM members WHERE id = ?").run(memberId);
      database.close();
    },
    close: async () => {
      await processor.stop();
      await log.close();
    },
  };
}

/** Between tries: a turn of the event loop. */
function delay(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export function sendNumbers(member: Member, partitions: number, sent: [string, number][]) {
  const emitter = createEmitter({ log: member.log, stream: numbers, partitions });
  return emitter.emitAll(sent.map(([key, message]) => ({ key, message })));
}

export function viewOf(member: Member, group: Group, partitions: number): View {
  return new View({ log: member.log, group, stores: member.stores, partitions });
}

/** Asks again and again, between turns of the event loop. */
export async function eventually(what: string, isSo: () => boolean): Promise<void> {
  const endMs = performance.now() + DEADLINE_MS;
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error(`still waiting for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
