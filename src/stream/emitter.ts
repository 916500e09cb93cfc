/**
 * An emitter: writes messages to a stream from outside any group.
 *
 *   message ──codec──> record in its key's partition ──log.append──> position, when durable
 */

import type { EventLog, NewRecord } from "../log/event-log.ts";
import type { Stream } from "./group.ts";
import { ID_HEADER } from "./ids.ts";
import { partitionOf } from "./partitioner.ts";
import type { Position } from "./position.ts";

const encoder = new TextEncoder();

export interface Emission<M> {
  readonly key: string;
  readonly message: M;
  /** Unique for the key: groups that declare so count it once, however often it is sent. */
  readonly id?: string | null;
  /** When it was taken, Unix milliseconds: see `NewRecord`. */
  readonly notBeforeMs?: number;
}

export interface Emitter<M> {
  /** Resolves when durable. Rejects as `EventLog.append` does. */
  emit(emission: Emission<M>): Promise<Position>;
  /** All in one append, in order; positions in the same order. */
  emitAll(emissions: readonly Emission<M>[]): Promise<readonly Position[]>;
  /** Where a key's messages stand. */
  partitionOf(key: string): number;
}

export function createEmitter<M>(options: {
  readonly log: EventLog;
  readonly stream: Stream<M>;
  readonly partitions: number;
}): Emitter<M> {
  const { log, stream, partitions } = options;
  const toRecord = ({ key, message, id, notBeforeMs }: Emission<M>): NewRecord => {
    const keyBytes = encoder.encode(key);
    return {
      topic: stream.topic,
      partition: partitionOf(keyBytes, partitions),
      key: keyBytes,
      value: stream.codec.encode(message),
      ...(id == null ? {} : { headers: [[ID_HEADER, encoder.encode(id)] as const] }),
      ...(notBeforeMs === undefined ? {} : { notBeforeMs }),
    };
  };
  const emitAll = async (emissions: readonly Emission<M>[]): Promise<readonly Position[]> => {
    const records = emissions.map(toRecord);
    const offsets = await log.append(records);
    return records.map(({ partition }, i) => ({ partition, offset: offsets[i] as bigint }));
  };
  return {
    emitAll,
    emit: async (emission) => {
      const record = toRecord(emission);
      const [offset] = await log.append([record]);
      return { partition: record.partition, offset: offset as bigint };
    },
    partitionOf: (key) => partitionOf(encoder.encode(key), partitions),
  };
}
