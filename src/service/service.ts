/**
 * The HTTP service: routes, and nothing but what is HTTP.
 *
 *   request ──guard──> route ──> submissions ──> deposit stream
 *                        └─────> views ──> answer
 *
 * Routes and answers are those of the program that this one follows; deliberate differences: a
 * deposit answers with its position, an amount may be a string, errors carry a code.
 */

import type { Context } from "hono";
import type { Submissions } from "../deposits/submission.ts";
import { formatNumber, parseAmount } from "../money.ts";
import { formatPosition } from "../stream/position.ts";
import { parseDepositBody } from "./deposit-body.ts";
import { documentRoutes } from "./document-routes.ts";
import { addHealthRoutes, type HealthOptions } from "./health.ts";
import { idempotencyKey } from "./idempotency-key.ts";
import {
  type AccessOptions,
  admissionOf,
  listening,
  newRoutes,
  type Service,
} from "./listening.ts";
import { addMetricsRoute, Metrics, type MetricsOptions } from "./metrics.ts";
import { type OperatorParts, operatorRoutes } from "./operator-routes.ts";
import { problemResponse, ServiceError } from "./problem.ts";
import { afterOf, refuseQuery } from "./query.ts";
import { readBody } from "./request-body.ts";
import { RequestCounts } from "./request-counts.ts";
import { SECURE_HEADERS } from "./secure-headers.ts";
import { SettledReads, type SettledReadsOptions } from "./settled-reads.ts";
import { sayUnwritten } from "./unwritten.ts";
import { WalletAnswers, type WalletAnswersOptions, walletIdOf } from "./wallet-answers.ts";
import { addWalletRoutes } from "./wallet-routes.ts";

export interface ServiceParts
  extends WalletAnswersOptions,
    SettledReadsOptions,
    HealthOptions,
    MetricsOptions,
    OperatorParts {
  readonly log: WalletAnswersOptions["log"] & HealthOptions["log"];
  readonly views: OperatorParts["views"];
  readonly submissions: Submissions;
}

export function createService(parts: ServiceParts, access: AccessOptions): Service {
  const { hidesFlags = false } = access;
  const answers = new WalletAnswers({ ...parts, hidesFlags });
  const reads = new SettledReads(parts);
  const routes = newRoutes();

  const deposit = async (c: Context) => {
    refuseQuery(c);
    const { walletId, amountText } = parseDepositBody(await readBody(c.req.raw));
    const amountMinor = parseAmount(amountText, parts.decimals);
    const key = idempotencyKey(c.req.raw.headers);
    const keyName = "Idempotency-Key";
    const { position } = await parts.submissions
      .submit({ walletId, amountMinor, key, keyName })
      .catch(sayDepositUnwritten);
    // It is counted: the next check must say so.
    if (key !== null) answers.lookAgain(position.partition);
    return { walletId, amountMinor, place: formatPosition(position) };
  };
  const checkNow = (segment: string) => {
    // A table that is half loaded, or is built anew, would say of a wallet that it is empty.
    const problem = parts.viewProblem?.() ?? null;
    if (problem !== null) throw new ServiceError("log_unavailable", problem);
    return json(answers.of(segment));
  };
  const check = (c: Context, segment: string) => {
    const after = afterOf(c);
    return after === null ? checkNow(segment) : checkAfter(c, segment, after);
  };
  const checkAfter = async (c: Context, segment: string, after: string) => {
    const walletId = walletIdOf(segment);
    const partition = parts.views.balance.partitionOf(walletId);
    await reads.wait(after, { partition, signal: c.req.raw.signal, hidesFlags });
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
  addWalletRoutes(routes, parts, { reads, hidesFlags });
  const { submissions } = parts;
  const waiting = () => submissions.waiting;
  const metrics = new Metrics({ ...parts, readiness, waiting, requests: () => requests });
  const operators = operatorRoutes(parts, {
    metrics,
    reads,
    onAction: (partition) => answers.lookAgain(partition),
    keyOf: admissionOf(access)?.keyOf ?? null,
  });
  const documents = documentRoutes({ hasKeys: (access.keys ?? null) !== null, hidesFlags });
  // A table of its own: beside /check/:wallet_id it would need hono's slow router.
  const feeds = newRoutes().get("/:wallet_id/feed", (c) =>
    check(c, c.req.path.slice(1, -"/feed".length)),
  );

  const tables = [routes, operators, documents, feeds] as const;
  const requests = new RequestCounts(tables);
  return listening(tables, {
    ...access,
    requests,
    delay: parts.delay,
    watch: (signal) => readiness.watch(signal),
    early: (request) => {
      const segment = plainCheck(request);
      if (segment === null) return null;
      try {
        return checkNow(segment);
      } catch (error) {
        return problemResponse(error, request);
      }
    },
    abandon: () => {
      submissions.abandon();
      reads.abandon();
    },
  });
}

/** Serves health, readiness and metrics alone. */
export function createHealthService(
  parts: HealthOptions & MetricsOptions,
  access: AccessOptions,
): Service {
  const routes = newRoutes();
  const readiness = addHealthRoutes(routes, parts);
  const watch = (signal: AbortSignal) => readiness.watch(signal);
  addMetricsRoute(routes, new Metrics({ ...parts, readiness, requests: () => requests }));
  const requests = new RequestCounts([routes]);
  const { delay } = parts;
  return listening([routes], { ...access, requests, delay, watch, abandon: () => {} });
}

const CHECK = "/check/";

const sayDepositUnwritten = sayUnwritten(
  "nothing was written: the deposit can safely be sent again",
);

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
const JSON_RESPONSE = {
  headers: new Headers({ "content-type": "application/json", ...SECURE_HEADERS }),
};
