/**
 * What a load is made of, and what it comes to.
 *
 *   arguments ──plan──> run ──report──> text or JSON
 */

/** `settle` is a deposit, then a check that waits until the deposit is settled. */
export const REQUEST_KINDS = ["deposit", "check", "settle"] as const;
export type RequestKind = (typeof REQUEST_KINDS)[number];

export interface LoadPlan {
  /** Scheme, host and port of the service. */
  readonly url: URL;
  /** PEM of the authority of its certificate. Null: one that the system trusts. */
  readonly ca: string | null;
  /** The API key that each request shows; null: none. */
  readonly apiKey: string | null;
  /** Connections, each with one request at a time. */
  readonly workers: number;
  /**
   * Requests that fall due each second, whatever the service does. Null: closed loop, each worker
   * asks again when it is answered.
   */
  readonly ratePerSecond: number | null;
  /** What share each kind has of the requests. Whole numbers, at least one above 0. */
  readonly mix: Readonly<Partial<Record<RequestKind, number>>>;
  /** Requests name wallets 0 up to this by number. */
  readonly wallets: number;
  /** Before the numbers. */
  readonly walletPrefix: string;
  /** Zipf's exponent: the k-th wallet is named in proportion to 1 / k^skew. 0: all alike. */
  readonly skew: number;
  readonly amounts: AmountRange;
  /** Each deposit has an Idempotency-Key of its own. */
  readonly hasKeys: boolean;
  /** Before the time that counts. */
  readonly warmUpMs: number;
  readonly durationMs: number;
  /** For an answer; then the connection is given up. */
  readonly timeoutMs: number;
  readonly seed: number;
  /** Afterwards: is every acknowledged deposit counted? */
  readonly verifies: boolean;
}

export interface AmountRange {
  readonly leastMinor: bigint;
  readonly mostMinor: bigint;
  readonly decimals: number;
}

export interface LoadReport extends KindReport {
  /** Of the measured time; shorter than planned when the run was stopped. */
  readonly durationMs: number;
  readonly kinds: Readonly<Partial<Record<RequestKind, KindReport>>>;
  /** What was not answered 200: how often, and the words of the first, by code. */
  readonly errors: ReadonlyMap<string, { readonly count: number; readonly example: string }>;
  readonly failures: number;
  /** Requests of an open loop that were due and never sent: the service fell behind. */
  readonly unsent: number;
  /** Null: not asked for. */
  readonly verified: Verified | null;
}

/** Of requests that were answered 200. */
export interface KindReport {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly latencyMs: Percentiles;
}

/**
 * Milliseconds. Closed loop: from sending. Open loop: from when the request was due, so that a
 * stall counts for all that it holds up (no coordinated omission). `settle`: from the deposit's
 * answer.
 */
export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface Verified {
  /** Deposits that were answered 200, and in how many wallets. */
  readonly acknowledged: number;
  readonly wallets: number;
  /** Had no clear answer; sent again under their keys until they had one. */
  readonly sentAgain: number;
  /** Without a key and a clear answer: counted or not, either is right. */
  readonly unknown: number;
  readonly wrong: readonly WrongBalance[];
}

export interface WrongBalance {
  readonly wallet: string;
  /** Decimal numbers; the two differ where deposits had no clear answer. */
  readonly atLeast: string;
  readonly atMost: string;
  readonly found: string;
}

export function walletName(prefix: string, index: number): string {
  return `${prefix}${String(index).padStart(7, "0")}`;
}
