/**
 * A wallet's rows of one table, against the rows that must be there.
 *
 *   found rows by tag and sub-key ──decoded, compared──> expected ones ──> differences
 */

import { toLatin1 } from "../../stream/row-key.ts";
import type { StoredRow } from "../../stream/store.ts";
import type { Keyed } from "./by-wallet.ts";
import { inWords, textOf } from "./findings.ts";
import { differ, type GroupPlace } from "./place.ts";
import type { RowFormat } from "./row-formats.ts";

export interface ExpectedRow {
  readonly format: RowFormat;
  /** One character a byte. */
  readonly subKey: string;
  readonly value: unknown;
  /** Of the record that changed it last; null where that is not known. */
  readonly offset: number | null;
  /**
   * As they must be stored, for all but blocks: quicker to compare, and a message's decoder reads
   * some other bytes as the same.
   */
  readonly bytes?: Uint8Array;
}

/** What stands in the store for one wallet: value by tag and sub-key, one character a byte. */
export type FoundRows = Map<string, Uint8Array>;

export const NO_ROWS: FoundRows = new Map();

export function rowName(tag: number, subKey: string): string {
  return String.fromCharCode(tag) + subKey;
}

/** Takes the rows it has compared out of `found`, and tells of what is left. */
export function compareRows(
  found: FoundRows,
  expected: readonly ExpectedRow[],
  formats: readonly RowFormat[],
  at: GroupPlace & { readonly wallet?: string },
): void {
  const { compared } = at.findings;
  const where = `${at.group}-table`;
  for (const row of expected) {
    const name = rowName(row.format.tag, row.subKey);
    const bytes = found.get(name);
    found.delete(name);
    compared.rows += 1;
    const difference = bytes === undefined ? missing(row) : differenceOf(row, bytes);
    if (difference !== null) {
      differ(at, { kind: "row", where, offset: row.offset, ...difference });
    }
  }
  for (const [name, bytes] of found) {
    compared.rows += 1;
    const shown = rowText(name, bytes, formats);
    differ(at, { kind: "row", where, offset: null, expected: "no such row", found: shown });
  }
}


function missing({ format, value }: ExpectedRow) {
  return { expected: `row "${format.name}": ${textOf(value)}`, found: "no such row" };
}

function differenceOf({ format, value, bytes: wanted }: ExpectedRow, bytes: Uint8Array) {
  if (wanted !== undefined && Buffer.compare(wanted, bytes) === 0) return null;
  let decoded: unknown;
  try {
    decoded = format.decode(bytes);
  } catch (error) {
    const found = `row "${format.name}" cannot be read: ${(error as Error).message}`;
    return { expected: textOf(value), found };
  }
  if (Bun.deepEquals(decoded, value)) {
    if (wanted === undefined) return null;
    return { expected: `row "${format.name}": ${textOf(wanted)}`, found: textOf(bytes) };
  }
  const { expected, found } = inWords(value, decoded);
  return { expected: `row "${format.name}": ${expected}`, found };
}

function rowText(name: string, bytes: Uint8Array, formats: readonly RowFormat[]): string {
  const tag = name.charCodeAt(0);
  const format = formats.find((each) => each.tag === tag);
  if (format === undefined) return `a row of an unknown kind (${tag})`;
  try {
    return `row "${format.name}": ${textOf(format.decode(bytes))}`;
  } catch (error) {
    return `row "${format.name}" that cannot be read: ${(error as Error).message}`;
  }
}

/** A store's rows, wallet by wallet, in stored order; the key is the prefix of its rows' keys. */
export function* rowsByKey(
  rows: Iterable<StoredRow>,
): Generator<Keyed<FoundRows>> {
  let prefix: string | null = null;
  let group: FoundRows = new Map();
  for (const { key, value } of rows) {
    const length = 2 + (((key[0] ?? 0) << 8) | (key[1] ?? 0));
    const text = toLatin1(key);
    const own = text.slice(0, length);
    if (own !== prefix) {
      if (prefix !== null) yield { prefix, items: group };
      prefix = own;
      group = new Map();
    }
    group.set(text.slice(length), value);
  }
  if (prefix !== null) yield { prefix, items: group };
}
