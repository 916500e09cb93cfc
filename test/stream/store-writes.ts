/**
 * What tests of stores write and expect: places that count records, rows of text, refusals.
 *
 *   records ──after──> place        from, to, rows ──apply──> store
 */

import { expect } from "bun:test";
import type { Progress } from "../../src/log/event-log.ts";
import type { Store } from "../../src/stream/store.ts";
import { StreamError } from "../../src/stream/stream-error.ts";
import { thrown } from "../thrown.ts";

/** The place after so many records. */
export function after(records: number): Progress {
  const inputs = [{ topic: "items", nextOffset: BigInt(records), checksum: records }];
  const outputs = [{ topic: "out", partition: 2, lastOffset: 7n }];
  return { inputs, outputs, changelogOffset: null };
}

/** As the owner with that epoch, from after so many records (null: none) to after so many. */
export function apply(
  store: Store,
  epoch: number,
  from: number | null,
  to: number,
  rows: readonly (readonly [key: string, value: string | null])[] = [],
): void {
  store.apply({
    epoch,
    inStepMs: null,
    before: from === null ? null : after(from),
    after: after(to),
    rows: rows.map(([key, value]) => [key, value === null ? null : Buffer.from(value)]),
  });
}

export const textOf = (bytes: Uint8Array | null) => bytes && Buffer.from(bytes).toString();

export const refused = (run: () => unknown) => thrown(StreamError, run);
export const fenced = (run: () => unknown) => expect(refused(run).code).toBe("store_fenced");
