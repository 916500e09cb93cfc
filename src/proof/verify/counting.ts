/**
 * Which of a wallet's records a group has to count: each id once, none that was refused.
 *
 *   a wallet's records in log order, their dead letters ──> counted ones, rows of ids
 *
 * What was refused stays refused, also when the rules would take it now: an operator can replay or
 * drop it. One that nobody has dealt with is a difference, for a record would be lost with it.
 */

import { toLatin1 } from "../../stream/row-key.ts";
import { ID_FORMAT } from "./row-formats.ts";
import type { ExpectedRow } from "./rows.ts";
import { differ, type WalletPlace } from "./place.ts";
import type { Arrival } from "./scratch.ts";

/** Reasons of a record's letters, by group. */
export type RecordLetters = Readonly<
  Partial<Record<string, { readonly reason: string; readonly isHandled: boolean }>>
>;

export interface Counted<A> {
  /** In log order: the n-th has the ordinal n. */
  readonly counted: readonly A[];
  /** As the table is folded. */
  readonly idRows: readonly ExpectedRow[];
}

export function countOnce<A extends Arrival>(
  arrivals: readonly A[],
  fingerprintOf: (arrival: A) => string,
  at: WalletPlace,
): Counted<A> {
  const counted: A[] = [];
  const idRows: ExpectedRow[] = [];
  const known = new Map<string, string>();
  const end = Math.max(at.committed, at.folded);
  for (const arrival of arrivals) {
    const { id, offset, takers } = arrival;
    if (offset >= end) break;
    if ((takers & at.bit) === 0) continue;
    const fingerprint = id === null ? "" : fingerprintOf(arrival);
    const first = id === null ? undefined : known.get(id);
    const isConflict = first !== undefined && first !== fingerprint;
    if (isRefused(arrival, isConflict, at) || first !== undefined) continue;
    counted.push(arrival);
    if (id === null) continue;
    known.set(id, fingerprint);
    if (offset >= at.folded) continue;
    const value = { offset: BigInt(offset), fingerprint };
    const subKey = idSubKey(at.topic, id);
    idRows.push({ format: ID_FORMAT, subKey, value, offset, bytes: idBytes(offset, fingerprint) });
  }
  return { counted, idRows };
}

/** The first 16 bytes of SHA-256 over topic, NUL and id, as one character a byte. */
function idSubKey(topic: string, id: string): string {
  const text = `${topic}\0${id}`;
  if (text === last.text) return last.subKey;
  Bun.SHA256.hash(text, hash);
  last = { text, subKey: toLatin1(hash).slice(0, 16) };
  return last.subKey;
}

/** Two groups ask for the ids of a wallet, which mostly has few. */
let last = { text: "", subKey: "" };

/** One for all calls: there are as many as there are ids. */
const hash = new Uint8Array(32);

function idBytes(offset: number, fingerprint: string): Uint8Array {
  const bytes = Buffer.allocUnsafe(8 + Buffer.byteLength(fingerprint));
  bytes.writeUIntBE(Math.floor(offset / 2 ** 32), 0, 4);
  bytes.writeUInt32BE(offset % 2 ** 32, 4);
  bytes.write(fingerprint, 8);
  return bytes;
}

function isRefused(arrival: Arrival, isConflict: boolean, at: WalletPlace): boolean {
  const { offset, letters } = arrival;
  const letter = letters === null ? undefined : (JSON.parse(letters) as RecordLetters)[at.group];
  const where = `${at.group}-dead-letters`;
  if (letter === undefined) {
    if (isConflict && offset < at.committed) {
      const expected = "refused as id_conflict";
      differ(at, { kind: "dead_letter", where, offset, expected, found: "no dead letter" });
    }
    return isConflict;
  }
  at.findings.compared.deadLetters += 1;
  const isRight = isConflict && letter.reason === "id_conflict";
  if (!isRight && !letter.isHandled) {
    const expected = isConflict ? "refused as id_conflict" : "taken: nothing is wrong with it";
    const found = `refused as ${letter.reason}`;
    differ(at, { kind: "dead_letter", where, offset, expected, found });
  }
  return true;
}
