/**
 * What the routes answer, as schemas: the document is made of them, and tests hold every answer
 * against them. The routes themselves do not: what the program writes it need not read.
 *
 *   schema ──named──> #/components/schemas/<name> of /openapi.json
 */

import * as z from "zod/mini";
import { MAX_LAST_DEPOSITS } from "../../collector/balance-row.ts";
import { MAX_EPISODE_EVENTS } from "../../flagger/episode-events.ts";
import { MAX_LISTED_DEPOSITS } from "../../flagger/flag-wallet.ts";
import { MAX_PAGE_EPISODES, MAX_PAGE_FLAGS } from "../flag-queries.ts";
import { described, named } from "./described.ts";

const positionForm = z.regex(/^(0|[1-9][0-9]*)-(0|[1-9][0-9]*)$/);
const position = described(
  z.string().check(positionForm),
  "Partition and offset in the deposit stream.",
);
const decimal = described(
  z.string().check(z.regex(/^(0|[1-9][0-9]*)(\.[0-9]+)?$/)),
  "An exact amount, with all decimals of the log.",
);
const exactNumber = described(
  z.number(),
  "An exact decimal. A client that reads it into a double rounds it itself.",
);
const count = z.int().check(z.minimum(0));
const ordinal = described(
  z.int().check(z.minimum(1)),
  "The how-manieth counted deposit of the wallet.",
);
const walletId = z.string();
const timeMs = described(z.int(), "Unix milliseconds.");
const time = described(z.string(), "The same in UTC, as RFC 3339 writes it.");
const clientId = described(z.nullable(z.string()), "The client's own id; null when it gave none.");

export const depositAnswer = named(
  "Deposited",
  z.strictObject({
    deposit_id: position,
    wallet_id: walletId,
    amount: exactNumber,
    position,
  }),
);

export const checkAnswer = named(
  "Check",
  z.strictObject({ wallet_id: walletId, balance: exactNumber, above_threshold: z.boolean() }),
);

export const plainDepositAnswer = z.strictObject({
  code: z.literal(200),
  data: z.null(),
  message: z.literal("success"),
});

const lastDeposit = z.strictObject({
  deposit_id: position,
  client_id: clientId,
  amount: decimal,
  accepted_at_ms: timeMs,
  accepted_at: time,
});

export const walletAnswer = named(
  "Wallet",
  z.strictObject({
    wallet_id: walletId,
    balance: decimal,
    deposit_count: count,
    above_threshold: z.boolean(),
    last_deposits: described(
      z.array(lastDeposit).check(z.maxLength(MAX_LAST_DEPOSITS)),
      "The last deposits that were counted, the newest last.",
    ),
    position: described(z.string().check(positionForm), "Of the newest deposit in the balance."),
  }),
);

/** Names of what says whether a wallet is above the threshold, and each without that. */
export const FLAG_TELLING: ReadonlySet<string> = new Set(["Check", "Wallet"]);
export const WITHOUT_FLAG: ReadonlyMap<z.core.$ZodType, z.core.$ZodType> = new Map([
  [checkAnswer, z.omit(checkAnswer, { above_threshold: true })],
  [walletAnswer, z.omit(walletAnswer, { above_threshold: true })],
] as [z.core.$ZodType, z.core.$ZodType][]);

const summary = {
  wallet_id: walletId,
  flagged: z.boolean(),
  last_action: described(z.nullable(z.enum(["add", "remove"])), "An operator's; null for none."),
  newest_event: described(count, "The highest ordinal of any event; 0 while there is none."),
  covered_event: described(count, "Events up to here are covered by a removal."),
  event_count: count,
};

const listedFlag = named(
  "ListedFlag",
  z.strictObject({
    ...summary,
    changed_at_ms: described(
      z.nullable(z.int()),
      "Unix milliseconds: the later of the newest event's deposit and the last action.",
    ),
    changed_at: z.nullable(z.string()),
  }),
);

export const flagPage = named(
  "FlagPage",
  z.strictObject({
    flags: z.array(listedFlag).check(z.maxLength(MAX_PAGE_FLAGS)),
    next_cursor: described(
      z.nullable(z.string()),
      "Ask with `cursor` for the next page, whose filters should be the same; null: this is the " +
        "last one. A page may have fewer flags than `limit`, even none, and a next one.",
    ),
  }),
);

const deposit = z.strictObject({ ...lastDeposit.shape, ordinal });
const event = {
  event: ordinal,
  window_start_ms: described(z.int(), "Exclusive."),
  window_start: time,
  window_end_ms: described(z.int(), "Inclusive."),
  window_end: time,
  total: decimal,
  late: described(z.boolean(), "A newer deposit had been counted before it."),
  covered: described(z.boolean(), "An operator who removed the flag had seen it."),
  covered_by_action: described(z.nullable(ordinal), "The number of that action."),
  deposit: named("EvidenceDeposit", deposit),
};

const opening = named(
  "OpeningEvent",
  z.strictObject({
    rule_id: z.string(),
    rule_version: z.int(),
    limit: decimal,
    ...event,
    deposit_count: described(count, "How many deposits are in the window."),
    deposits: described(
      z.array(deposit).check(z.maxLength(MAX_LISTED_DEPOSITS)),
      "The window's deposits by time: the newest of them.",
    ),
  }),
);

const episode = named(
  "Episode",
  z.strictObject({
    episode: z.int().check(z.minimum(1)),
    event_count: count,
    opening: described(z.nullable(opening), "The event that opened it."),
    newest_events: described(
      z
        .array(named("FlagEvent", z.strictObject(event)))
        .check(z.maxLength(MAX_EPISODE_EVENTS)),
      "The newest events that went on with it, in the log's order.",
    ),
  }),
);

const action = named(
  "OperatorsAction",
  z.strictObject({
    action: z.int().check(z.minimum(1)),
    kind: z.enum(["add", "remove"]),
    actor: z.string(),
    reason: z.string(),
    seen_event: described(z.nullable(count), "Up to where a removal covers; null for an add."),
    at_ms: timeMs,
    at: time,
  }),
);

export const flagAnswer = named(
  "Flag",
  z.strictObject({
    ...summary,
    episodes: described(
      z.array(episode).check(z.maxLength(MAX_PAGE_EPISODES)),
      "The newest, or the newest below `before_episode`, in order.",
    ),
    actions: described(z.array(action), "All that operators did, in the log's order."),
    next_before_episode: described(
      z.nullable(z.int()),
      "Ask with `before_episode` for earlier episodes; null: there are none.",
    ),
  }),
);

export const flagAdded = named("FlagAdded", z.strictObject(summary));
export const flagRemoved = named(
  "FlagRemoved",
  z.strictObject({ ...summary, seen_event: described(count, "Up to where it covers.") }),
);

export const healthAnswer = z.strictObject({ status: z.literal("ok") });

const readinessDetails = {
  log: z.strictObject({ writable: z.boolean(), problem: z.nullable(z.string()) }),
  views_not_followed: z.array(
    z.strictObject({
      group: z.string(),
      partition: count,
      reason: z.string(),
      for_ms: z.number(),
    }),
  ),
  groups_without_owner: z.array(z.string()),
  groups_standing_still: z.array(z.string()),
  groups: z.array(
    z.strictObject({
      group: z.string(),
      processor: z.string(),
      lag: described(z.int(), "Records to do."),
      partitions_without_owner: z.array(count),
      partitions_standing_still: z.array(count),
    }),
  ),
};

export const readyAnswer = z.strictObject({ ready: z.literal(true), ...readinessDetails });
/** While there is no log yet, nothing more than a problem is known. */
export const unreadyAnswer = z.strictObject({
  error: z.string(),
  code: z.literal("log_unavailable"),
  ready: z.optional(z.literal(false)),
  log: z.optional(readinessDetails.log),
  views_not_followed: z.optional(readinessDetails.views_not_followed),
  groups_without_owner: z.optional(readinessDetails.groups_without_owner),
  groups_standing_still: z.optional(readinessDetails.groups_standing_still),
  groups: z.optional(readinessDetails.groups),
});
