/**
 * What a request is called where it is told of: in log lines, and in the answer that says what went
 * wrong.
 *
 *   X-Request-Id, well-formed ──> the same        else ──> a new one, kept with the request
 *
 * It is made where something is told, and not for each request: an answer of status 200 to a
 * customer has none, for nothing is logged of it.
 */

export const REQUEST_ID = "x-request-id";

/** Ids of proxies and tracers are 16 to 36 characters; nothing in one can forge a log line. */
const WELL_FORMED = /^[A-Za-z0-9._-]{1,64}$/;

/** A request that is told of twice has one name; what is kept goes with its headers. */
const made = new WeakMap<Headers, string>();

/** The same for the same headers. */
export function requestId(headers: Headers): string {
  const given = headers.get(REQUEST_ID);
  if (given !== null && WELL_FORMED.test(given)) return given;
  const known = made.get(headers);
  if (known !== undefined) return known;
  const id = crypto.randomUUID();
  made.set(headers, id);
  return id;
}
