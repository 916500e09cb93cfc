/**
 * The producer under whose id batches are appended: the broker takes each sequence once.
 *
 *   broker ──id, epoch──> producer, until a batch's outcome is not cleared up ──> another
 */

import type { Lane } from "./append-lane.ts";
import type { Connections } from "./connections.ts";
import { TRANSACTION_TIMEOUT_MS, UNAVAILABLE_AFTER_MS } from "./limits.ts";
import { retrying } from "./retry.ts";

export interface IdempotentProducer {
  readonly id: bigint;
  readonly epoch: number;
  /** The next one, by lane. */
  readonly sequences: Map<Lane, number>;
}

export class IdempotentProducers {
  private producer: IdempotentProducer | null = null;
  private making: Promise<IdempotentProducer> | null = null;

  constructor(private readonly connections: Connections) {}

  /** A new one where there is none, or none any more. Throws `unavailable`. */
  async current(): Promise<IdempotentProducer> {
    if (this.producer !== null) return this.producer;
    this.making ??= this.make().finally(() => {
      this.making = null;
    });
    return this.making;
  }

  /** Nothing is sent under it any more, not even in this turn. */
  retire(producer: IdempotentProducer): void {
    if (this.producer === producer) this.producer = null;
  }

  private async make(): Promise<IdempotentProducer> {
    const { connections } = this;
    const ask = async () =>
      (await connections.any()).initProducerId({ transactionTimeout: TRANSACTION_TIMEOUT_MS });
    const what = "write to the log";
    const found = await retrying(ask, { withinMs: UNAVAILABLE_AFTER_MS, what });
    const producer = {
      id: BigInt(found.producerId),
      epoch: found.producerEpoch,
      sequences: new Map<Lane, number>(),
    };
    this.producer = producer;
    return producer;
  }
}
