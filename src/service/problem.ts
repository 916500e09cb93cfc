/**
 * Problems: the one table from error code to HTTP status, and how a problem is answered.
 *
 *   errors of service, deposits, operators, money, log, stores ──> code ──table──> {"error","code"}
 *
 * Under /api/ the numeric status stands as the code, for clients of the program that this one
 * follows.
 */

import { getLogger } from "@logtape/logtape";
import { DepositError, type DepositErrorCode } from "../deposits/deposit-error.ts";
import { OperatorError, type OperatorErrorCode } from "../flagger/operating.ts";
import { LogError } from "../log/event-log.ts";
import { MoneyError, type MoneyErrorCode } from "../money.ts";
import { StreamError } from "../stream/stream-error.ts";
import { Refusals } from "./refusals.ts";
import { REQUEST_ID, requestId } from "./request-id.ts";
import { pathOf } from "./request-path.ts";
import { SECURE_HEADERS } from "./secure-headers.ts";

/** What only HTTP can get wrong. */
export type ServiceErrorCode =
  | "invalid_body"
  | "invalid_position"
  | "invalid_query"
  | "invalid_cursor"
  | "foreign_host"
  | "foreign_origin"
  /** No key, or none that is good. */
  | "unauthorized"
  /** A key that is good for less. */
  | "forbidden"
  | "rate_limited"
  | "not_found"
  | "unknown_wallet"
  | "method_not_allowed"
  | "body_too_large"
  /** Too many wait. */
  | "busy"
  | "log_unavailable"
  | "outcome_unknown"
  /** A table cannot be read; the log has the file's name. */
  | "store_unavailable"
  | "not_settled"
  | "internal_error";

/** The one error of this layer. The message can be shown to the client. */
export class ServiceError extends Error {
  override readonly name = "ServiceError";
  /** Sent with the answer. */
  readonly headers: Readonly<Record<string, string>>;
  constructor(
    readonly code: ServiceErrorCode,
    message: string,
    options: { cause?: unknown; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message, options);
    this.headers = options.headers ?? {};
  }
}

export type ProblemCode =
  | ServiceErrorCode
  | DepositErrorCode
  | MoneyErrorCode
  | OperatorErrorCode;

/** THE TABLE. */
export const STATUS: Readonly<Record<ProblemCode, number>> = {
  unauthorized: 401,
  forbidden: 403,
  foreign_host: 403,
  foreign_origin: 403,
  not_found: 404,
  unknown_wallet: 404,
  method_not_allowed: 405,
  id_conflict: 409,
  not_flagged: 409,
  stays_flagged: 409,
  unknown_event: 409,
  body_too_large: 413,
  invalid_body: 422,
  invalid_position: 422,
  invalid_query: 422,
  invalid_cursor: 422,
  invalid_wallet_id: 422,
  invalid_amount: 422,
  invalid_key: 422,
  invalid_time: 422,
  invalid_actor: 422,
  invalid_reason: 422,
  amount_not_a_number: 422,
  amount_sign: 422,
  amount_exponent: 422,
  amount_precision: 422,
  amount_not_positive: 422,
  amount_too_large: 422,
  internal_error: 500,
  rate_limited: 429,
  busy: 503,
  log_unavailable: 503,
  outcome_unknown: 503,
  store_unavailable: 503,
  undecided: 503,
  not_settled: 504,
};

/** A queue drains, or a lock's holder is dealt with, in seconds rather than minutes. */
const RETRY_AFTER_S = "1";

const logger = getLogger(["depositaja", "service"]);
/** Of all services of the process: they answer for one log. */
export const refusals = new Refusals();

export interface Problem {
  readonly status: number;
  readonly code: ProblemCode;
  readonly message: string;
  /** For the operator alone, who can do something about it. */
  readonly cause?: string;
}

/** What of a request decides how it is answered. */
export type Asked = Pick<Request, "url" | "headers">;

/** What to say of an error: nothing of one that the program did not foresee. */
export function problemOf(error: unknown, id: string): Problem {
  const known = knownProblem(error);
  if (known !== null) return { ...known, status: STATUS[known.code] };
  logger.error("request {requestId} failed: {error}", { error, requestId: id });
  return { status: 500, code: "internal_error", message: "the request failed: see the log" };
}

/** `headers` are sent as well. */
export function problemResponse(
  error: unknown,
  asked: Asked,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const id = requestId(asked.headers);
  const problem = problemOf(error, id);
  const { status, code, message, cause } = problem;
  if (status === 503) refusals.tell(code, cause ?? message, id);
  const own = error instanceof ServiceError ? error.headers : {};
  return responseTo(problem, pathOf(asked.url), { ...own, ...headers, [REQUEST_ID]: id });
}

/** For who asks again and again, which is no news. */
export function quietProblemResponse(error: unknown, asked: Asked): Response {
  const id = requestId(asked.headers);
  return responseTo(problemOf(error, id), pathOf(asked.url), { [REQUEST_ID]: id });
}

/** The path decides the form. */
function responseTo(
  { status, code, message }: Problem,
  path: string,
  headers: Readonly<Record<string, string>>,
): Response {
  const body = { error: message, code: path.startsWith("/api/") ? status : code };
  return new Response(JSON.stringify(body), {
    status,
    headers: {
      "content-type": "application/json",
      ...SECURE_HEADERS,
      ...(status === 503 ? { "retry-after": RETRY_AFTER_S } : {}),
      ...headers,
    },
  });
}

const STORE_FAULTS: ReadonlySet<string> = new Set([
  "store_mismatch",
  "store_ahead",
  "store_unavailable",
]);

function knownProblem(error: unknown): Omit<Problem, "status"> | null {
  if (
    error instanceof ServiceError ||
    error instanceof DepositError ||
    error instanceof MoneyError ||
    error instanceof OperatorError
  ) {
    return { code: error.code, message: error.message };
  }
  if (error instanceof StreamError && STORE_FAULTS.has(error.code)) {
    logger.error("a table cannot be read: {message}", { message: error.message });
    const message = "a table cannot be read now: try again later";
    return { code: "store_unavailable", message };
  }
  if (error instanceof StreamError && error.code === "closed") {
    return { code: "log_unavailable", message: error.message };
  }
  if (!(error instanceof LogError)) return null;
  const { message } = error;
  switch (error.code) {
    case "busy":
    case "outcome_unknown":
      return { code: error.code, message };
    // The last three: the program declares its own topics, and one is gone, made anew or cut short.
    case "unavailable":
    case "moved":
    case "closed":
    case "unknown_topic":
    case "topic_changed":
    case "position_out_of_range":
      return { code: "log_unavailable", message };
    case "corrupt": {
      const told = "the log is damaged: look at the service's messages";
      return { code: "log_unavailable", message: told, cause: message };
    }
    default:
      return null;
  }
}
