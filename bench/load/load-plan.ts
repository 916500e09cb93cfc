/**
 * What a load generator is told, and what it answers: one JSON text each.
 *
 *   bench/rows ──plan──> load-generator.ts (a child process) ──report──> bench/rows
 */

export interface LoadPlan {
  readonly port: number;
  /**
   * `keyed`: a deposit with an Idempotency-Key of its own. `settle`: a deposit, then a check that
   * waits until the deposit is settled.
   */
  readonly kind: "deposit" | "keyed" | "check" | "settle";
  readonly connections: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
  /** Requests name wallets 0 to this, by `walletName`. */
  readonly wallets: number;
  readonly seed: number;
  /** Null: closed loop, each connection asks again when it is answered. */
  readonly ratePerSecond: number | null;
}

export interface LoadReport {
  readonly requestsPerSecond: number;
  readonly requests: number;
  /** Answers other than 200, and broken connections. */
  readonly failures: number;
  /** A failure's words. */
  readonly firstFailure: string | null;
  /**
   * Milliseconds. Closed loop: from sending. Open loop: from when the request was due, so that a
   * stall counts for all that it holds up; `settle` from the deposit's answer.
   */
  readonly latencyMs: Percentiles;
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export function walletName(index: number): string {
  return `wallet-${String(index).padStart(7, "0")}`;
}
