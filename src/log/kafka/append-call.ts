/**
 * One append of any number of records, over any number of partitions.
 *
 *   batches ──each record's offset or error──> call ──once all are told──> the caller
 */

import { LogError } from "../event-log.ts";

/** Resolves with all its offsets, in order. */
export class AppendCall {
  private readonly deferred = Promise.withResolvers<readonly bigint[]>();
  private readonly offsets: bigint[];
  private isAnyWritten = false;
  private left: number;
  private failure: LogError | null = null;

  constructor(count: number) {
    this.offsets = Array.from({ length: count }, () => -1n);
    this.left = count;
    if (count === 0) this.deferred.resolve([]);
  }

  get done(): Promise<readonly bigint[]> {
    return this.deferred.promise;
  }

  succeed(index: number, offset: bigint): void {
    this.offsets[index] = offset;
    this.isAnyWritten = true;
    this.end();
  }

  fail(error: LogError): void {
    if (this.failure === null || error.code === "outcome_unknown") this.failure = error;
    this.end();
  }

  /** Where a part was written and a part refused, the whole is neither. */
  private end(): void {
    this.left -= 1;
    if (this.left > 0) return;
    const { failure } = this;
    if (failure === null) return this.deferred.resolve(this.offsets);
    if (!this.isAnyWritten || failure.code === "outcome_unknown") {
      return this.deferred.reject(failure);
    }
    const message = `a part of the records was written, another not: ${failure.message}`;
    this.deferred.reject(new LogError("outcome_unknown", message, { cause: failure }));
  }
}
