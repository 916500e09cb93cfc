/**
 * Who may ask what: keys of the API, their scopes, and how often one may be used.
 *
 *   Authorization: Bearer <secret> ──> key ──scope of the path──> rate ──> null (good), or 401,
 *   403, 429
 *
 * A path that is not named here is an operator's: a new route is closed until someone opens it.
 * Without keys all of this is off, and only who reaches the address can ask.
 */

import type { ApiKey } from "../access/api-key.ts";
import type { KeyRing } from "../access/key-ring.ts";
import { ServiceError } from "./problem.ts";
import { RateLimiter } from "./rate-limiter.ts";

export interface AdmissionOptions {
  /** None: everyone may ask everything. */
  readonly keys: KeyRing | null;
  /** Requests a second for one key; null: no limit. */
  readonly rateLimit: number | null;
  readonly monotonicMs: () => number;
}

export interface Admission {
  /** Null when the request may go on. */
  refusal(request: { readonly method: string; readonly headers: Headers }, path: string):
    ServiceError | null;
  /** Whose request it is; null without keys, or a good one. */
  keyOf(headers: Headers): ApiKey | null;
}

/** Null where there is nothing to ask for, so that it costs nothing. */
export function createAdmission(options: AdmissionOptions): Admission | null {
  const { keys, rateLimit, monotonicMs } = options;
  if (keys === null) return null;
  const limiter = rateLimit === null ? null : new RateLimiter(rateLimit, monotonicMs);
  const keyOf = (headers: Headers) => {
    const secret = secretOf(headers);
    return secret === null ? null : keys.find(secret);
  };
  return {
    keyOf,
    refusal: ({ method, headers }, path) => {
      const reach = reachOf(path);
      // What OPTIONS tells stands in the document.
      if (reach === "open" || method === "OPTIONS") return null;
      const key = keyOf(headers);
      if (key === null) return unauthorized(headers);
      if (reach === "operator" && key.scope !== "operator") return forbidden(key);
      const waitMs = limiter?.take(key.name) ?? 0;
      return waitMs === 0 ? null : rateLimited(key, rateLimit as number, waitMs);
    },
  };
}

/** Who a path is for: anyone, any key, or an operator's key. */
export function reachOf(path: string): "open" | "client" | "operator" {
  if (path === "/deposit" || path.startsWith("/check/")) return "client";
  if (path === "/healthz" || path === "/readyz") return "open";
  // The same for every deployment, and nothing of this one.
  if (path === "/openapi.json" || path === "/docs" || DOCUMENT_PARTS.has(path)) return "open";
  if (path === "/api/deposit" || path.startsWith("/api/check/")) return "client";
  if (path.startsWith("/wallets/")) return "client";
  return isFeed(path) ? "client" : "operator";
}

const DOCUMENT_PARTS: ReadonlySet<string> = new Set(["/docs/page.js", "/docs/scalar.js"]);
/** `/{wallet_id}/feed`, but not where the operators' wallet `feed` stands. */
const isFeed = (path: string) => /^\/(?!flags\/)[^/]+\/feed$/.test(path);

/** As a header can hold it; longer than any secret, and what is longer is not even hashed. */
const BEARER = /^Bearer +([A-Za-z0-9._~+/=-]{1,256})$/i;

function secretOf(headers: Headers): string | null {
  const given = headers.get("authorization");
  return given === null ? null : (BEARER.exec(given)?.[1] ?? null);
}

function unauthorized(headers: Headers): ServiceError {
  const given = headers.get("authorization");
  const isGiven = given !== null && /^Bearer( |$)/i.test(given);
  const challenge = `Bearer realm="depositaja"${isGiven ? ', error="invalid_token"' : ""}`;
  return new ServiceError(
    "unauthorized",
    isGiven
      ? "the key is not known here, or was revoked"
      : given === null
        ? "a key is needed: send Authorization: Bearer <key>"
        : "a key is sent as Authorization: Bearer <key>, and in no other way",
    { headers: { "www-authenticate": challenge } },
  );
}

function forbidden({ name, scope }: ApiKey): ServiceError {
  return new ServiceError(
    "forbidden",
    `the key ${name} is for ${scope}s: this needs an operator's key`,
    { headers: { "www-authenticate": 'Bearer realm="depositaja", error="insufficient_scope"' } },
  );
}

function rateLimited({ name }: ApiKey, rateLimit: number, waitMs: number): ServiceError {
  return new ServiceError(
    "rate_limited",
    `more than ${rateLimit} requests a second with the key ${name}`,
    { headers: { "retry-after": String(Math.ceil(waitMs / 1_000)) } },
  );
}
