/**
 * The ledger of imported files, among what belongs to the log as a whole: by the SHA-256 of the
 * content, so that a repeat appends nothing, whatever the file is called by then.
 *
 *   all rows appended ──> "sent", with where they stand ──counted──> "done", with the counts
 *
 * An import that ended before its rows were all appended leaves nothing here: it is sent again, and
 * the rows' ids make repeats of what was there.
 */

export interface ImportCounts {
  /** Counted now. */
  readonly new: number;
  /** Counted before, with the same amount. */
  readonly repeats: number;
  /** An id that was counted with another amount: not counted, and a dead letter. */
  readonly conflicts: number;
}

/** Where rows of an import stand: offsets from `from`, to `to` exclusive. */
export interface SentRange {
  readonly partition: number;
  readonly from: bigint;
  readonly to: bigint;
}

export type LedgerEntry = LedgerFacts &
  (
    | { readonly state: "sent"; readonly ranges: readonly SentRange[] }
    | { readonly state: "done"; readonly doneAtMs: number }
  );

interface LedgerFacts {
  /** That were good when they were sent; one that was ahead in time then may be good later. */
  readonly rows: number;
  readonly counts: ImportCounts;
  /** Where the first MAX_KEPT_CONFLICTS conflicts stand, to tell of them again. */
  readonly conflicting: readonly SentRange[];
}

/** Small values of the log by key. */
export interface LedgerStore {
  meta(key: string): Promise<string | null>;
  setMeta(key: string, value: string): Promise<void>;
}

/** An entry is one small value: with more ranges an import counts before it is in the ledger. */
export const MAX_LEDGER_RANGES = 4_096;
/** More than anyone looks at one by one; an entry with as many single ranges is some 50 KB. */
export const MAX_KEPT_CONFLICTS = 1_000;

export async function readLedger(store: LedgerStore, sha256: string): Promise<LedgerEntry | null> {
  const text = await store.meta(keyOf(sha256));
  if (text === null) return null;
  return JSON.parse(text, (key, value: unknown) =>
    key === "from" || key === "to" ? BigInt(value as string) : value,
  ) as LedgerEntry;
}

export function writeLedger(
  store: LedgerStore,
  sha256: string,
  entry: LedgerEntry,
): Promise<void> {
  const text = JSON.stringify(entry, (_key, value: unknown) =>
    typeof value === "bigint" ? value.toString() : value,
  );
  return store.setMeta(keyOf(sha256), text);
}

function keyOf(sha256: string): string {
  return `import:${sha256}`;
}
