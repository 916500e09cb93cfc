/**
 * What became of an import's rows, exactly and in constant memory.
 *
 *   positions of what was appended ──> ranges ──settled──> records read back ──id rows──> counts
 *
 * A record is new when its id was counted at its own position, a repeat when it was counted
 * elsewhere with the same amount, else a conflict. Other writers' records between ours only break
 * ranges; when there are too many ranges, what they hold is counted before more is sent.
 */

import { ID_HEADER } from "../stream/ids.ts";
import { formatPosition, type Position } from "../stream/position.ts";
import type { StreamPosition } from "../stream/settling.ts";
import type { View } from "../stream/view.ts";
import { depositFingerprint, depositStream } from "./deposit.ts";
import { ImportError } from "./import-error.ts";
import type { ImportCounts, SentRange } from "./import-ledger.ts";

/** A record as the log hands it out. */
export interface SentRecord {
  readonly offset: bigint;
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
  readonly headers: readonly (readonly [name: string, value: Uint8Array])[];
}

/** Pages of the deposits in a range, in order. */
export type ReadSent = (range: SentRange) => AsyncIterable<readonly SentRecord[]>;

/** An id that was counted before with another amount. */
export interface ImportConflict {
  readonly walletId: string;
  readonly id: string;
  /** Of the row that was not counted. */
  readonly position: Position;
  readonly amountMinor: bigint;
  /** Of the deposit that was. */
  readonly countedPosition: Position;
  readonly countedAmountMinor: bigint;
}

export class SentRanges {
  private list: { partition: number; from: bigint; to: bigint }[] = [];
  private readonly newest = new Map<number, { partition: number; from: bigint; to: bigint }>();

  /** Within a partition in rising order. */
  add({ partition, offset }: Position): void {
    const newest = this.newest.get(partition);
    if (newest?.to === offset) {
      newest.to = offset + 1n;
      return;
    }
    const range = { partition, from: offset, to: offset + 1n };
    this.newest.set(partition, range);
    this.list.push(range);
  }

  get count(): number {
    return this.list.length;
  }

  all(): readonly SentRange[] {
    return this.list;
  }

  clear(): void {
    this.list = [];
    this.newest.clear();
  }
}

/** The last position of each partition: when these are settled, all are. */
export function lastPositions(ranges: readonly SentRange[]): StreamPosition[] {
  const last = new Map<number, bigint>();
  for (const { partition, to } of ranges) {
    if (to - 1n > (last.get(partition) ?? -1n)) last.set(partition, to - 1n);
  }
  const { topic } = depositStream;
  return [...last].map(([partition, offset]) => ({ topic, partition, offset }));
}

/**
 * Counts what stands in the ranges, all of which must be settled. `onPage` is awaited between
 * pages and hears how many records they held. Throws ImportError `not_counted`.
 */
export async function countSent(
  ranges: readonly SentRange[],
  options: {
    readonly readSent: ReadSent;
    readonly balance: View;
    readonly onConflict: (conflict: ImportConflict) => void;
    readonly onPage: (records: number) => Promise<void>;
  },
): Promise<ImportCounts> {
  const { readSent, balance, onConflict, onPage } = options;
  const counts = { new: 0, repeats: 0, conflicts: 0 };
  for (const range of ranges) {
    for await (const page of readSent(range)) {
      for (const record of page) {
        const conflict = outcomeOf(record, range.partition, balance);
        if (typeof conflict === "string") counts[conflict] += 1;
        else {
          counts.conflicts += 1;
          onConflict(conflict);
        }
      }
      await onPage(page.length);
    }
  }
  return counts;
}

const decoder = new TextDecoder();

function outcomeOf(
  record: SentRecord,
  partition: number,
  balance: View,
): "new" | "repeats" | ImportConflict {
  const { offset, value } = record;
  const walletId = decoder.decode(record.key);
  const header = record.headers.find(([name]) => name === ID_HEADER);
  const id = decoder.decode(header?.[1]);
  const row = balance.id(walletId, { topic: depositStream.topic, id });
  const position = { partition, offset };
  if (row === null || value === null) {
    throw new ImportError(
      "not_counted",
      `the deposit at ${formatPosition(position)} was written and is not counted: ` +
        "look for it among the dead letters of the collector",
    );
  }
  if (row.offset === offset) return "new";
  const deposit = depositStream.codec.decode(value);
  if (row.fingerprint === depositFingerprint(deposit)) return "repeats";
  return {
    walletId,
    id,
    position,
    amountMinor: deposit.amountMinor,
    countedPosition: { partition, offset: row.offset },
    countedAmountMinor: BigInt(row.fingerprint),
  };
}
