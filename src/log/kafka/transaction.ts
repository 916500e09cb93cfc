/**
 * A transactional producer: what is written between a begin and its commit is there as a whole or
 * not at all, and only while nobody else has begun under its id.
 *
 *   begin (fences the last owner) ──> write ... write ──> commit
 *
 * A failed write or commit ends the producer: what it has begun is aborted by the next one of its
 * id, or by the broker after TRANSACTION_TIMEOUT_MS.
 */

import type Broker from "kafkajs/src/broker/index.js";
import { LogError, type NewRecord } from "../event-log.ts";
import type { Connections } from "./connections.ts";
import { CONCURRENT, withCoordinator } from "./coordinator-tries.ts";
import { unlessRefused, whySilent } from "./group-coordinator.ts";
import type { GroupOffset } from "./group-offsets.ts";
import {
  BATCH_BYTES,
  COMMIT_WITHIN_MS,
  COMPRESS_FROM_BYTES,
  RETRY_FIRST_MS,
  RETRY_LAST_MS,
  TRANSACTION_TIMEOUT_MS,
} from "./limits.ts";
import { encodeBatch, nextSequence, recordBytes } from "./record-batch.ts";
import { pause, typeOf, unavailable } from "./retry.ts";
import { sendOnce } from "./sending.ts";
import { ErrorCode, type PartitionBatch } from "./wire.ts";

const FENCED = new Set(["INVALID_PRODUCER_EPOCH", "PRODUCER_FENCED"]);
/** Answers to the end of a transaction by which it has surely not been taken. */
const NOT_ENDED = new Set([...FENCED, CONCURRENT, "GROUP_LOAD_IN_PROGRESS"]);
/** Answers to the end of a transaction, after which it may be sent again. */
const ANSWERS = new Set([
  ...NOT_ENDED,
  "NOT_COORDINATOR_FOR_GROUP",
  "GROUP_COORDINATOR_NOT_AVAILABLE",
]);
const FENCED_CODES = new Set<number>([ErrorCode.invalidProducerEpoch, ErrorCode.producerFenced]);

export interface TransactionOptions {
  readonly connections: Connections;
  readonly transactionalId: string;
  readonly nowMs: () => number;
}

/**
 * Ends whatever another producer of this id has begun, and takes its place. The signal ends the
 * tries to open, and no transaction later: a batch under way is finished.
 */
export async function openTransactions(
  options: TransactionOptions & { readonly signal?: AbortSignal },
): Promise<Transactions> {
  const { connections, transactionalId } = options;
  const found = await withCoordinator(
    { ...options, of: "transaction", id: transactionalId, withinMs: COMMIT_WITHIN_MS },
    (coordinator) =>
      coordinator.initProducerId({ transactionalId, transactionTimeout: TRANSACTION_TIMEOUT_MS }),
  );
  const { nowMs } = options;
  return new Transactions({ connections, transactionalId, nowMs }, {
    producerId: found.producerId,
    producerEpoch: found.producerEpoch,
  });
}

export class Transactions {
  private readonly sequences = new Map<string, number>();
  private endMs = 0;

  constructor(
    private readonly options: TransactionOptions,
    private readonly identity: { readonly producerId: string; readonly producerEpoch: number },
  ) {}

  /**
   * Before the first write: where this transaction will write, all at once. For none, it begins
   * with what is added next.
   */
  async begin(partitions: readonly { readonly topic: string; readonly partition: number }[]) {
    const { transactionalId } = this.options;
    this.endMs = performance.now() + COMMIT_WITHIN_MS;
    if (partitions.length === 0) return;
    const topics = [...Map.groupBy(unique(partitions), ({ topic }) => topic)].map(
      ([topic, each]) => ({ topic, partitions: each.map(({ partition }) => partition) }),
    );
    await this.run((coordinator) =>
      coordinator.addPartitionsToTxn({ ...this.identity, transactionalId, topics }),
    );
  }

  /**
   * Resolves with each record's offset. Throws `fenced` and `unavailable`, after which the
   * transaction can't be committed.
   */
  async write(records: readonly NewRecord[]): Promise<readonly bigint[]> {
    const offsets = records.map(() => -1n);
    let open = this.batches(records);
    while (open.length > 0) {
      // One batch for a partition in a request; the rest of a large one follows.
      const first = new Set<string>();
      const now = open.filter((batch) => !first.has(batch.key) && first.add(batch.key));
      await this.sendAll(now, offsets);
      open = open.filter((batch) => !now.includes(batch));
    }
    return offsets;
  }

  /**
   * Before the first offsets of a group. From here on the transaction's end waits for the group's
   * coordinator: so one that does not answer gets none. Resolves with why nothing was added, null
   * when it was. Throws `fenced` and `unavailable` as a write does.
   */
  async addOffsets(groupId: string): Promise<unknown> {
    const { connections, transactionalId } = this.options;
    const silent = await whySilent(connections, groupId);
    if (silent !== null) return silent;
    return unlessRefused(() =>
      this.run((coordinator) =>
        coordinator.addOffsetsToTxn({ ...this.identity, transactionalId, groupId }),
      ),
    );
  }

  /**
   * Where the group stands, with the rest or not at all. No member of the group need say so: only
   * this producer can end what it has begun. Resolves with why they were refused, null when they
   * were not: the rest can be committed all the same. Throws `unavailable` as a write does.
   */
  async writeOffsets(groupId: string, offsets: readonly GroupOffset[]): Promise<unknown> {
    const { connections, transactionalId } = this.options;
    const withinMs = this.endMs - performance.now();
    const topics = [...Map.groupBy(offsets, ({ topic }) => topic)].map(([topic, each]) => ({
      topic,
      partitions: each.map(({ partition, nextOffset }) => ({ partition, offset: `${nextOffset}` })),
    }));
    return unlessRefused(() =>
      withCoordinator({ connections, of: "group", id: groupId, withinMs }, (coordinator) =>
        coordinator.txnOffsetCommit({ ...this.identity, transactionalId, groupId, topics }),
      ),
    );
  }

  /**
   * Throws `fenced`, `unavailable` (nothing is written), `outcome_unknown`. An end without an
   * answer is not sent again: the first one may come late, and would end the next transaction,
   * half-written, for its producer and epoch are the same (KIP-890).
   */
  async commit(): Promise<void> {
    const { transactionalId } = this.options;
    let mayBeDone = false;
    try {
      await this.run(async (coordinator) => {
        try {
          await coordinator.endTxn({ ...this.identity, transactionalId, transactionResult: true });
        } catch (error) {
          const type = typeOf(error);
          if (!NOT_ENDED.has(type)) mayBeDone = true;
          throw ANSWERS.has(type) ? error : unavailable(`end ${transactionalId}`, error);
        }
      });
    } catch (error) {
      // A coordinator that moves may have written it down, and "fenced" come from a successor.
      if (!mayBeDone) throw error;
      const message = `the broker did not say whether ${transactionalId} has committed`;
      throw new LogError("outcome_unknown", message, { cause: error });
    }
  }

  private async sendAll(batches: readonly TransactionBatch[], offsets: bigint[]): Promise<void> {
    const { connections, transactionalId } = this.options;
    let open = batches;
    for (let pauseMs = RETRY_FIRST_MS; ; pauseMs = Math.min(pauseMs * 2, RETRY_LAST_MS)) {
      const outcomes = await sendOnce(connections, open, transactionalId);
      const again: TransactionBatch[] = [];
      let cause: unknown;
      open.forEach((batch, index) => {
        const outcome = outcomes[index];
        if (outcome?.kind === "done") {
          batch.places.forEach((at, i) => {
            offsets[at] = outcome.baseOffset + BigInt(i);
          });
        } else if (outcome?.kind === "refused") {
          const { errorCode, error } = outcome;
          throw FENCED_CODES.has(errorCode) ? this.fenced(error) : error;
        } else {
          again.push(batch);
          cause = outcome?.error;
        }
      });
      if (again.length === 0) return;
      if (performance.now() > this.endMs) {
        throw unavailable(`write for ${transactionalId}`, cause);
      }
      open = again;
      await pause(pauseMs);
    }
  }

  private batches(records: readonly NewRecord[]): TransactionBatch[] {
    const indexed = records.map((record, at) => ({ record, at }));
    const byPlace = Map.groupBy(indexed, ({ record }) => `${record.partition}/${record.topic}`);
    return [...byPlace].flatMap(([key, items]) =>
      chunks(items).map((chunk) => {
        const firstSequence = this.sequences.get(key) ?? 0;
        this.sequences.set(key, nextSequence(firstSequence, chunk.length));
        const { topic, partition } = (chunk[0] as (typeof items)[number]).record;
        const bytes = encodeBatch(
          chunk.map(({ record }) => record),
          {
            producerId: BigInt(this.identity.producerId),
            producerEpoch: this.identity.producerEpoch,
            firstSequence,
            isTransactional: true,
          },
          { timestampMs: this.options.nowMs(), compressFromBytes: COMPRESS_FROM_BYTES },
        );
        return { key, topic, partition, bytes, places: chunk.map(({ at }) => at) };
      }),
    );
  }

  private async run<T>(attempt: (coordinator: Broker) => Promise<T>): Promise<T> {
    const { connections, transactionalId: id } = this.options;
    const withinMs = this.endMs - performance.now();
    try {
      return await withCoordinator({ connections, of: "transaction", id, withinMs }, attempt);
    } catch (error) {
      throw FENCED.has(typeOf(error)) ? this.fenced(error) : error;
    }
  }

  private fenced(cause: unknown): LogError {
    const { transactionalId } = this.options;
    const message = `${transactionalId} was begun by another member: this one is over`;
    return new LogError("fenced", message, { cause });
  }
}

interface TransactionBatch extends PartitionBatch {
  readonly key: string;
  /** Where its records stand in the call. */
  readonly places: readonly number[];
}

function chunks<T extends { readonly record: NewRecord }>(items: readonly T[]): T[][] {
  const made: T[][] = [];
  let bytes = Infinity;
  for (const item of items) {
    const size = recordBytes(item.record);
    if (bytes + size > BATCH_BYTES) {
      made.push([]);
      bytes = 0;
    }
    (made.at(-1) as T[]).push(item);
    bytes += size;
  }
  return made;
}

function unique<T extends { readonly topic: string; readonly partition: number }>(
  places: readonly T[],
): readonly T[] {
  return [...new Map(places.map((place) => [`${place.partition}/${place.topic}`, place])).values()];
}
