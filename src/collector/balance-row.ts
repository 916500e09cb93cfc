/**
 * The collector's one row of a wallet: its balance and its last deposits.
 *
 *   deposit ──> collector ──> balance-table (this row) ──views──> `check`
 */

import type { Codec } from "../stream/codec.ts";
import type { RowKind } from "../stream/group.ts";
import {
  newPacker,
  type Packer,
  packed,
  putBigint,
  putCount,
  putText,
  takeBigint,
  takeCount,
  takeEnd,
  takeText,
  type Unpacker,
  unpack,
} from "../stream/packing.ts";

export interface BalanceRow {
  /** Sum of all counted deposits, in minor units; of any size. */
  readonly totalMinor: bigint;
  /** How many were counted. */
  readonly count: number;
  /** The last `MAX_LAST_DEPOSITS` in log order, the newest last. */
  readonly last: readonly LastDeposit[];
}

export interface LastDeposit {
  /** With the offset its position, and so its `deposit_id`. */
  readonly partition: number;
  readonly offset: bigint;
  /** The client's own id; null when it gave none. */
  readonly id: string | null;
  readonly amountMinor: bigint;
  readonly acceptedAtMs: number;
}

/** What the reference program promises in words: a short history beside the balance. */
export const MAX_LAST_DEPOSITS = 5;

const FORMAT = 1;

const balanceCodec: Codec<BalanceRow> = {
  name: "balance row",
  encode: encodeBalance,
  decode: decodeBalance,
};

export const balanceRow: RowKind<BalanceRow> = { name: "balance", tag: 1, codec: balanceCodec };

const scratch: Packer = newPacker(512);

function encodeBalance(row: BalanceRow): Uint8Array {
  scratch.length = 0;
  putCount(scratch, FORMAT);
  putBigint(scratch, row.totalMinor);
  putCount(scratch, row.count);
  putCount(scratch, row.last.length);
  for (const deposit of row.last) {
    putCount(scratch, deposit.partition);
    putBigint(scratch, deposit.offset);
    putCount(scratch, deposit.id === null ? 0 : 1);
    if (deposit.id !== null) putText(scratch, deposit.id);
    putBigint(scratch, deposit.amountMinor);
    putCount(scratch, deposit.acceptedAtMs);
  }
  return packed(scratch);
}

function decodeBalance(bytes: Uint8Array): BalanceRow {
  const from = unpack(bytes);
  const format = takeCount(from);
  if (format !== FORMAT) throw new Error(`balance row of format ${format}; known is ${FORMAT}`);
  const totalMinor = takeBigint(from);
  const count = takeCount(from);
  const length = takeCount(from);
  const last: LastDeposit[] = [];
  for (let i = 0; i < length; i++) last.push(takeLastDeposit(from));
  takeEnd(from);
  return { totalMinor, count, last };
}

function takeLastDeposit(from: Unpacker): LastDeposit {
  return {
    partition: takeCount(from),
    offset: takeBigint(from),
    id: takeCount(from) === 0 ? null : takeText(from),
    amountMinor: takeBigint(from),
    acceptedAtMs: takeCount(from),
  };
}
