/**
 * The guard at the door: a web page must not be able to deposit or read.
 *
 *   Host, Origin ──> null (good), or 403
 *
 * A page's script can send requests to this machine; the browser then names the page in Origin. A
 * page whose own name is made to lead here (DNS rebinding) is of the same origin to the browser,
 * but its name stands in Host. So any Origin but our own is refused, and any Host but a loopback
 * name, which nobody can register, or one that the operator named.
 */

import { ServiceError } from "./problem.ts";

/** Null when the request may go on. */
export type Guard = (headers: Headers) => ServiceError | null;

/**
 * `allowHosts`: names or addresses without port; `*` for any. `origins`: those whose pages are let
 * in, in lower case as browsers write them.
 */
export function createGuard(
  allowHosts: readonly string[],
  origins: readonly string[] = [],
): Guard {
  const allowed = new Set(allowHosts.map((host) => hostName(host) ?? bracketed(host)));
  const allowsAny = allowHosts.includes("*");
  const isAllowed = (host: string) => {
    const name = hostName(host);
    return name !== null && (allowsAny || isLoopback(name) || allowed.has(name));
  };
  /** Nearly all clients of a server call it by one name. */
  let lastGood: string | null = null;
  return (headers) => {
    const host = headers.get("host");
    if (host === null || (host !== lastGood && !isAllowed(host))) return foreignHost(host);
    lastGood = host;
    const origin = headers.get("origin");
    if (origin === null || isOwn(origin, host) || origins.includes(origin)) return null;
    return foreignOrigin(origin);
  };
}

/** The name in a Host header, in lower case without port and final dot; null for no name. */
function hostName(host: string): string | null {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?(?::\d{1,5})?$/.exec(
    host.toLowerCase(),
  );
  return match?.[1] ?? null;
}

/** An IPv6 address as an operator writes it. */
function bracketed(address: string): string {
  return `[${address.toLowerCase()}]`;
}

function isLoopback(name: string): boolean {
  if (name === "localhost" || name === "[::1]" || name.endsWith(".localhost")) return true;
  return /^127(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/.test(name);
}

/** Behind a proxy that speaks TLS the scheme may differ from ours. */
function isOwn(origin: string, host: string): boolean {
  const [own, from] = [host.toLowerCase(), origin.toLowerCase()];
  return from === `http://${own}` || from === `https://${own}`;
}

function foreignHost(host: string | null): ServiceError {
  const said = host === null ? "a request without Host" : `the host ${JSON.stringify(host)}`;
  return new ServiceError(
    "foreign_host",
    `${said} is refused: call the service as localhost or 127.0.0.1, or allow the name with ` +
      "--allow-host",
  );
}

function foreignOrigin(origin: string): ServiceError {
  return new ServiceError(
    "foreign_origin",
    `a page of ${JSON.stringify(origin)} may not use this service`,
  );
}
