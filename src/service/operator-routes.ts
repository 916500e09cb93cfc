/**
 * The operators' routes: who is flagged and why, and what an operator does about it. All of them
 * are here and nowhere else, so that who may use them is asked in one place.
 *
 *   GET /flags, GET /flags/{wallet_id} ──> flagger's view ──> JSON
 *   POST /flags/{wallet_id} ──settled so far──> rules ──> flag_wallet ──settled──> what stands now
 *
 * The rules are those of `flag` and `flags` in the shell: src/flagger/operating.ts.
 */

import { getLogger } from "@logtape/logtape";
import type { Context, Hono } from "hono";
import type { ApiKey } from "../access/api-key.ts";
import { balanceRow } from "../collector/balance-row.ts";
import { flagSummary, type FlagSummary, walletEvidence } from "../flagger/evidence.ts";
import { evidenceJson, summaryJson, timeJson } from "../flagger/evidence-json.ts";
import { flagWalletStream, type NewAction } from "../flagger/flag-wallet.ts";
import { type ListedFlag, listFlags } from "../flagger/flag-list.ts";
import { checkOperator, checkRemoved, seenByRemoval, submitAction } from "../flagger/operating.ts";
import { formatPosition } from "../stream/position.ts";
import type { StreamPosition } from "../stream/settling.ts";
import { StreamError } from "../stream/stream-error.ts";
import type { View } from "../stream/view.ts";
import { type FlagActionBody, parseFlagActionBody } from "./flag-action-body.ts";
import {
  cursorAfter,
  flagPageOf,
  flagQuery,
  MAX_PAGE_EPISODES,
  parsedQuery,
} from "./flag-queries.ts";
import { newRoutes } from "./listening.ts";
import { addMetricsRoute, type Metrics } from "./metrics.ts";
import { ServiceError } from "./problem.ts";
import { refuseQuery } from "./query.ts";
import { readBody } from "./request-body.ts";
import { REQUEST_ID, requestId } from "./request-id.ts";
import type { SettledReads } from "./settled-reads.ts";
import { sayUnwritten } from "./unwritten.ts";
import { unknownWallet, walletIdOf } from "./wallet-answers.ts";

/** Wallets looked at for one page: a page of few matches ends there and says where to go on. */
export const MAX_LOOKED_WALLETS = 10_000;
/** Looked at in one go: a millisecond or so, then other requests have their turn. */
const TURN_WALLETS = 64;

const logger = getLogger(["depositaja", "operators"]);

export interface OperatorParts {
  readonly views: { readonly balance: View; readonly flagger: View };
  readonly partitions: number;
  readonly decimals: number;
  readonly flagWallet: Parameters<typeof submitAction>[0];
  /** The newest position of each stream in the partition. */
  readonly ends: (partition: number) => Promise<readonly StreamPosition[]>;
  readonly nowMs: () => number;
  /** Why views cannot answer yet; null where there is nothing to load. */
  readonly viewProblem?: () => string | null;
}

export interface OperatorRoutesOptions {
  readonly metrics: Metrics;
  readonly reads: SettledReads;
  /** Called when an action is done: answers about wallets of the partition are to be new. */
  readonly onAction: (partition: number) => void;
  /** Whose key a request has; null where none is asked for. */
  readonly keyOf: ((headers: Headers) => ApiKey | null) | null;
}

const FLAGS = "/flags/";

export function operatorRoutes(parts: OperatorParts, options: OperatorRoutesOptions): Hono {
  const routes = newRoutes();
  const desk = new OperatorDesk(parts, options);
  addMetricsRoute(routes, options.metrics);
  routes.get("/flags", (c) => desk.list(c));
  for (const path of [FLAGS, `${FLAGS}:wallet_id`]) {
    routes.get(path, (c) => desk.show(c, walletIdOf(c.req.path.slice(FLAGS.length))));
    routes.post(path, (c) => desk.act(c, walletIdOf(c.req.path.slice(FLAGS.length))));
  }
  return routes;
}

class OperatorDesk {
  constructor(
    private readonly parts: OperatorParts,
    private readonly options: OperatorRoutesOptions,
  ) {}

  async list(c: Context): Promise<Response> {
    const { filter, limit, after } = flagPageOf(c);
    this.assertLoaded();
    const { views, partitions } = this.parts;
    const flags: ListedFlag[] = [];
    let looked = 0;
    let last: string | null = null;
    for (const { walletId, flag } of listFlags(views.flagger, { partitions, after, filter })) {
      // There is more: this wallet is the next page's.
      if (flags.length === limit || looked === MAX_LOOKED_WALLETS) {
        return c.json({ flags: flags.map(listedJson), next_cursor: cursorAfter(last as string) });
      }
      if (flag !== null) flags.push(flag);
      last = walletId;
      looked += 1;
      if (looked % TURN_WALLETS === 0) await turn();
    }
    return c.json({ flags: flags.map(listedJson), next_cursor: null });
  }

  async show(c: Context, walletId: string): Promise<Response> {
    const { after, before_episode: before = null } = parsedQuery(c, flagQuery);
    const { views, decimals } = this.parts;
    this.assertLoaded();
    if (after !== undefined) {
      const partition = views.flagger.partitionOf(walletId);
      await this.options.reads.wait(after, { partition, signal: c.req.raw.signal });
    }
    // One more than is shown tells whether there are earlier ones.
    const page = { before, limit: MAX_PAGE_EPISODES + 1 };
    const evidence = walletEvidence(views.flagger, walletId, page);
    const { episodes, eventCount, actions } = evidence;
    const isKnown = eventCount > 0 || actions.length > 0;
    if (!isKnown && views.balance.get(walletId, balanceRow) === null) {
      throw unknownWallet(walletId, "nothing is known");
    }
    const shown = episodes.slice(-MAX_PAGE_EPISODES);
    const hasEarlier = shown.length < episodes.length;
    return c.json({
      ...evidenceJson(walletId, { ...evidence, episodes: shown }, decimals),
      next_before_episode: hasEarlier ? (shown[0]?.number ?? null) : null,
    });
  }

  async act(c: Context, walletId: string): Promise<Response> {
    refuseQuery(c);
    const { headers, signal } = c.req.raw;
    const body = byKey(parseFlagActionBody(await readBody(c.req.raw)), this.keyNameOf(headers));
    checkOperator({ walletId, actor: body.actor, reason: body.reason ?? "" });
    this.assertLoaded();
    const id = requestId(headers);
    c.header(REQUEST_ID, id);
    if (body.action === "add") {
      const summary = await this.write({ walletId, signal, id, action: this.actionOf(body, 0) });
      return c.json(summaryJson(walletId, summary));
    }
    const removal = {
      walletId,
      seenOrdinal: body.seen_event,
      seenName: "seen_event",
      lookWith: `GET ${FLAGS}${encodeURIComponent(walletId)}`,
    };
    const { flagger } = this.parts.views;
    const ends = await this.parts.ends(flagger.partitionOf(walletId));
    const told = (why: string) => `nothing was written: ${why}; ask again, or see /readyz`;
    await this.options.reads.settle(ends, { signal, told });
    const seen = seenByRemoval(flagSummary(flagger, walletId), removal);
    const action = this.actionOf(body, seen);
    const after = await this.write({ walletId, signal, id, action });
    checkRemoved(after, removal);
    return c.json({ ...summaryJson(walletId, after), seen_event: seen });
  }

  /** What stands once the action is settled. Throws, and says that it is written once it is. */
  private async write(options: {
    readonly walletId: string;
    readonly action: NewAction;
    readonly signal: AbortSignal;
    /** Of the request. */
    readonly id: string;
  }): Promise<FlagSummary> {
    const { walletId, action, signal, id } = options;
    const { flagWallet, views } = this.parts;
    const written = { ...action, walletId, id: crypto.randomUUID() };
    const position = await submitAction(flagWallet, written).catch(
      sayUnwritten("nothing was written: it can safely be sent again"),
    );
    const place = formatPosition(position);
    tellOf({ walletId, action, position: place, requestId: id });
    const told = (why: string) =>
      `the operator's record ${place} is written and stands, but ${why}: it counts once ` +
      "processing goes on";
    try {
      const positions = [{ topic: flagWalletStream.topic, ...position }];
      await this.options.reads.settle(positions, { signal, told });
      return flagSummary(views.flagger, walletId);
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      const why = "the flagger's table cannot be read";
      throw new ServiceError("not_settled", told(why), { cause: error });
    } finally {
      this.options.onAction(position.partition);
    }
  }

  private actionOf(body: FlagActionBody, seenOrdinal: number): NewAction {
    const { actor, reason = "" } = body;
    const by = { actor, reason, atMs: this.parts.nowMs() };
    return body.action === "add"
      ? { kind: "add", ...by }
      : { kind: "remove", ...by, seenOrdinal };
  }

  private keyNameOf(headers: Headers): string | null {
    const { keyOf } = this.options;
    if (keyOf === null) return null;
    const key = keyOf(headers);
    if (key !== null) return key.name;
    throw new ServiceError("unauthorized", "the key was revoked meanwhile");
  }

  /** A table that is half loaded would leave wallets out. */
  private assertLoaded(): void {
    const problem = this.parts.viewProblem?.() ?? null;
    if (problem !== null) throw new ServiceError("log_unavailable", problem);
  }
}

function listedJson({ walletId, changedAtMs, ...summary }: ListedFlag) {
  const changed =
    changedAtMs === null
      ? { changed_at_ms: null, changed_at: null }
      : timeJson("changed_at", changedAtMs);
  return { ...summaryJson(walletId, summary), ...changed };
}

/**
 * What a caller says of who acts is believed as far as its key: the record has both, the key last,
 * where no text of the caller's can stand.
 */
function byKey(body: FlagActionBody, keyName: string | null): FlagActionBody {
  return keyName === null ? body : { ...body, actor: `${body.actor} (key ${keyName})` };
}

/** Every action of an operator is logged, by name. The reason stands in the record. */
function tellOf(told: {
  readonly walletId: string;
  readonly action: NewAction;
  readonly position: string;
  readonly requestId: string;
}): void {
  const { action, ...place } = told;
  const { actor, kind } = action;
  const seenOrdinal = kind === "remove" ? action.seenOrdinal : null;
  const values = { actor, seenOrdinal, ...place };
  const did =
    kind === "add"
      ? "{actor} flagged {walletId}"
      : "{actor} removed the flag of {walletId} up to event {seenOrdinal}";
  logger.info(`${did} (record {position}, request {requestId})`, values);
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
