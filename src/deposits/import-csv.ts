/**
 * CSV (RFC 4180): a header that names the columns, in any order, then a row a line.
 *
 *   line without quotes ──split──┐
 *   lines with quotes ──csv-parse┴──> fields ──by the header──> texts ──checkRow──> row
 *
 * Deliberate difference from RFC 4180: a field can't hold a line break. No column may have one, and
 * so one quote that is never closed spoils its own line, not the rest of the file.
 */

import { parse } from "csv-parse/sync";
import {
  checkRow,
  IMPORT_COLUMNS,
  type ImportColumn,
  type ImportRow,
  type RowRules,
} from "./import-row.ts";

/** Where each column stands; -1 for `id` where there is none. */
export interface CsvHeader {
  readonly fields: number;
  readonly columns: Readonly<Record<ImportColumn, number>>;
}

/** The header; a text says what is wrong with it. */
export function readCsvHeader(line: string): CsvHeader | string {
  const names = splitLines([line])[0] ?? null;
  if (names === null || typeof names === "string") return names ?? "has no column names";
  const known: readonly string[] = IMPORT_COLUMNS;
  const form = `a CSV file begins with a line of column names: ${IMPORT_COLUMNS.join(",")}, ` +
    "in any order, id may be left out";
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) return `names a column ${JSON.stringify(shortened(unknown))}; ${form}`;
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) return `names the column ${twice} twice; ${form}`;
  const missing = IMPORT_COLUMNS.find((name) => name !== "id" && !names.includes(name));
  if (missing !== undefined) return `names no column ${missing}; ${form}`;
  const columns = Object.fromEntries(IMPORT_COLUMNS.map((name) => [name, names.indexOf(name)]));
  return { fields: names.length, columns: columns as Record<ImportColumn, number> };
}

/** For each line its row; a text says why there is none; null for a blank line. */
export function readCsvLines(
  lines: readonly string[],
  header: CsvHeader,
  rules: RowRules,
): (ImportRow | string | null)[] {
  return splitLines(lines).map((fields) => {
    if (fields === null || typeof fields === "string") return fields;
    if (fields.length !== header.fields) {
      const count = fields.length === 1 ? "1 field" : `${fields.length} fields`;
      return `has ${count} where the header has ${header.fields}`;
    }
    const { columns } = header;
    const id = columns.id === -1 ? undefined : fields[columns.id];
    const texts = {
      walletId: fields[columns.wallet_id],
      amount: fields[columns.amount],
      acceptedAt: fields[columns.accepted_at],
      id: id === "" ? undefined : id,
    };
    return checkRow(texts, rules);
  });
}

/** A line's fields; a text when it can't be split, null when it is blank. */
type Fields = readonly string[] | string | null;

function splitLines(lines: readonly string[]): Fields[] {
  const split: Fields[] = [];
  const quoted: number[] = [];
  for (const [index, raw] of lines.entries()) {
    const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
    if (line.includes('"')) quoted.push(index);
    split.push(line === "" ? null : line.split(","));
  }
  if (quoted.length > 0) {
    const found = splitQuoted(quoted.map((index) => lines[index] as string));
    for (const [i, index] of quoted.entries()) split[index] = found[i] as Fields;
  }
  return split;
}

/** All at once, which is faster; where one of them is bad, each for itself. */
function splitQuoted(lines: readonly string[]): Fields[] {
  const text = lines.map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line)).join("\n");
  try {
    const found = parse(text, PARSE_OPTIONS) as unknown as string[][];
    if (found.length === lines.length) return found;
  } catch (error) {
    if (lines.length === 1) return [quoteProblem(error)];
  }
  if (lines.length === 1) return ["has a quoted field that does not end on the line"];
  return lines.flatMap((line) => splitQuoted([line]));
}

const PARSE_OPTIONS = { record_delimiter: "\n", relax_column_count: true } as const;

function quoteProblem(error: unknown): string {
  const code = (error as { code?: string }).code ?? "";
  if (code === "CSV_QUOTE_NOT_CLOSED") return "has a quoted field that does not end on the line";
  if (code.startsWith("CSV_") || code.startsWith("INVALID_")) {
    return 'has a quote out of place: a field with a quote in it is written "like ""this"""';
  }
  throw error;
}

function shortened(name: string): string {
  return name.length <= MAX_SHOWN_LENGTH ? name : `${name.slice(0, MAX_SHOWN_LENGTH)}...`;
}

/** A file that is no CSV at all may have a long first line. */
const MAX_SHOWN_LENGTH = 40;
