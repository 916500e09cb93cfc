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
  return queryOf(c, AFTER)["after"] ?? null;
}

/** Throws `invalid_query`. */
export function refuseQuery(c: Context): void {
  queryOf(c, []);
}

/** What was given of the parameters that a route knows. Throws `invalid_query`. */
export function queryOf(c: Context, known: readonly string[]): Readonly<Record<string, string>> {
  const { url } = c.req;
  const start = url.indexOf("?");
  if (start === -1) return NOTHING;
  const values: Record<string, string> = {};
  for (const [name, given] of new URLSearchParams(url.slice(start))) {
    if (!known.includes(name)) {
      const wanted = known.length === 0 ? "none" : known.join(", ");
      throw invalidQuery(
        `the query parameter ${JSON.stringify(name)} is not known: this route takes ${wanted}`,
      );
    }
    if (Object.hasOwn(values, name)) {
      throw invalidQuery(`the query parameter ${name} must be given once`);
    }
    values[name] = given;
  }
  return values;
}

export function invalidQuery(message: string): ServiceError {
  return new ServiceError("invalid_query", message);
}

const AFTER = ["after"];
const NOTHING: Readonly<Record<string, string>> = {};
