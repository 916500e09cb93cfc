/**
 * The HTTP service: routes, and nothing but what is HTTP.
 *
 *   request ──guard──> route ──> submissions ──> deposit stream
 *                        └─────> views ──> answer
 *
 * Routes and answers are those of the program that this one follows; deliberate differences: a
 * deposit answers with its position, an amount may be a string, errors carry a code.
 */

import { type Context, Hono } from "hono";
import type { Submissions } from "../deposits/submission.ts";
import { formatNumber, parseAmount } from "../money.ts";
import { formatPosition } from "../stream/position.ts";
import { parseDepositBody, readBody } from "./deposit-body.ts";
import { addHealthRoutes, type HealthOptions } from "./health.ts";
import { createGuard } from "./host-guard.ts";
import { idempotencyKey } from "./idempotency-key.ts";
import { problemResponse, ServiceError } from "./problem.ts";
import { afterOf, refuseQuery } from "./query.ts";
import type { Readiness } from "./readiness.ts";
import { type RunningServer, type ServerOptions, startServer } from "./server.ts";
import { SettledReads, type SettledReadsOptions } from "./settled-reads.ts";
import { WalletAnswers, type WalletAnswersOptions, walletIdOf } from "./wallet-answers.ts";

export interface Service {
  /** Answers one request; never rejects. */
  fetch(request: Request): Response | Promise<Response>;
  /** Throws ServerError. The server's `stop` answers what is under way, within 5 s. */
  listen(options: Pick<ServerOptions, "host" | "port" | "portOption">): RunningServer;
}

export interface ServiceParts extends WalletAnswersOptions, SettledReadsOptions, HealthOptions {
  readonly log: WalletAnswersOptions["log"] & HealthOptions["log"];
  readonly submissions: Submissions;
}

export interface AccessOptions {
  /** Names or addresses in Host that are let in beside loopback ones; `*` for any. */
  readonly allowHosts: readonly string[];
}

export function createService(parts: ServiceParts, access: AccessOptions): Service {
  const answers = new WalletAnswers(parts);
  const reads = new SettledReads(parts);
  const routes = newRoutes();

  const deposit = async (c: Context) => {
    refuseQuery(c);
    const { walletId, amountText } = parseDepositBody(await readBody(c.req.raw));
    const amountMinor = parseAmount(amountText, parts.decimals);
    const key = idempotencyKey(c.req.raw.headers);
    const { position } = await parts.submissions.submit({ walletId, amountMinor, key });
    // It is counted: the next check must say so.
    if (key !== null) answers.lookAgain(position.partition);
    return { walletId, amountMinor, place: formatPosition(position) };
  };
  const check = (c: Context, segment: string) => {
    const after = afterOf(c);
    return after === null ? json(answers.of(segment)) : checkAfter(c, segment, after);
  };
  const checkAfter = async (c: Context, segment: string, after: string) => {
    const walletId = walletIdOf(segment);
    const partition = parts.views.balance.partitionOf(walletId);
    await reads.wait(after, { partition, signal: c.req.raw.signal });
    answers.lookAgain(partition);
    return json(answers.of(segment));
  };

  const readiness = addHealthRoutes(routes, parts);
  routes.post("/deposit", async (c) => {
    const { walletId, amountMinor, place } = await deposit(c);
    return json(
      `{"deposit_id":"${place}","wallet_id":${JSON.stringify(walletId)},` +
        `"amount":${formatNumber(amountMinor, parts.decimals)},"position":"${place}"}`,
    );
  });
  routes.post("/api/deposit", async (c) => {
    await deposit(c);
    return json('{"code":200,"data":null,"message":"success"}');
  });
  for (const prefix of ["/check/", "/api/check/"]) {
    routes.get(prefix, (c) => check(c, ""));
    routes.get(`${prefix}:wallet_id`, (c) => check(c, c.req.path.slice(prefix.length)));
  }
  // A table of its own: beside /check/:wallet_id it would need hono's slow router.
  const feeds = newRoutes().get("/:wallet_id/feed", (c) =>
    check(c, c.req.path.slice(1, -"/feed".length)),
  );

  return listening([routes, feeds], {
    ...access,
    delay: parts.delay,
    readiness,
    early: (request) => {
      const segment = plainCheck(request);
      if (segment === null) return null;
      try {
        return json(answers.of(segment));
      } catch (error) {
        return problemResponse(error, CHECK);
      }
    },
    abandon: () => {
      parts.submissions.abandon();
      reads.abandon();
    },
  });
}

/** Serves health and readiness alone. */
export function createHealthService(
  parts: HealthOptions & Pick<ServiceParts, "delay">,
  access: AccessOptions,
): Service {
  const routes = newRoutes();
  const readiness = addHealthRoutes(routes, parts);
  return listening([routes], { ...access, delay: parts.delay, readiness, abandon: () => {} });
}

/** Paths are matched as they were sent: a wallet id may hold an encoded slash. */
function newRoutes(): Hono {
  const routes = new Hono({ getPath: (request) => pathOf(request.url) });
  routes.onError((error, c) => problemResponse(error, c.req.path));
  return routes;
}

/** What the first of `tables` does not know goes to the next. */
function listening(
  tables: readonly [Hono, ...Hono[]],
  options: AccessOptions &
    Pick<ServiceParts, "delay"> & {
      readonly readiness: Readiness;
      /** What is answered before the router; null for all the rest. */
      readonly early?: (request: Request) => Response | null;
      readonly abandon: () => void;
    },
): Service {
  tables.forEach((routes, index) => {
    const next = tables[index + 1];
    routes.notFound((c) => (next === undefined ? unrouted(tables, c) : next.fetch(c.req.raw)));
  });
  const guard = createGuard(options.allowHosts);
  const [first] = tables;
  const answer = (request: Request) => {
    const refusal = guard(request.headers);
    if (refusal !== null) return problemResponse(refusal, pathOf(request.url));
    return options.early?.(request) ?? first.fetch(request);
  };
  const fetch = (request: Request) =>
    request.method === "HEAD" ? headOf(request, answer) : answer(request);
  const listen = (address: Parameters<Service["listen"]>[0]) => {
    const server = startServer({ ...options, ...address, fetch });
    const stopping = new AbortController();
    void options.readiness.watch(stopping.signal);
    const stop = () => {
      stopping.abort();
      return server.stop();
    };
    return { ...server, stop };
  };
  return { fetch, listen };
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
    return problemResponse(new ServiceError("not_found", `nothing is at ${path}`), path);
  }
  const allow = [...known, ...(known.includes("GET") ? ["HEAD"] : []), "OPTIONS"];
  const headers = { allow: allow.join(", ") };
  if (method === "OPTIONS") return new Response(null, { status: 204, headers });
  const message = `${method} is not possible here: use ${known.join(" or ")}`;
  return problemResponse(new ServiceError("method_not_allowed", message), path, headers);
}

const CHECK = "/check/";

/**
 * The wallet id of a GET /check/{wallet_id} as it was sent; null for all that needs the router,
 * which takes a tenth of the time that such an answer does.
 */
function plainCheck({ method, url }: Request): string | null {
  if (method !== "GET") return null;
  const start = url.indexOf("/", "https://".length);
  if (!url.startsWith(CHECK, start)) return null;
  const segment = url.slice(start + CHECK.length);
  return segment === "" || /[/?]/.test(segment) ? null : segment;
}

function json(text: string): Response {
  return new Response(text, JSON_RESPONSE);
}

/** Ready-made, for an object of headers is read anew with every response. */
const JSON_RESPONSE = { headers: new Headers({ "content-type": "application/json" }) };

/** The path of a URL as it was sent, without query. */
function pathOf(url: string): string {
  const start = url.indexOf("/", "https://".length);
  if (start === -1) return "/";
  const query = url.indexOf("?", start);
  return query === -1 ? url.slice(start) : url.slice(start, query);
}
