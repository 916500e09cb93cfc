import { afterEach, describe, expect, test } from "bun:test";
import { newAction } from "../../src/flagger/flag-wallet.ts";
import type { Service } from "../../src/service/listening.ts";
import { MAX_LOOKED_WALLETS } from "../../src/service/operator-routes.ts";
import { createService } from "../../src/service/service.ts";
import { SETTLING_TIMEOUT_MS } from "../../src/service/settled-reads.ts";
import { LogError } from "../../src/log/event-log.ts";
import { linesOfTheLog } from "./log-lines.ts";
import { ask, depositBody } from "./requests.ts";
import { closeApps, newFolder, runApp, runService, within } from "./running-app.ts";

const ACCESS = { allowHosts: [] };

afterEach(closeApps);

interface FlagPage {
  readonly flags: readonly { wallet_id: string; changed_at: string; flagged: boolean }[];
  readonly next_cursor: string | null;
}

async function act(service: Service, walletId: string, body: object) {
  const line = `POST /flags/${encodeURIComponent(walletId)}`;
  return within(ask(service, line, { body: JSON.stringify(body) }));
}

const ADD = { action: "add", actor: "ana", reason: "asked for" };
const remove = (seen: number) => ({
  action: "remove",
  actor: "ana",
  reason: "salary",
  seen_event: seen,
});

async function page(service: Service, query: string): Promise<FlagPage> {
  const answer = await ask(service, `GET /flags${query}`);
  expect(answer.status).toBe(200);
  return answer.json as FlagPage;
}

/** All pages one after the other; how many there were. */
async function readAll(service: Service, query: string, from = "") {
  const wallets: string[] = [];
  let pages = 0;
  for (let cursor: string | null = from; cursor !== null; pages += 1) {
    const next: FlagPage = await page(service, `?${query}${cursor && `&cursor=${cursor}`}`);
    wallets.push(...next.flags.map(({ wallet_id: walletId }) => walletId));
    cursor = next.next_cursor;
  }
  return { wallets, pages };
}

describe("GET /flags", () => {
  test("lists each flagged wallet once, in pages of any size, also when more come", async () => {
    const { service, settle } = await runService();
    const ids = Array.from({ length: 23 }, (_, i) => `ü/${"w".repeat(i % 5)}${i}`);
    for (const id of ids) await ask(service, "POST /deposit", depositBody(id, "10000.01"));
    await ask(service, "POST /deposit", depositBody("small", "1"));
    await settle();
    for (const limit of [1, 3, 23, 24, 1_000]) {
      const { wallets, pages } = await readAll(service, `limit=${limit}`);
      expect(wallets.toSorted()).toEqual(ids.toSorted());
      expect(pages).toBe(Math.ceil(23 / limit));
    }
    const first = await page(service, "?limit=10");
    for (const id of ["a", "b", "zzzzzzzzzzzz"]) await act(service, id, ADD);
    const rest = await readAll(service, "limit=10", first.next_cursor as string);
    const seen = [...first.flags.map(({ wallet_id: id }) => id), ...rest.wallets];
    expect(ids.filter((id) => seen.filter((each) => each === id).length !== 1)).toEqual([]);
  });

  test("filters by state and by the time of the last change", async () => {
    const { service, settle, timers } = await runService();
    const deposit = (id: string) => ask(service, "POST /deposit", depositBody(id, "10000.01"));
    const startMs = timers.nowMs;
    await deposit("early");
    timers.pass(60_000);
    await deposit("late");
    await deposit("cleared");
    await settle();
    timers.pass(60_000);
    expect((await act(service, "cleared", remove(1))).status).toBe(200);
    const at = (ms: number) => new Date(startMs + ms).toISOString();
    const expected: readonly (readonly [query: string, wallets: readonly string[]])[] = [
      ["", ["early", "late"]],
      ["?state=flagged", ["early", "late"]],
      ["?state=removed", ["cleared"]],
      ["?state=any", ["cleared", "early", "late"]],
      [`?from=${at(60_000)}`, ["late"]],
      [`?from=${startMs + 60_001}`, []],
      [`?to=${at(60_000)}`, ["early"]],
      [`?state=any&from=${at(60_000)}&to=${at(120_000)}`, ["late"]],
      [`?state=any&from=${at(120_000)}`, ["cleared"]],
    ];
    for (const [query, wallets] of expected) {
      const { flags } = await page(service, query);
      const found = flags.map(({ wallet_id: id }) => id).toSorted();
      expect([query, ...found]).toEqual([query, ...wallets]);
    }
    const { flags } = await page(service, "?state=removed");
    expect(flags[0]).toEqual<object>({
      wallet_id: "cleared",
      flagged: false,
      last_action: "remove",
      newest_event: 1,
      covered_event: 1,
      event_count: 1,
      changed_at_ms: startMs + 120_000,
      changed_at: at(120_000),
    });
  });

  test("looks at so many wallets for a page, and goes on where it stopped", async () => {
    const { app, service, settle } = await runService();
    const count = MAX_LOOKED_WALLETS + 5;
    const by = { kind: "add", actor: "ana", reason: "" } as const;
    const added = Array.from({ length: count }, (_, i) => ({
      key: `w${i}`,
      message: newAction({ ...by, atMs: i === count - 1 ? 2_000 : 1_000 }),
    }));
    await app.flagWallet.emitAll(added);
    await settle();
    const first = await page(service, "?limit=1000&from=3000");
    expect(first).toEqual({ flags: [], next_cursor: expect.any(String) });
    const last = await page(service, `?limit=1000&from=3000&cursor=${first.next_cursor}`);
    expect(last).toEqual({ flags: [], next_cursor: null });
    expect((await readAll(service, "from=1500")).wallets).toEqual([`w${count - 1}`]);
  });

  const bad: readonly (readonly [query: string, code: string, message: string])[] = [
    ["limit=0", "invalid_query", "limit must be a whole number from 1 to 1000"],
    ["limit=1e2", "invalid_query", "limit must be a whole number from 1 to 1000"],
    ["limit=1001", "invalid_query", "limit must be a whole number from 1 to 1000"],
    ["state=open", "invalid_query", "state must be flagged, removed or any"],
    ["from=yesterday", "invalid_query", "from must be a time like 2026-01-31T12:00:00Z"],
    ["to=2026-02-30T12:00:00Z", "invalid_query", "to must be a time like"],
    ["from=5&to=5", "invalid_query", "from must be before to"],
    ["sate=any", "invalid_query", "this route takes state, from, to, limit, cursor"],
    ["state=any&state=any", "invalid_query", "state must be given once"],
    ["cursor=", "invalid_cursor", "cursor must be next_cursor of the page before"],
    ["cursor=YQ%3D%3D", "invalid_cursor", "without one the list begins anew"],
    [`cursor=${Buffer.from("a\n").toString("base64url")}`, "invalid_cursor", "next_cursor"],
    ["cursor=_w", "invalid_cursor", "next_cursor"],
  ];
  test.each(bad)("refuses ?%s", async (query, code, message) => {
    const { service } = await runService({ processors: [] });
    const answer = await ask(service, `GET /flags?${query}`);
    expect([answer.status, (answer.json as { code: string }).code]).toEqual([422, code]);
    expect((answer.json as { error: string }).error).toContain(message);
  });
});

describe("GET /flags/{wallet_id}", () => {
  test("waits for a deposit's position, and has what `flags --json` has", async () => {
    const { app, service } = await runService();
    const { position } = (await ask(service, "POST /deposit", depositBody("a/b", "10000.01")))
      .json as { position: string };
    const answer = await within(ask(service, `GET /flags/a%2Fb?after=${position}`));
    expect(answer.json).toMatchObject({ flagged: true, newest_event: 1 });
    await act(service, "a/b", remove(1));
    const after = await ask(service, "GET /flags/a%2Fb");
    const { wallets } = app;
    const shown = wallets.evidenceJson("a/b", wallets.evidence("a/b"), app.decimals);
    expect(after.json).toEqual({ ...shown, next_before_episode: null });
    expect(shown.actions).toEqual([
      {
        action: 1,
        kind: "remove",
        actor: "ana",
        reason: "salary",
        seen_event: 1,
        at_ms: Date.UTC(2026, 0, 31, 12),
        at: "2026-01-31T12:00:00.000Z",
      },
    ]);
    expect(shown.episodes[0]?.opening).toMatchObject({ covered: true, covered_by_action: 1 });
  });

  test("of more episodes than a page has shows the newest, and the way to the others", async () => {
    const { service, timers, settle } = await runService();
    for (let i = 0; i < 103; i++) {
      await ask(service, "POST /deposit", depositBody("often", "10000.01"));
      timers.pass(120_000);
    }
    await settle();
    const numbers = async (query: string) => {
      const { episodes, next_before_episode: before } = (
        await ask(service, `GET /flags/often${query}`)
      ).json as { episodes: { episode: number }[]; next_before_episode: number | null };
      return [episodes[0]?.episode, episodes.at(-1)?.episode, before];
    };
    expect(await numbers("")).toEqual([4, 103, 4]);
    expect(await numbers("?before_episode=4")).toEqual([1, 3, null]);
    expect(await numbers("?before_episode=1")).toEqual([undefined, undefined, null]);
    expect(await numbers("?before_episode=999999999999999")).toEqual([4, 103, 4]);
  });

  test("says of a wallet without a flag that it has none, and of an unknown one that", async () => {
    const { service, settle } = await runService();
    await ask(service, "POST /deposit", depositBody("bob", "1"));
    await settle();
    const known = await ask(service, "GET /flags/bob");
    expect(known).toMatchObject({ status: 200, json: { flagged: false, episodes: [] } });
    const unknown = await ask(service, "GET /flags/nobody");
    expect(unknown).toMatchObject({
      status: 404,
      json: { error: 'nothing is known of the wallet "nobody"', code: "unknown_wallet" },
    });
    const bad = await ask(service, "GET /flags/bob?before_episode=0");
    expect(bad).toMatchObject({ status: 422, json: { code: "invalid_query" } });
    expect(await ask(service, "GET /flags/")).toMatchObject({ status: 422 });
  });
});

describe("POST /flags/{wallet_id}", () => {
  test("adds and removes, and answers when it can be read", async () => {
    const { service } = await runService();
    expect((await act(service, "erin", ADD)).json).toEqual({
      wallet_id: "erin",
      flagged: true,
      last_action: "add",
      newest_event: 0,
      covered_event: 0,
      event_count: 0,
    });
    expect((await ask(service, "GET /check/erin")).json).toMatchObject({ above_threshold: true });
    const removed = await act(service, "erin", remove(0));
    expect(removed.json).toMatchObject({ flagged: false, last_action: "remove", seen_event: 0 });
    expect((await ask(service, "GET /check/erin")).json).toMatchObject({ above_threshold: false });
    const { actor: _actor, ...nobody } = ADD;
    expect((await act(service, "erin", nobody)).json).toMatchObject({ code: "invalid_actor" });
  });

  test("is seen by the next check, also where its answer was kept a moment ago", async () => {
    const { app } = await runApp({ folder: newFolder() });
    // It hears of no change: only the action itself may bring the news.
    const { bounds, progress, owners } = app.log;
    const log = { bounds, progress, owners, problem: null, onChange: () => () => {} };
    const deaf = createService({ ...app, processorNames: {}, log }, ACCESS);
    const isAbove = async () => (await ask(deaf, "GET /check/erin")).json;
    for (let i = 0; i < 5; i++) {
      expect(await isAbove()).toMatchObject({ above_threshold: false });
      await act(deaf, "erin", ADD);
      expect(await isAbove()).toMatchObject({ above_threshold: true });
      await act(deaf, "erin", remove(0));
    }
  });

  test("a removal settles what was before, and holds for what was seen", async () => {
    const { service } = await runService();
    await ask(service, "POST /deposit", depositBody("carol", "10000.01"));
    expect((await act(service, "carol", remove(2))).json).toEqual({
      error:
        "seen_event 2 is beyond the newest event of carol, which is 1: a removal covers what was " +
        "seen; look with GET /flags/carol",
      code: "unknown_event",
    });
    await ask(service, "POST /deposit", depositBody("carol", "1"));
    const partly = await act(service, "carol", remove(1));
    expect(partly).toMatchObject({ status: 409, json: { code: "stays_flagged" } });
    expect((partly.json as { error: string }).error).toContain("event 2 is newer than what the");
    expect((await act(service, "carol", remove(2))).json).toMatchObject({ flagged: false });
    expect(await act(service, "carol", remove(2))).toMatchObject({
      status: 409,
      json: { error: "carol is not flagged: there is nothing to remove", code: "not_flagged" },
    });
    await ask(service, "POST /deposit", depositBody("carol", "1"));
    expect((await act(service, "carol", remove(3))).json).toMatchObject({ covered_event: 3 });
    const { json } = await ask(service, "GET /flags/carol");
    const seen = (json as { actions: { seen_event: number }[] }).actions;
    expect(seen.map(({ seen_event: event }) => event)).toEqual([1, 2, 3]);
  });

  const bad: readonly (readonly [body: string, code: string, message: string])[] = [
    ["", "invalid_body", "the body is empty: send"],
    ["[]", "invalid_body", "the body must be a JSON object like"],
    ["{", "invalid_body", "not valid JSON"],
    ["\xff", "invalid_body", "not valid JSON"],
    ["{}", "invalid_body", 'action must be "add" or "remove"'],
    ['{"action":"ad"}', "invalid_body", 'action must be "add" or "remove"'],
    ['{"action":"add","actor":""}', "invalid_actor", "actor must not be empty"],
    ['{"action":"add","actor":5}', "invalid_actor", "actor must be a string"],
    [`{"action":"add","actor":"${"é".repeat(65)}"}`, "invalid_actor", "actor has 130 UTF-8 bytes"],
    ['{"action":"add","actor":"a\\n"}', "invalid_actor", "control characters"],
    ['{"action":"add","actor":"a","actor":"b"}', "invalid_body", "must be given once"],
    ['{"action":"add","actor":"a","seen_event":1}', "invalid_body", 'the key "seen_event"'],
    ['{"action":"remove","actor":"a","seen_event":1}', "invalid_reason", "reason is missing"],
    [
      '{"action":"remove","actor":"a","reason":" ","seen_event":1}',
      "invalid_reason",
      "reason must not be empty: a removal says why",
    ],
    ['{"action":"remove","actor":"a","reason":"r"}', "invalid_body", "seen_event is missing"],
    [
      '{"action":"remove","actor":"a","reason":"r","seen_event":"1"}',
      "invalid_body",
      "a whole number from 0 on",
    ],
    [
      '{"action":"remove","actor":"a","reason":"r","seen_event":1.5}',
      "invalid_body",
      "a whole number from 0 on",
    ],
  ];
  test.each(bad)("refuses %s and writes nothing", async (body, code, message) => {
    const { app, service } = await runService({ processors: [] });
    const answer = await ask(service, "POST /flags/alice", { body });
    expect([answer.status, (answer.json as { code: string }).code]).toEqual([422, code]);
    expect((answer.json as { error: string }).error).toContain(message);
    expect(await app.ends()).toEqual([]);
  });

  test("says what is written when the processors are away: nothing, or an action", async () => {
    const { app, service, timers } = await runService({ processors: [] });
    using told = linesOfTheLog();
    await ask(service, "POST /deposit", depositBody("alice", "10000.01"));
    const waitInVain = async (body: object) => {
      const answer = act(service, "alice", body);
      await timers.whenWaiting(SETTLING_TIMEOUT_MS);
      timers.pass(SETTLING_TIMEOUT_MS);
      return answer;
    };
    const flagsEnd = async () => {
      const partition = app.wallets.partitionOf("alice");
      return (await app.log.bounds("flag_wallet", partition)).end;
    };
    const removed = await waitInVain(remove(1));
    expect(removed).toMatchObject({ status: 504, json: { code: "not_settled" } });
    expect((removed.json as { error: string }).error).toStartWith("nothing was written: ");
    expect(await flagsEnd()).toBe(0n);
    const added = await waitInVain(ADD);
    expect(added).toMatchObject({ status: 504, json: { code: "not_settled" } });
    expect((added.json as { error: string }).error).toMatch(
      /^the operator's record \d-0 is written and stands, but group flagger has not passed/,
    );
    expect(await flagsEnd()).toBe(1n);
    // Nobody gave it an id: the line and the answer have the same one.
    const id = added.headers.get("x-request-id") as string;
    expect(id).toHaveLength(36);
    const line = told.lines.find((each) => each.includes("flagged alice"));
    expect(line).toContain(`, request ${id})`);
  });

  test("says that nothing was written when the log does not take it", async () => {
    const { app } = await runService();
    const emit = () => Promise.reject(new LogError("unavailable", "the disk is full"));
    const flagWallet = { ...app.flagWallet, emit };
    const service = createService({ ...app, processorNames: {}, flagWallet }, ACCESS);
    expect(await act(service, "alice", ADD)).toMatchObject({
      status: 503,
      json: {
        error: "the disk is full; nothing was written: it can safely be sent again",
        code: "log_unavailable",
      },
    });
  });
});

test("while tables are loaded, no flag is told and none is changed", async () => {
  const { app } = await runService();
  const viewProblem = () => "flagger partition 1 is loaded";
  const service = createService({ ...app, processorNames: {}, viewProblem }, ACCESS);
  for (const line of ["GET /flags", "GET /flags/alice", "GET /wallets/alice"]) {
    expect(await ask(service, line)).toMatchObject({
      status: 503,
      json: { error: "flagger partition 1 is loaded", code: "log_unavailable" },
    });
  }
  expect(await act(service, "alice", ADD)).toMatchObject({ status: 503 });
  expect(await app.ends()).toEqual([]);
});
