/**
 * One of those who ask: a connection that is opened again when it breaks.
 *
 *   ask(request) ──connection──> answered | failed: connect_failed, untrusted, ...
 */

import { type Answer, HttpConnection, NoHttpsError, UntrustedError } from "./http-connection.ts";
import type { LoadPlan } from "./load-plan.ts";

/** Before a service that took no connection is tried again. */
const CONNECT_AGAIN_MS = 100;

export interface Failure {
  readonly code: string;
  readonly words: string;
  /** Nothing came of it, for certain. */
  readonly isRefused: boolean;
}

export type Outcome =
  | { readonly answer: Answer; readonly failure: null }
  | { readonly answer: null; readonly failure: Failure };

export class Worker {
  private connection: HttpConnection | null = null;
  private sinceMs = 0;
  private hasTimedOut = false;

  constructor(private readonly plan: Pick<LoadPlan, "url" | "ca">) {}

  /** Never rejects. One at a time. */
  async ask(request: string): Promise<Outcome> {
    if (this.connection === null || this.connection.isBroken) {
      const failure = await this.connect();
      if (failure !== null) return { answer: null, failure };
    }
    this.sinceMs = performance.now();
    this.hasTimedOut = false;
    const answer = await new Promise<Answer | null>((resolve) =>
      this.connection?.send(request, resolve),
    );
    if (answer !== null) return { answer, failure: null };
    return { answer, failure: this.hasTimedOut ? TIMEOUT : LOST };
  }

  /** Gives an answer up that was waited for since before then. */
  giveUpBefore(timeMs: number): void {
    if (this.connection?.isBusy !== true || this.sinceMs >= timeMs) return;
    this.hasTimedOut = true;
    this.connection.close();
  }

  close(): void {
    this.connection?.close();
  }

  private async connect(): Promise<Failure | null> {
    try {
      this.connection = await HttpConnection.open(this.plan.url, this.plan.ca);
      return null;
    } catch (error) {
      await Bun.sleep(CONNECT_AGAIN_MS);
      const { host } = this.plan.url;
      const { message } = error as Error;
      if (error instanceof UntrustedError) {
        const words = `the certificate of ${host} is not trusted: ${message}`;
        return { code: "untrusted", words, isRefused: true };
      }
      const words = `no connection to ${host}: ${message}`;
      const code = error instanceof NoHttpsError ? "no_https" : "connect_failed";
      return { code, words, isRefused: true };
    }
  }
}

const LOST: Failure = {
  code: "connection_lost",
  words: "the connection broke before the answer came",
  isRefused: false,
};
const TIMEOUT: Failure = {
  code: "timeout",
  words: "no answer came in time",
  isRefused: false,
};

/** Of the service: of these, nothing was written. */
const REFUSED_CODES = new Set(["busy", "log_unavailable"]);

/** Null for an answer of 200. */
export function failureOf({ answer, failure }: Outcome): Failure | null {
  if (answer === null) return failure;
  const { status, body } = answer;
  if (status === 200) return null;
  const { code, error } = problemIn(body);
  const isRefused = status < 500 || REFUSED_CODES.has(code);
  return { code: code === "" ? `http_${status}` : code, words: error, isRefused };
}

function problemIn(body: string): { readonly code: string; readonly error: string } {
  try {
    const { code, error } = JSON.parse(body) as { code?: unknown; error?: unknown };
    if (typeof code === "string" && typeof error === "string") return { code, error };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error; // a proxy's page
  }
  return { code: "", error: body.slice(0, 200) };
}
