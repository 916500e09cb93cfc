/**
 * The query of a request: what a route knows, each once, or a refusal.
 *
 *   ?after=3-17 ──> "3-17"        ?aftr=3-17, ?after=3-17&after=4-2 ──> invalid_query
 *
 * As a payment API has it (Stripe refuses a parameter that it does not know): one that is passed
 * over would answer another question than the one that was asked. A mistyped `after` would read
 * too early, and `POST /deposit?amount=5` would take its amount from elsewhere. Health routes take
 * any query: probes and proxies add their own to get past caches, and no answer depends on it.
 */

import type { Context } from "hono";
import { ServiceError } from "./problem.ts";

/** The position that a read waits for; null when there is none. Throws `invalid_query`. */
export function afterOf(c: Context): string | null {
  return single(c, "after");
}

/** Throws `invalid_query`. */
export function refuseQuery(c: Context): void {
  single(c, null);
}

function single(c: Context, known: string | null): string | null {
  const { url } = c.req;
  const start = url.indexOf("?");
  if (start === -1) return null;
  let value: string | null = null;
  for (const [name, given] of new URLSearchParams(url.slice(start))) {
    if (name !== known) {
      const wanted = known === null ? "this route takes none" : `this route takes ${known}`;
      throw invalid(`the query parameter ${JSON.stringify(name)} is not known: ${wanted}`);
    }
    if (value !== null) throw invalid(`the query parameter ${known} must be given once`);
    value = given;
  }
  return value;
}

function invalid(message: string): ServiceError {
  return new ServiceError("invalid_query", message);
}
