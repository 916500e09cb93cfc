/**
 * The group that most tests run: it adds up numbers by key, keeps each under a sub-key, and says
 * each new sum to another stream. What a fold over the same records must give stands beside it.
 */

import { type EmbeddedLogOptions, openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import type { EventLog } from "../../src/log/event-log.ts";
import { jsonCodec } from "../../src/stream/codec.ts";
import {
  defineGroup,
  type Group,
  input,
  type RecordInfo,
  type RowKind,
  type Stream,
} from "../../src/stream/group.ts";
import { partitionOf } from "../../src/stream/partitioner.ts";
import type { Sent, Tester } from "../../src/stream/tester.ts";
import { type Faults, faultyLog } from "./faulty-log.ts";

export interface Sum {
  readonly total: number;
  readonly count: number;
}

export const numbers: Stream<number> = {
  topic: "numbers",
  codec: jsonCodec(),
  validate: (n) => (Number.isInteger(n) ? null : `${JSON.stringify(n)} is no integer`),
};
export const totals: Stream<Sum> = { topic: "totals", codec: jsonCodec(), validate: () => null };

export const sums: RowKind<Sum> = { name: "sum", tag: 1, codec: jsonCodec() };
/** By the offset of their record. */
export const parts: RowKind<number> = { name: "part", tag: 2, codec: jsonCodec() };

/** `check` may throw, as a rule that has a fault does. */
export function tallyGroup(check: (n: number, record: RecordInfo) => void = () => {}): Group {
  return defineGroup({
    name: "tally",
    inputs: [
      input(numbers, (context, n) => {
        const { total, count } = context.get(sums) ?? { total: 0, count: 0 };
        const sum = { total: total + n, count: count + 1 };
        context.set(sums, sum);
        context.set(parts, n, subKeyOf(context.record.offset));
        check(n, context.record);
        context.emit(totals, context.record.key, sum);
      }),
    ],
    outputs: [totals],
    rows: [sums, parts],
  });
}

export function subKeyOf(offset: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(offset);
  return bytes;
}

/** Everything that a tester shows of a tally. */
export async function shown(tester: Tester, group: Group) {
  return {
    sums: tester.rows(group, sums).map(({ key, value }) => ({ key, ...value })),
    parts: tester.rows(group, parts).map(({ key, value }) => `${key} ${value}`),
    totals: (await tester.messages(totals)).map(({ key, message }) => ({ key, ...message })),
  };
}

/** What that must be, from the messages alone: in the order of partitions and keys. */
export function folded(sent: readonly Sent<number>[]): Awaited<ReturnType<typeof shown>> {
  const byKey = new Map<string, Sum>();
  const all: ReturnType<typeof folded> = { sums: [], parts: [], totals: [] };
  for (const { key, message } of sent) {
    const before = byKey.get(key) ?? { total: 0, count: 0 };
    byKey.set(key, { total: before.total + message, count: before.count + 1 });
    all.totals.push({ key, ...(byKey.get(key) as Sum) });
  }
  const partition = (key: string) => sent.find((each) => each.key === key)?.partition ?? 0;
  const keys = [...byKey.keys()].sort(
    (a, b) => partition(a) - partition(b) || a.length - b.length || (a < b ? -1 : 1),
  );
  for (const key of keys) {
    all.sums.push({ key, ...(byKey.get(key) as Sum) });
    const own = sent.filter((each) => each.key === key);
    all.parts.push(...own.map(({ message }) => `${key} ${message}`));
  }
  return all;
}

/** A short key that stands in the partition. */
export function keyIn(partition: number, partitions = 4): string {
  for (let n = 0; ; n += 1) {
    if (partitionOf(Buffer.from(`k${n}`), partitions) === partition) return `k${n}`;
  }
}

/** For a tester: a log in memory, with faults. */
export function memoryLog(
  faults: Faults = {},
  options: Partial<EmbeddedLogOptions> = {},
): (nowMs: () => number) => EventLog {
  return (nowMs) =>
    faultyLog(openEmbeddedLog({ folder: ":memory:", create: true, nowMs, ...options }), faults);
}
