/**
 * The suite's tools: logs that are closed after the case, fresh names, short ways to write and
 * read text records, and members that collect their claims. Nothing here sleeps: conditions are
 * awaited with a deadline.
 */

import { expect, test } from "bun:test";
import {
  type Commit,
  type EventLog,
  type Headers,
  LogError,
  type LogRecord,
  type NewRecord,
  type ReadOptions,
  type TopicSpec,
} from "../../src/log/event-log.ts";
import type { LogUnderTest, OpenOptions } from "./log-under-test.ts";

/**
 * Far above what anything here takes, so that a busy machine fails no test: a broker that stood
 * still for 5 s was seen to lead its partitions again after 12 s more.
 */
const DEADLINE_MS = 30_000;
/** A case waits for several things, one after another. */
const CASE_MS = 120_000;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
export const bytes = (text: string): Uint8Array => encoder.encode(text);
export const text = (from: Uint8Array | null | undefined): string =>
  decoder.decode(from ?? bytes(""));

let lastName = 0;

/** A name that no other case of this run has. */
export function freshName(of: string): string {
  lastName += 1;
  return `${of}-${process.pid}-${lastName}`;
}

/** Fails with what was waited for when the deadline passes. */
export async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`still waiting for ${what}`)), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Asks again and again, between turns of the event loop. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + DEADLINE_MS;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`still waiting for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/**
 * What `read` gives must become this: others see a commit soon, not at once. Fails with the
 * difference at the deadline.
 */
export async function eventually<T>(read: () => Promise<T>, expected: unknown): Promise<void> {
  let found = await read();
  const endMs = performance.now() + DEADLINE_MS;
  while (!Bun.deepEquals(found, expected) && performance.now() < endMs) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    found = await read();
  }
  expect(found as unknown).toEqual(expected);
}

/** The code that it rejects with. Anything else, a throw in the call itself too, is a failure. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await errorOf(promise)).code;
}

export async function errorOf(promise: Promise<unknown>): Promise<LogError> {
  try {
    await within(promise, "a rejection");
  } catch (error) {
    if (error instanceof LogError) return error;
    throw error;
  }
  throw new Error("it did not reject");
}

export class Fixture {
  private sharedPlace: string | null = null;
  private readonly opened = new Set<EventLog>();
  private readonly ends: (() => void)[] = [];
  private readonly titles = new Set<string>();
  private readonly insteads = new Set<string>();

  constructor(readonly adapter: LogUnderTest) {}

  /** A case; its logs are closed afterwards. */
  case(title: string, run: () => Promise<void>): void {
    this.titles.add(title);
    const closing = async () => {
      try {
        await run();
      } finally {
        for (const end of this.ends.splice(0)) end();
        for (const log of this.opened) await within(log.close(), "close");
        this.opened.clear();
      }
    };
    test(title, closing, CASE_MS);
  }

  /** A case that this adapter cannot have, for a reason, and the case that stands in for it. */
  skip(title: string, why: { readonly reason: string; readonly instead: string }): void {
    this.insteads.add(why.instead);
    test.skip(`${title} (skipped, ${why.reason}; see "${why.instead}")`, () => {});
  }

  /** A case for a log that several instances, of several processes too, can open at once. */
  sharedCase(title: string, instead: string, run: () => Promise<void>): void {
    if (this.adapter.features.childModule !== null) return this.case(title, run);
    this.skip(title, { reason: "the log belongs to one instance", instead });
  }

  /** After all cases: a skip must point to a case that runs. */
  checkSkips(): void {
    test("every skipped case names one that runs", () => {
      for (const instead of this.insteads) expect(this.titles).toContain(instead);
    });
  }

  /** Runs when the case ends, well or badly. */
  atEnd(end: () => void): void {
    this.ends.push(end);
  }

  /** One place for all cases that do not need one of their own. */
  get place(): string {
    this.sharedPlace ??= this.adapter.newPlace();
    return this.sharedPlace;
  }

  async open(options: OpenOptions & { readonly place?: string } = {}): Promise<EventLog> {
    const { place, ...rest } = options;
    const log = await this.adapter.open(place ?? this.place, rest);
    this.opened.add(log);
    return log;
  }

  /** A log with one fresh topic. */
  async withTopic(
    spec: Partial<TopicSpec> = {},
    options: OpenOptions & { readonly place?: string } = {},
  ): Promise<{ log: EventLog; topic: string }> {
    const log = await this.open(options);
    return { log, topic: await newTopic(log, spec) };
  }

  /** Two instances on one log, with a fresh topic, and the name of a group. */
  async twoInstances(partitions: number) {
    const { log, topic } = await this.withTopic({ partitions });
    return { log, other: await this.open(), topic, group: freshName("group") };
  }
}

/** Two partitions, kept for good, unless told. */
export async function newTopic(log: EventLog, spec: Partial<TopicSpec> = {}): Promise<string> {
  const name = freshName("topic");
  const declared = { name, partitions: 2, cleanup: "keep", retentionMs: null, ...spec } as const;
  // Of no case the subject, and may be repeated: a broker that stood still is asked again.
  const isMade = () =>
    log.ensureTopics([declared]).then(
      () => true,
      (error: LogError) => {
        if (error.code !== "unavailable") throw error;
        return false;
      },
    );
  await until(`topic ${name}`, isMade);
  return name;
}

export function record(
  topic: string,
  value: string | null,
  more: { readonly key?: string; readonly partition?: number; readonly headers?: Headers } = {},
): NewRecord {
  const { key = "key", partition = 0, ...rest } = more;
  return {
    topic,
    partition,
    key: bytes(key),
    value: value === null ? null : bytes(value),
    ...rest,
  };
}

export function texts(records: readonly LogRecord[]): string[] {
  return records.map(({ value }) => (value === null ? "(tombstone)" : text(value)));
}

/** Reads to the end as it is now. */
export async function readAll(
  log: EventLog,
  topic: string,
  partition = 0,
  options: Partial<ReadOptions> = {},
): Promise<LogRecord[]> {
  const { start, end } = await log.bounds(topic, partition);
  const all: LogRecord[] = [];
  for await (const batch of log.read({ topic, partition, from: start, until: end, ...options })) {
    all.push(...batch);
  }
  return all;
}

/** The commit that a task makes of a batch: the inputs move to behind its last records. */
export function commitOf(records: readonly LogRecord[], more: Partial<Commit> = {}): Commit {
  const inputs = new Map(
    records.map(({ topic, offset, checksum }) => [
      topic,
      { topic, nextOffset: offset + 1n, checksum },
    ]),
  );
  return { outputs: [], changelog: [], inputs: [...inputs.values()], ...more };
}
