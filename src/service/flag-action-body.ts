/**
 * The body of an operator's action on a wallet's flag.
 *
 *   bytes, bounded ──UTF-8, JSON──> form ──> {action, actor, reason, seen_event}
 *
 * A removal over HTTP says why and what was seen: a program has both at hand, and a person is asked
 * for them by the page. From the shell, `flag --remove` shows what it covers instead.
 */

import * as z from "zod/mini";
import {
  actorProblem,
  MAX_ACTOR_BYTES,
  MAX_REASON_BYTES,
  reasonProblem,
} from "../flagger/flag-wallet.ts";
import { OperatorError } from "../flagger/operating.ts";
import { bodyText, invalidBody, saysEachOnce } from "./request-body.ts";

export type FlagActionBody =
  | { readonly action: "add"; readonly actor: string; readonly reason?: string | undefined }
  | {
      readonly action: "remove";
      readonly actor: string;
      readonly reason: string;
      readonly seen_event: number;
    };

/** Throws ServiceError `invalid_body`, OperatorError `invalid_actor`, `invalid_reason`. */
export function parseFlagActionBody(bytes: Uint8Array): FlagActionBody {
  if (bytes.length === 0) throw invalidBody(`the body is empty: send ${EXAMPLE}`);
  const text = bodyText(bytes);
  const value = parse(text);
  const shaped = flagActionShape.safeParse(value);
  if (!shaped.success) {
    const { message, path } = shaped.error.issues[0] as { message: string; path: unknown[] };
    if (path[0] === "actor") throw new OperatorError("invalid_actor", message);
    if (path[0] === "reason") throw new OperatorError("invalid_reason", message);
    throw invalidBody(message);
  }
  if (!saysEachOnce(text, value)) throw invalidBody("each key of the body must be given once");
  return shaped.data;
}

const EXAMPLE = '{"action":"remove","actor":"ana","reason":"salary, case 17","seen_event":2}';

/** Exact in bytes and characters: the flagger's rules, in whose words a fault is told. */
const actor = z
  .string({ error: problemOf("actor", actorProblem) })
  .check(
    z.minLength(1, { error: problemOf("actor", actorProblem) }),
    z.maxLength(MAX_ACTOR_BYTES, { error: problemOf("actor", actorProblem) }),
    z.refine((text) => actorProblem(text) === null, { error: problemOf("actor", actorProblem) }),
  );
const reason = z
  .string({ error: problemOf("reason", reasonProblem) })
  .check(
    z.maxLength(MAX_REASON_BYTES, { error: problemOf("reason", reasonProblem) }),
    z.refine((text) => reasonProblem(text) === null, { error: problemOf("reason", reasonProblem) }),
  );

export const addFlagShape = z.strictObject(
  { action: z.literal("add"), actor, reason: z.optional(reason) },
  { error: formError },
);

export const removeFlagShape = z.strictObject(
  {
    action: z.literal("remove"),
    actor,
    reason: reason.check(
      z.regex(/\S/, { error: "reason must not be empty: a removal says why" }),
    ),
    seen_event: z.int({ error: wantedEvent }).check(z.minimum(0, { error: wantedEvent })),
  },
  { error: formError },
);

export const flagActionShape = z.discriminatedUnion("action", [addFlagShape, removeFlagShape], {
  error: ({ input }) =>
    typeof input === "object" && input !== null && !Array.isArray(input)
      ? 'action must be "add" or "remove"'
      : `the body must be a JSON object like ${EXAMPLE}`,
});

interface Told {
  readonly input: unknown;
}

function problemOf(name: string, problem: (text: string) => string | null) {
  return ({ input }: Told) => {
    if (typeof input === "string") return problem(input) ?? `${name} is refused`;
    if (input !== undefined) return `${name} must be a string`;
    return name === "actor" ? "actor is missing: say who does it" : "reason is missing: say why";
  };
}

function wantedEvent({ input }: Told): string {
  return input === undefined
    ? "seen_event is missing: name the newest event that you have seen, newest_event of " +
        "GET /flags/{wallet_id}; 0 for none"
    : "seen_event must be an event's number, a whole number from 0 on";
}

function formError(issue: { readonly code?: string; readonly keys?: unknown }): string {
  if (issue.code !== "unrecognized_keys") return `the body must be a JSON object like ${EXAMPLE}`;
  const [key] = issue.keys as string[];
  return `the key ${JSON.stringify(key)} is not known here: send ${EXAMPLE}`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalidBody(`the body is not valid JSON: send ${EXAMPLE}`);
  }
}
