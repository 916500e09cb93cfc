/**
 * What a row asks of the program's own load generator, and what it takes of its report.
 *
 *   bench/rows ──plan──> `depositaja load ... --json` (a child process) ──report──> bench/rows
 *
 * A program of its own shares neither thread nor heap with what it measures.
 */

export const WALLET_PREFIX = "wallet-";

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
  return `${WALLET_PREFIX}${String(index).padStart(7, "0")}`;
}

/** The command that runs it. */
export function loadArguments(plan: LoadPlan): string[] {
  const { kind, ratePerSecond } = plan;
  const mix = kind === "keyed" ? "deposit" : kind;
  return [
    ...["load", `http://127.0.0.1:${plan.port}`, "--json", "--mix", `${mix}=1`],
    ...["--workers", String(plan.connections), "--seed", String(plan.seed)],
    ...["--wallets", String(plan.wallets), "--wallet-prefix", WALLET_PREFIX],
    ...["--warm-up", `${plan.warmUpMs}ms`, "--duration", `${plan.durationMs}ms`],
    ...(kind === "keyed" ? ["--keys"] : []),
    ...(ratePerSecond === null ? [] : ["--rate", String(ratePerSecond)]),
  ];
}

/** Of what the command has printed. */
export function loadReport(text: string): LoadReport {
  const { requests, requests_per_second, failures, unsent, errors, latency_ms } = JSON.parse(
    text,
  ) as Printed;
  const [first] = Object.entries(errors);
  const late = unsent === 0 ? null : `${unsent} were never sent: the server fell behind for good`;
  return {
    requests,
    requestsPerSecond: requests_per_second,
    failures: failures + unsent,
    firstFailure: first === undefined ? late : `${first[0]}: ${first[1].example}`,
    latencyMs: latency_ms,
  };
}

interface Printed {
  readonly requests: number;
  readonly requests_per_second: number;
  readonly failures: number;
  readonly unsent: number;
  readonly errors: Readonly<Record<string, { readonly example: string }>>;
  readonly latency_ms: Percentiles;
}
