/**
 * What every service is made of: guard, tables of routes, what no route took, a server.
 *
 *   request ──Host, Origin, key──> first table that knows it ──> answer, HEAD without its body
 */

import { type Context, Hono } from "hono";
import type { KeyRing } from "../access/key-ring.ts";
import { type Admission, createAdmission } from "./admission.ts";
import { withCors } from "./cors.ts";
import { createGuard } from "./host-guard.ts";
import { problemResponse, quietProblemResponse, ServiceError } from "./problem.ts";
import { counting, type RequestCounts } from "./request-counts.ts";
import { pathOf } from "./request-path.ts";
import { SECURE_HEADERS, secured } from "./secure-headers.ts";
import { type RunningServer, type ServerOptions, startServer } from "./server.ts";

export interface Service {
  /** Answers one request; never rejects. */
  fetch(request: Request): Response | Promise<Response>;
  /** Runs while it is served, until the signal fires. */
  watch(signal: AbortSignal): Promise<void>;
  /** Ends what requests wait for, so that they are answered now. */
  abandon(): void;
  /** Throws ServerError. The server's `stop` answers what is under way, within 5 s. */
  listen(options: Pick<ServerOptions, "host" | "port" | "portOption" | "tls">): ServiceServer;
}

export interface ServiceServer extends RunningServer {
  /** From now on another service answers. */
  use(service: Service): void;
}

export interface AccessOptions {
  /** Names or addresses in Host that are let in beside loopback ones; `*` for any. */
  readonly allowHosts: readonly string[];
  /** Pages of these origins may use it; none unless told. */
  readonly corsOrigins?: readonly string[];
  /** Who may ask; everyone who reaches it, unless told. */
  readonly keys?: KeyRing | null;
  /** Requests a second for one key; no limit unless told. */
  readonly rateLimit?: number | null;
  /** Customers are not told whether a wallet is above the threshold. */
  readonly hidesFlags?: boolean;
}

/** Paths are matched as they were sent: a wallet id may hold an encoded slash. */
export function newRoutes(): Hono {
  const routes = new Hono({ getPath: (request) => pathOf(request.url) });
  routes.onError((error, c) => problemResponse(error, c.req.raw));
  return routes;
}

/** What the first of `tables` does not know goes to the next. */
export function listening(
  tables: readonly [Hono, ...Hono[]],
  options: AccessOptions &
    Pick<ServerOptions, "delay"> & {
      /** Runs while it is served, until the signal fires. */
      readonly watch: (signal: AbortSignal) => Promise<void>;
      /** What is answered before the router; null for all the rest. */
      readonly early?: (request: Request) => Response | null;
      /** Told of each answer; left out: nobody counts. */
      readonly requests?: RequestCounts;
      readonly abandon: () => void;
    },
): Service {
  tables.forEach((routes, index) => {
    const next = tables[index + 1];
    routes.notFound(async (c) =>
      next === undefined ? unrouted(tables, c) : secured(await next.fetch(c.req.raw)),
    );
  });
  const { allowHosts, corsOrigins = [], early } = options;
  const guard = createGuard(allowHosts, corsOrigins);
  const admission = admissionOf(options);
  const [first] = tables;
  const answer = (request: Request) => {
    const refusal =
      guard(request.headers) ?? admission?.refusal(request, pathOf(request.url)) ?? null;
    if (refusal !== null) return problemResponse(refusal, request);
    return early?.(request) ?? first.fetch(request);
  };
  const open = corsOrigins.length === 0 ? answer : withCors(corsOrigins, answer);
  const plain = (request: Request) =>
    request.method === "HEAD" ? headOf(request, open) : open(request);
  const fetch = options.requests === undefined ? plain : counting(options.requests, plain);
  const { watch, abandon } = options;
  const service: Service = {
    fetch,
    watch,
    abandon,
    listen: (address) => {
      const stopping = new AbortController();
      let current = service;
      const use = (next: Service) => {
        current = next;
        void next.watch(stopping.signal);
      };
      const server = startServer({
        ...options,
        ...address,
        fetch: (request) => current.fetch(request),
        abandon: () => current.abandon(),
      });
      use(service);
      const stop = () => {
        stopping.abort();
        return server.stop();
      };
      return { ...server, stop, use };
    },
  };
  return service;
}

/** Null where everyone may ask. */
export function admissionOf({ keys = null, rateLimit = null }: AccessOptions): Admission | null {
  return createAdmission({ keys, rateLimit, monotonicMs: () => performance.now() });
}

/** Answers that it is alive, and to all else why it cannot do more yet. */
export function createStartingService(
  options: AccessOptions & Pick<ServerOptions, "delay"> & { readonly problem: () => string },
): Service {
  const routes = newRoutes();
  routes.get("/healthz", (c) => c.json({ status: "ok" }, 200, SECURE_HEADERS));
  const problem = () => new ServiceError("log_unavailable", options.problem());
  // A probe asks again and again; whoever reaches the log tells of it.
  routes.get("/readyz", (c) => quietProblemResponse(problem(), c.req.raw));
  routes.all("*", (c) => problemResponse(problem(), c.req.raw));
  return listening([routes], { ...options, watch: async () => {}, abandon: () => {} });
}

/** What GET answers, less the body: the length stays the body's (RFC 9110, 9.3.2). */
async function headOf(request: Request, answer: Service["fetch"]): Promise<Response> {
  const { url, headers, signal } = request;
  const response = await answer(new Request(url, { headers, signal }));
  const length = (await response.bytes()).length;
  const answered = new Headers(response.headers);
  answered.set("content-length", String(length));
  // Bun adds it to GET only.
  answered.set("date", new Date().toUTCString());
  return new Response(null, { status: response.status, headers: answered });
}

/** What no route took: another method, or nothing there. */
function unrouted(tables: readonly Hono[], c: Context): Response {
  const { method, path } = c.req;
  const takes = (each: string) =>
    tables.some(({ router }) => router.match(each, path)[0].length > 0);
  const known = ["GET", "POST"].filter(takes);
  if (known.length === 0) {
    const error = new ServiceError("not_found", `nothing is at ${path}`);
    return problemResponse(error, c.req.raw);
  }
  const allow = [...known, ...(known.includes("GET") ? ["HEAD"] : []), "OPTIONS"];
  const headers = { allow: allow.join(", ") };
  if (method === "OPTIONS") {
    return new Response(null, { status: 204, headers: { ...SECURE_HEADERS, ...headers } });
  }
  const message = `${method} is not possible here: use ${known.join(" or ")}`;
  return problemResponse(new ServiceError("method_not_allowed", message), c.req.raw, headers);
}
