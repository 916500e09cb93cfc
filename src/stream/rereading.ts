/**
 * A partition of a stream, read again as a group takes it: by the same refusals, each id once, and
 * without rows, stores or a claim. It asks the log alone, and disturbs nobody who works there.
 *
 *   log.read ──for the group? its partition? decodable? valid? id seen?──> messages
 *                 └── control ──> what it says
 *
 * What the group refused and would take now counts here, and its replay then does not: the id is
 * seen. Ids are known by 64 bits of their hashes, so that a partition of 10 million ids takes two
 * of one key for the same with a chance of one in 400,000.
 */

import type { EventLog, LogRecord } from "../log/event-log.ts";
import { nextTurn } from "./catch-up.ts";
import { controlOf } from "./control.ts";
import { isFor } from "./for-group.ts";
import type { Group, Input, RecordInfo } from "./group.ts";
import { partitionOf } from "./partitioner.ts";
import { decodeRecord } from "./record-runner.ts";

export interface Rereading<M> {
  readonly log: Pick<EventLog, "read">;
  readonly group: Group;
  readonly topic: string;
  readonly partition: number;
  readonly partitions: number;
  readonly from: bigint;
  /** Exclusive. */
  readonly until: bigint;
  readonly signal: AbortSignal;
  /** Says whether the key is wanted at all; asked before anything is decoded. */
  readonly wants?: (key: Uint8Array) => boolean;
  readonly onMessage: (info: RecordInfo, message: M) => void;
  readonly onControl: (message: unknown) => void;
  /** After each page, how many records it held. */
  readonly onPage: (records: number) => void;
}

/** Resolves at the end, or soon after the signal fires. Throws as `EventLog.read` does. */
export async function reread<M>(rereading: Rereading<M>): Promise<void> {
  const { log, group, topic, partition, from, until, signal, onPage } = rereading;
  const input = group.inputs.find(({ stream }) => stream.topic === topic);
  if (input === undefined) throw new Error(`${group.name} does not read ${topic}`);
  const seen = new SeenIds();
  for await (const records of log.read({ topic, partition, from, until, signal })) {
    for (const record of records) takeAgain(record, input, { ...rereading, seen });
    onPage(records.length);
    await nextTurn();
  }
}

function takeAgain<M>(
  record: LogRecord,
  input: Input<unknown>,
  to: Rereading<M> & { readonly seen: SeenIds },
): void {
  const { key, headers } = record;
  if (headers.length > 0 && !isFor(to.group, headers)) return;
  if (key.length === 0) {
    const name = controlOf(record);
    if (name !== null) return takeControl(record, input, { ...to, name });
  }
  if (to.wants !== undefined && !to.wants(key)) return;
  if (partitionOf(key, to.partitions) !== to.partition) return;
  const decoded = decodeRecord(record, input);
  if ("reason" in decoded) return;
  const { info, message } = decoded;
  if (input.stream.validate(message, info) !== null) return;
  if (info.id !== null && input.fingerprint !== undefined && !to.seen.add(info.key, info.id)) {
    return;
  }
  to.onMessage(info, message as M);
}

function takeControl(
  { value }: LogRecord,
  { control }: Input<unknown>,
  { name, onControl }: { readonly name: string; readonly onControl: (message: unknown) => void },
): void {
  if (control === undefined || control.name !== name || value === null) return;
  let message: unknown;
  try {
    message = control.codec.decode(value);
  } catch {
    return; // the group refuses it
  }
  onControl(message);
}

/** Of 2: a table is at most so full before it doubles, or looking takes long. */
const FULL_SHARE = 0.6;

/** Hashes of 64 bits, 8 bytes each, in an open table. */
class SeenIds {
  private count = 0;
  private mask = 1_023;
  private low = new Uint32Array(1_024);
  private high = new Uint32Array(1_024);

  /** False when it was there. */
  add(key: string, id: string): boolean {
    const text = `${key}\0${id}`;
    const high = Bun.hash.xxHash32(text, 1) | 1; // 0 is an empty place
    if (!this.put(Bun.hash.xxHash32(text, 2), high >>> 0)) return false;
    this.count += 1;
    if (this.count > FULL_SHARE * this.low.length) this.grow();
    return true;
  }

  private put(low: number, high: number): boolean {
    for (let at = low & this.mask; ; at = (at + 1) & this.mask) {
      if (this.high[at] === 0) {
        this.low[at] = low;
        this.high[at] = high;
        return true;
      }
      if (this.low[at] === low && this.high[at] === high) return false;
    }
  }

  private grow(): void {
    const { low, high } = this;
    this.low = new Uint32Array(2 * low.length);
    this.high = new Uint32Array(2 * low.length);
    this.mask = 2 * low.length - 1;
    for (let i = 0; i < low.length; i++) {
      if (high[i] !== 0) this.put(low[i] as number, high[i] as number);
    }
  }
}
