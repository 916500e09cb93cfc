/**
 * What of a log is copied when it moves, and how: streams as clients and operators wrote them, and
 * what operators did about dead letters.
 *
 *   deposits ──same partition, same offset──> target
 *   operators' records of flag_wallet ──in order, their offset in a header──> target
 *   marks of dead letters ──naming records as the target has them──> target
 *
 * What processors make they make again there. Each partition goes on where the target ends.
 */

import { depositStream } from "../deposits/deposit.ts";
import { flagWalletStream } from "../flagger/flag-wallet.ts";
import type { EventLog, LogRecord } from "../log/event-log.ts";
import { copyChosen, copyToSameOffsets } from "../log/exact-copy.ts";
import { deadLetterTopic } from "../stream/group.ts";
import type { StreamPosition } from "../stream/settling.ts";
import type { Topology } from "../stream/topology.ts";
import { AdministrationError } from "./administration-error.ts";
import { movedMark } from "./migration-marks.ts";

/** The header of a copied record with its offset in the folder. */
export const SOURCE_OFFSET_HEADER = "source-offset";
/** Enough to keep the brokers busy; each may hold some megabytes of records. */
const PARTITIONS_AT_ONCE = 4;
const decoder = new TextDecoder();

export interface MigrationCopy {
  readonly source: EventLog;
  readonly target: EventLog;
  readonly topology: Topology;
  readonly partitions: number;
  /** Ends it between two requests. */
  readonly signal: AbortSignal;
  /** Now and then: so many of the source's records are done, those of earlier runs included. */
  readonly onProgress: (progress: { readonly done: bigint; readonly total: bigint }) => void;
}

/** Throws LogError, as copies do; AdministrationError `interrupted` when the signal has fired. */
export async function copyLog(options: MigrationCopy): Promise<void> {
  const { source, target, topology } = options;
  const letters = topology.groups.map((group) => ({ group, topic: deadLetterTopic(group) }));
  const streams = [depositStream.topic, flagWalletStream.topic];
  const topics = [...streams, ...letters.map(({ topic }) => topic)];
  const totals = await Promise.all(topics.map((topic) => recordsIn(options, topic)));
  const total = totals.reduce((sum, each) => sum + each, 0n);
  let done = 0n;
  const onDone = (records: bigint) => {
    done += records;
    options.onProgress({ done, total });
  };
  const parts = { source, target, onDone, offsetHeader: SOURCE_OFFSET_HEADER };
  await eachPartition(options, (partition, signal) =>
    copyToSameOffsets({ ...parts, topic: depositStream.topic, partition, signal }),
  );
  const ends = await eachPartition(options, (partition, signal) => {
    const copyOf = (record: LogRecord) => (isNoEvent(record) ? record : null);
    return copyChosen({ ...parts, topic: flagWalletStream.topic, partition, signal, copyOf });
  });
  const offsets = await copiedOffsets(target, ends);
  const moved = movedPlaces(offsets);
  for (const { group, topic } of letters) {
    const copyOf = (record: LogRecord) => movedMark(record, group, moved);
    await eachPartition(options, (partition, signal) =>
      copyChosen({ ...parts, topic, partition, signal, copyOf }),
    );
  }
}

export async function recordsIn(
  { source, partitions }: Pick<MigrationCopy, "source" | "partitions">,
  topic: string,
): Promise<bigint> {
  let sum = 0n;
  for (let partition = 0; partition < partitions; partition++) {
    sum += (await source.bounds(topic, partition)).end;
  }
  return sum;
}

/** A few at a time. When one fails the others end, and its error is thrown. */
async function eachPartition<T>(
  options: MigrationCopy,
  work: (partition: number, signal: AbortSignal) => Promise<T>,
): Promise<T[]> {
  const failing = new AbortController();
  const signal = AbortSignal.any([options.signal, failing.signal]);
  const results: T[] = [];
  let next = 0;
  const inTurn = async () => {
    while (next < options.partitions && !signal.aborted) {
      const partition = next++;
      results[partition] = await work(partition, signal);
    }
  };
  const workers = Array.from({ length: PARTITIONS_AT_ONCE }, () =>
    inTurn().catch((error: unknown) => {
      failing.abort();
      throw error;
    }),
  );
  const ended = await Promise.allSettled(workers);
  const failed = ended.find((each) => each.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  if (!options.signal.aborted) return results;
  throw new AdministrationError(
    "interrupted",
    "interrupted: run the same command again, it goes on where it ended; or take the folder into " +
      "use again with --give-up",
  );
}

/** What cannot be read is copied as well: it is a dead letter there, as it was here. */
function isNoEvent({ value }: LogRecord): boolean {
  try {
    return flagWalletStream.codec.decode(value ?? new Uint8Array()).kind.case !== "event";
  } catch {
    return true;
  }
}

/** Of each partition of flag_wallet: where the source's offsets stand in the target. */
async function copiedOffsets(
  target: EventLog,
  ends: readonly bigint[],
): Promise<readonly ReadonlyMap<bigint, bigint>[]> {
  const { topic } = flagWalletStream;
  const found: Map<bigint, bigint>[] = [];
  for (const [partition, until] of ends.entries()) {
    const offsets = new Map<bigint, bigint>();
    found.push(offsets);
    if (until === 0n) continue;
    for await (const records of target.read({ topic, partition, from: 0n, until })) {
      for (const { offset, headers } of records) {
        const origin = headers.findLast(([name]) => name === SOURCE_OFFSET_HEADER)?.[1];
        if (origin !== undefined) offsets.set(BigInt(decoder.decode(origin)), offset);
      }
    }
  }
  return found;
}

/** Where a record of the source stands in the target; null where it does not. */
function movedPlaces(offsets: readonly ReadonlyMap<bigint, bigint>[]) {
  return (place: StreamPosition): StreamPosition | null => {
    if (place.topic === depositStream.topic) return place;
    if (place.topic !== flagWalletStream.topic) return null;
    const offset = offsets[place.partition]?.get(place.offset);
    return offset === undefined ? null : { ...place, offset };
  };
}
