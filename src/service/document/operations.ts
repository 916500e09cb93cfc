/**
 * Every route as clients see it: what it takes, what it answers, and which problems it knows. The
 * document is made of this, and a fuzzer asks each route by it.
 *
 *   operations ──> openapi.ts ──> /openapi.json
 */

import * as z from "zod/mini";
import { MAX_WALLET_ID_BYTES } from "../../deposits/deposit.ts";
import { depositShape } from "../deposit-body.ts";
import { addFlagShape, flagActionShape, removeFlagShape } from "../flag-action-body.ts";
import { flagListQuery, flagQuery } from "../flag-queries.ts";
import type { ProblemCode } from "../problem.ts";
import {
  checkAnswer,
  depositAnswer,
  flagAdded,
  flagAnswer,
  flagPage,
  flagRemoved,
  healthAnswer,
  plainDepositAnswer,
  readyAnswer,
  unreadyAnswer,
  walletAnswer,
} from "./answers.ts";
import { described, named } from "./described.ts";

type Schema = z.core.$ZodType;

export interface Operation {
  readonly method: "get" | "post";
  /** As OpenAPI writes it. */
  readonly path: string;
  readonly id: string;
  /** Whose it is. */
  readonly tag: "customers" | "operators" | "service";
  readonly summary: string;
  readonly description?: string;
  readonly path_parameters?: z.ZodMiniObject;
  readonly query?: z.ZodMiniObject;
  readonly headers?: z.ZodMiniObject;
  readonly body?: Schema;
  /** Of status 200. */
  readonly answer: Schema;
  /** The problems that it knows beside those of every route. */
  readonly problems: readonly ProblemCode[];
  /** A status whose answer is no plain problem. */
  readonly others?: Readonly<Record<number, { description: string; schema: Schema }>>;
}

/** Of every route: the guard's, and what can befall any request. */
export const PROBLEMS_OF_ALL: readonly ProblemCode[] = [
  "foreign_host",
  "foreign_origin",
  "internal_error",
];

/** Where a key is asked for. */
export const PROBLEMS_OF_KEYS: readonly ProblemCode[] = [
  "unauthorized",
  "forbidden",
  "rate_limited",
];

/** No control characters, as JSON Schema can say it; that it is counted in bytes it can't. */
const TEXT = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";
const POSITION = "^(0|[1-9][0-9]*)-(0|[1-9][0-9]*)$";
const AMOUNT = "^(0|[1-9][0-9]*)(\\.[0-9]+)?$";

const wallet = z.strictObject({
  wallet_id: described(
    z.string().check(z.minLength(1), z.maxLength(MAX_WALLET_ID_BYTES)),
    `1 to ${MAX_WALLET_ID_BYTES} UTF-8 bytes, without control characters.`,
    { pattern: TEXT, examples: ["alice"] },
  ),
});
const AFTER =
  "A position that a deposit was answered with: the answer waits, for 5 s at most, until ";
const AFTER_SETTLED = `${AFTER}everything that this deposit causes can be read.`;
const POSITION_KEYWORDS = { pattern: POSITION, examples: ["3-17"] };
const afterQuery = (description: string) =>
  z.strictObject({ after: described(z.optional(z.string()), description, POSITION_KEYWORDS) });
const settled = afterQuery(AFTER_SETTLED);
/** What a query means where customers are not told of flags. */
export const QUERY_WITHOUT_FLAG: ReadonlyMap<Operation["query"], Operation["query"]> = new Map([
  [settled, afterQuery(`${AFTER}this deposit is counted.`)],
]);
const idempotency = z.strictObject({
  "Idempotency-Key": described(
    z.optional(z.string()),
    "The client's own id of the deposit, 1 to 256 UTF-8 bytes: sent again with the same amount, " +
      "it is answered as the first time and counts once.",
    { minLength: 1, pattern: "^[^,\"\\u0000-\\u001f\\u007f-\\u009f]*$" },
  ),
});

const { wallet_id: depositWallet, amount } = depositShape.shape;
described(depositWallet, "1 to 128 UTF-8 bytes, without control characters.", {
  minLength: 1,
  maxLength: MAX_WALLET_ID_BYTES,
  pattern: TEXT,
  examples: ["alice"],
});
described(
  amount,
  "More than 0 and at most 2^63 - 1 minor units, with at most the log's decimals, without sign " +
    "and exponent; as a number or a string.",
  { exclusiveMinimum: 0, pattern: AMOUNT, examples: ["12.50", 12.5] },
);
named("Deposit", depositShape);
named("AddFlag", addFlagShape);
named("RemoveFlag", removeFlagShape);
describeActions();
describeQueries();

const WALLET_READ: readonly ProblemCode[] = [
  "invalid_query",
  "invalid_position",
  "invalid_wallet_id",
  "busy",
  "log_unavailable",
  "store_unavailable",
  "not_settled",
];
const DEPOSIT: readonly ProblemCode[] = [
  "invalid_query",
  "invalid_body",
  "invalid_key",
  "invalid_wallet_id",
  "invalid_amount",
  "invalid_time",
  "amount_not_a_number",
  "amount_sign",
  "amount_exponent",
  "amount_precision",
  "amount_not_positive",
  "amount_too_large",
  "body_too_large",
  "id_conflict",
  "busy",
  "log_unavailable",
  "outcome_unknown",
  "store_unavailable",
  "undecided",
];

const deposit = { headers: idempotency, body: depositShape, problems: DEPOSIT } as const;
const check = {
  method: "get",
  tag: "customers",
  path_parameters: wallet,
  query: settled,
  answer: checkAnswer,
  problems: WALLET_READ,
} as const;
const flag = { path: "/flags/{wallet_id}", tag: "operators", path_parameters: wallet } as const;

export const OPERATIONS: readonly Operation[] = [
  {
    ...deposit,
    method: "post",
    path: "/deposit",
    id: "deposit",
    tag: "customers",
    summary: "Deposit into a wallet",
    description:
      "Answered when the deposit is durable and, with a key, counted. What is refused leaves " +
      "nothing, but for 409: its record stays, and is never counted.",
    answer: depositAnswer,
  },
  { ...check, path: "/check/{wallet_id}", id: "check", summary: "Balance of a wallet" },
  { ...check, path: "/{wallet_id}/feed", id: "feed", summary: "The same under another name" },
  {
    ...check,
    path: "/wallets/{wallet_id}",
    id: "wallet",
    summary: "A wallet: balance as a decimal string, count and last deposits",
    answer: walletAnswer,
    problems: [...WALLET_READ, "unknown_wallet"],
  },
  {
    ...deposit,
    method: "post",
    path: "/api/deposit",
    id: "api-deposit",
    tag: "customers",
    summary: "Deposit, answered as the Goka example does",
    answer: plainDepositAnswer,
  },
  {
    ...check,
    path: "/api/check/{wallet_id}",
    id: "api-check",
    summary: "Balance of a wallet; a problem's code is its status",
  },
  {
    method: "get",
    path: "/flags",
    id: "flags",
    tag: "operators",
    summary: "Flagged wallets, page by page",
    description:
      "The order says nothing and never changes: a wallet that matches all the while is listed " +
      "exactly once, whatever is written meanwhile.",
    query: flagListQuery,
    answer: flagPage,
    problems: ["invalid_query", "invalid_cursor", "log_unavailable", "store_unavailable"],
  },
  {
    ...flag,
    method: "get",
    id: "flag",
    summary: "Why a wallet is flagged, and what operators did about it",
    query: flagQuery,
    answer: flagAnswer,
    problems: [...WALLET_READ, "unknown_wallet"],
  },
  {
    ...flag,
    method: "post",
    id: "act-on-flag",
    summary: "Flag a wallet by hand, or remove its flag",
    description:
      "Answered when the action can be read. A removal holds for the events that were seen: the " +
      "next deposit over the limit flags again. `stays_flagged` and `not_settled` say whether " +
      "the action is written; all other problems leave nothing.",
    body: flagActionShape,
    answer: z.union([flagAdded, flagRemoved]),
    problems: [
      ...["invalid_query", "invalid_body", "invalid_wallet_id", "invalid_actor"],
      ...["invalid_reason", "body_too_large", "not_flagged", "unknown_event", "stays_flagged"],
      ...["busy", "log_unavailable", "outcome_unknown", "store_unavailable", "not_settled"],
    ] as ProblemCode[],
  },
  {
    method: "get",
    path: "/healthz",
    id: "alive",
    tag: "service",
    summary: "Whether the process answers",
    answer: healthAnswer,
    problems: [],
  },
  {
    method: "get",
    path: "/readyz",
    id: "ready",
    tag: "service",
    summary: "Whether deposits can be taken, and how the processors stand",
    answer: readyAnswer,
    problems: [],
    others: { 503: { description: "Not ready: what stands in `error`.", schema: unreadyAnswer } },
  },
];

function describeActions(): void {
  const { actor, reason } = addFlagShape.shape;
  const keywords = { pattern: TEXT };
  described(actor, "Who does it, 1 to 128 UTF-8 bytes without control characters.", keywords);
  described(reason, "Why, at most 1,000 UTF-8 bytes without control characters.", keywords);
  described(
    removeFlagShape.shape.reason,
    "Why, at most 1,000 UTF-8 bytes without control characters; not empty.",
  );
  described(
    removeFlagShape.shape.seen_event,
    "The newest event that the operator has seen: `newest_event` of GET /flags/{wallet_id}; 0 " +
      "for none. Events up to there are covered.",
  );
}

function describeQueries(): void {
  const { state, from, to, limit, cursor } = flagListQuery.shape;
  described(state, "`removed`: a history, and no flag now. `flagged` when left out.");
  const time =
    "RFC 3339 with Z or an offset, or Unix milliseconds: 9 or 10 digits, which would be seconds, " +
    "are refused.";
  described(from, `Changed then or later. ${time}`, { examples: ["2026-01-31T12:00:00Z"] });
  described(to, `Changed before then. ${time}`);
  described(limit, "At most so many in a page; 100 when left out.");
  described(cursor, "`next_cursor` of the page before.");
  const { after, before_episode: before } = flagQuery.shape;
  described(after, AFTER_SETTLED, POSITION_KEYWORDS);
  described(before, "The newest episodes whose number is below this one.");
}
