/**
 * The queries of the flags' routes: texts of a URL to values, by the schemas of the document.
 *
 *   ?state=any&from=2026-01-31T12:00:00Z ──> {state, fromMs, ...}        else invalid_query
 *
 * A cursor is the last wallet that was looked at. It is opaque to clients: they get it from a page
 * and give it back, and nothing in it is believed.
 */

import type { Context } from "hono";
import * as z from "zod/mini";
import { walletIdProblem } from "../deposits/deposit.ts";
import { EVENT_TIME_FORM, parseEventTime } from "../deposits/event-time.ts";
import { FLAG_STATES, type FlagFilter } from "../flagger/flag-list.ts";
import { ServiceError } from "./problem.ts";
import { invalidQuery, queryOf } from "./query.ts";

/** A page that is read at once, and one as large as a reader of all of them wants. */
export const DEFAULT_PAGE_FLAGS = 100;
export const MAX_PAGE_FLAGS = 1_000;
/** Of one wallet: each has up to 200 deposits and events, some 50 KB as JSON. */
export const MAX_PAGE_EPISODES = 100;

const time = (name: string) => {
  const error = `${name} ${EVENT_TIME_FORM}`;
  return z.optional(z.string().check(z.refine((text) => parseEventTime(text) !== null, { error })));
};

export const flagListQuery = z.strictObject({
  state: z.optional(
    z.enum(FLAG_STATES, { error: `state must be ${FLAG_STATES.slice(0, -1).join(", ")} or any` }),
  ),
  from: time("from"),
  to: time("to"),
  limit: z.optional(count("limit", MAX_PAGE_FLAGS)),
  cursor: z.optional(z.string()),
});

export const flagQuery = z.strictObject({
  after: z.optional(z.string()),
  before_episode: z.optional(count("before_episode", Number.MAX_SAFE_INTEGER)),
});

export interface FlagPageRequest {
  readonly filter: FlagFilter;
  readonly limit: number;
  /** The wallet after which the page begins; null: the first page. */
  readonly after: string | null;
}

/** Throws `invalid_query`, `invalid_cursor`. */
export function flagPageOf(c: Context): FlagPageRequest {
  const { state = "flagged", from, to, limit, cursor } = parsedQuery(c, flagListQuery);
  const fromMs = from === undefined ? null : parseEventTime(from);
  const toMs = to === undefined ? null : parseEventTime(to);
  if (fromMs !== null && toMs !== null && fromMs >= toMs) {
    throw invalidQuery("from must be before to: a flag that changed at to is not listed");
  }
  return {
    filter: { state, fromMs, toMs },
    limit: limit ?? DEFAULT_PAGE_FLAGS,
    after: cursor === undefined ? null : walletOfCursor(cursor),
  };
}

export function cursorAfter(walletId: string): string {
  return Buffer.from(walletId, "utf8").toString("base64url");
}

/** What a route was asked, by its schema. Throws `invalid_query`. */
export function parsedQuery<S extends typeof flagListQuery | typeof flagQuery>(
  c: Context,
  schema: S,
): z.infer<S> {
  const given = queryOf(c, Object.keys(schema.shape));
  const parsed = schema.safeParse(
    Object.fromEntries(Object.entries(given).map(([name, text]) => [name, valueOf(name, text)])),
  );
  if (parsed.success) return parsed.data as z.infer<S>;
  throw invalidQuery((parsed.error.issues[0] as { message: string }).message);
}

/** Of the parameters that are numbers. */
const NUMBERS: ReadonlySet<string> = new Set(["limit", "before_episode"]);

function valueOf(name: string, text: string): string | number {
  return NUMBERS.has(name) && /^\d{1,16}$/.test(text) ? Number(text) : text;
}

function count(name: string, most: number) {
  const range = most === Number.MAX_SAFE_INTEGER ? "from 1 on" : `from 1 to ${most}`;
  const error = `${name} must be a whole number ${range}`;
  return z.int({ error }).check(z.minimum(1, { error }), z.maximum(most, { error }));
}

/** Throws `invalid_cursor`. */
function walletOfCursor(cursor: string): string {
  const walletId = Buffer.from(cursor, "base64url").toString("utf8");
  if (cursorAfter(walletId) === cursor && walletIdProblem(walletId) === null) return walletId;
  throw new ServiceError(
    "invalid_cursor",
    "cursor must be next_cursor of the page before, as it was given; without one the list begins " +
      "anew",
  );
}
