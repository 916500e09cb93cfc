/**
 * What a verification has found: how much was compared, and every difference counted; the first
 * ones are kept whole.
 *
 *   comparisons ──counts, differences──> findings ──> `verify`
 */

export type DifferenceKind =
  /** Bytes of the log, or a file of SQLite's, are not what was written. */
  | "damage"
  /** A row of a table. */
  | "row"
  /** A version of the rule that partitions disagree about. */
  | "rule"
  /** A table as a whole: missing, unreadable, ahead of the log. */
  | "table"
  /** An event of the detector's in `flag_wallet`. */
  | "flag_event"
  /** A record that was refused, or should have been. */
  | "dead_letter"
  /** What a group says it has done does not fit its streams. */
  | "progress";

export interface Difference {
  readonly kind: DifferenceKind;
  /** The table or topic that differs. */
  readonly where: string;
  readonly partition: number | null;
  /** Null when it is about no wallet, or about all of them. */
  readonly wallet: string | null;
  /** `<topic>:<partition>-<offset>` of the record that it hangs on; null when there is none. */
  readonly position: string | null;
  readonly expected: string;
  readonly found: string;
}

/** How much was read and compared. */
export interface Compared {
  /** Of all topics, each with its checksum. */
  records: number;
  deposits: number;
  wallets: number;
  rows: number;
  flagEvents: number;
  deadLetters: number;
}

export class Findings {
  readonly compared: Compared = {
    records: 0,
    deposits: 0,
    wallets: 0,
    rows: 0,
    flagEvents: 0,
    deadLetters: 0,
  };
  readonly differences: Difference[] = [];
  differenceCount = 0;

  /** Keeps the first `limit` differences, and counts the others. */
  constructor(private readonly limit: number) {}

  differ(difference: Difference): void {
    this.differenceCount += 1;
    if (this.differences.length < this.limit) this.differences.push(difference);
  }
}

/** For a difference of two values: the fields that differ, or both as they are. */
export function inWords(expected: unknown, found: unknown): { expected: string; found: string } {
  if (!isPlain(expected) || !isPlain(found)) {
    return { expected: textOf(expected), found: textOf(found) };
  }
  const names = [...new Set([...Object.keys(expected), ...Object.keys(found)])].filter(
    (name) => !Bun.deepEquals(expected[name], found[name]),
  );
  const shown = (value: Readonly<Record<string, unknown>>) =>
    names.map((name) => `${name} ${textOf(value[name])}`).join(", ");
  return { expected: shown(expected), found: shown(found) };
}

export function textOf(value: unknown): string {
  if (value === undefined) return "nothing";
  return JSON.stringify(value, (name, each: unknown) => {
    if (name.startsWith("$")) return undefined; // the runtime's own, such as a message's type
    if (typeof each === "bigint") return each.toString();
    return each instanceof Uint8Array ? Buffer.from(each).toString("hex") : each;
  });
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
