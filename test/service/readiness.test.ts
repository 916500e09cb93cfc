import { afterEach, describe, expect, test } from "bun:test";
import { LogError } from "../../src/log/event-log.ts";
import type { Service } from "../../src/service/listening.ts";
import { UNFOLLOWED_GRACE_MS } from "../../src/service/readiness.ts";
import { createHealthService, createService } from "../../src/service/service.ts";
import type { GroupNotFollowed } from "../../src/stream/followers.ts";
import { linesOfTheLog } from "./log-lines.ts";
import { ask, depositBody } from "./requests.ts";
import { closeApps, type RunningApp, runApp, within } from "./running-app.ts";

afterEach(closeApps);

const access = { allowHosts: [] };
const nobody = { partitions_without_owner: [0, 1, 2, 3], partitions_standing_still: [] };

async function ready(service: Service) {
  return (await ask(service, "GET /readyz")).json as {
    groups_without_owner: string[];
    groups_standing_still: string[];
    groups: { group: string; lag: number; partitions_without_owner: number[] }[];
  };
}

describe("readiness", () => {
  test("does not need processors; it tells their lag and which groups have no owner", async () => {
    const { app } = await runApp({ processors: [] });
    const service = app.createService(access);
    for (let i = 0; i < 3; i++) await ask(service, "POST /deposit", depositBody(`w${i}`, "1"));
    const answer = await ask(service, "GET /readyz");
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      ready: true,
      log: { writable: true, problem: null },
      views_not_followed: [],
      groups_without_owner: ["balance", "threshold", "flagger"],
      groups_standing_still: [],
      groups: [
        { group: "balance", processor: "collector", lag: 3, ...nobody },
        { group: "threshold", processor: "detector", lag: 3, ...nobody },
        { group: "flagger", processor: "flagger", lag: 0, ...nobody },
      ],
    });
  });

  test("sees processors come and go", async () => {
    const running = await runApp({ processors: ["collector"] });
    const service = running.app.createService(access);
    await ask(service, "POST /deposit", depositBody("alice", "1"));
    const detector = running.app.startProcessors(["detector", "flagger"]);
    await running.settle();
    await within(
      until(running, async () => (await ready(service)).groups_without_owner.length === 0),
    );
    expect((await ready(service)).groups.map(({ lag }) => lag)).toEqual([0, 0, 0]);
    for (const each of detector) await each.stop();
    await within(
      until(running, async () => (await ready(service)).groups_without_owner.length === 2),
    );
    expect((await ready(service)).groups_without_owner).toEqual(["threshold", "flagger"]);
  });

  test("does not need progress; it names group and partition that stand still", async () => {
    const { app } = await runApp({ processors: [] });
    const owners = async () => [{ partition: 2, owner: "pid 1" }];
    const log = Object.create(app.log, { owners: { value: owners } }) as typeof app.log;
    let nowMs = 0;
    const monotonicMs = () => nowMs;
    const service = createService({ ...app, log, processorNames: {}, monotonicMs }, access);
    const walletId = ["a", "b", "c", "d", "e", "f", "g", "h"].find(
      (each) => app.wallets.partitionOf(each) === 2,
    );
    await ask(service, "POST /deposit", depositBody(walletId as string, "1"));
    expect((await ready(service)).groups_standing_still).toEqual([]);
    nowMs += 5_000;
    const answer = await ask(service, "GET /readyz");
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({
      ready: true,
      groups_standing_still: ["balance", "threshold"],
      groups: [
        { group: "balance", partitions_standing_still: [2] },
        { group: "threshold", partitions_standing_still: [2] },
        { group: "flagger", partitions_standing_still: [] },
      ],
    });
  });

  test("looks every 4 s while it is served, whether anybody asks or not", async () => {
    const { app, timers } = await runApp({ processors: [] });
    let looks = 0;
    const owners = async () => {
      looks += 1;
      return [];
    };
    const log = Object.create(app.log, { owners: { value: owners } }) as typeof app.log;
    const service = createHealthService({ ...app, log, processorNames: {} }, access);
    const server = service.listen({ host: "127.0.0.1", port: 0 });
    for (const expected of [3, 6]) {
      await timers.whenWaiting(4_000);
      expect(looks).toBe(expected);
      timers.pass(4_000);
    }
    await timers.whenWaiting(4_000);
    await server.stop();
    expect(timers.count(4_000)).toBe(0);
  });

  test("is lost while the log cannot be written, and says why", async () => {
    const { app } = await runApp({ processors: [] });
    const problem = "pid 123 has held the log's write lock for over 2 s: resume or end it";
    const log = Object.create(app.log, { problem: { value: problem } }) as typeof app.log;
    const service = createHealthService({ ...app, log, processorNames: {} }, access);
    const answer = await ask(service, "GET /readyz");
    expect(answer.status).toBe(503);
    expect(answer.headers.get("retry-after")).toBe("1");
    expect(answer.json).toMatchObject({
      error: problem,
      code: "log_unavailable",
      ready: false,
      log: { writable: false, problem },
    });
    expect((await ask(service, "GET /healthz")).json).toEqual({ status: "ok" });
  });

  test("is lost while the log cannot be asked, and tells what was known before", async () => {
    const { app } = await runApp({ processors: [] });
    let isAway = false;
    const owners = (group: string) => {
      if (isAway) throw new LogError("unavailable", "cannot ask who runs balance");
      return app.log.owners(group);
    };
    const log = Object.create(app.log, { owners: { value: owners } }) as typeof app.log;
    const service = createHealthService({ ...app, log, processorNames: {} }, access);
    const before = (await ask(service, "GET /readyz")).json as { groups: unknown };
    isAway = true;
    const answer = await ask(service, "GET /readyz");
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(answer.json).toMatchObject({
      ...{ error: "cannot ask who runs balance", code: "log_unavailable", ready: false },
      groups: before.groups,
    });
  });

  test("names views that are not followed, and is lost while that lasts", async () => {
    const { app } = await runApp({ processors: [] });
    let views: GroupNotFollowed[] = [];
    const parts = { ...app, processorNames: {}, viewsNotFollowed: () => views };
    const service = createHealthService(parts, access);
    const look = async () => {
      const { status, json } = await ask(service, "GET /readyz");
      return [status, json] as const;
    };
    const named = { group: "balance", partition: 2, reason: "damaged" };
    views = [{ ...named, forMs: UNFOLLOWED_GRACE_MS - 0.6 }];
    expect(await look()).toMatchObject([
      200,
      { ready: true, views_not_followed: [{ ...named, for_ms: UNFOLLOWED_GRACE_MS - 1 }] },
    ]);
    const other = { group: "flagger", partition: 0, reason: "away", forMs: 1 };
    views = [other, { ...named, forMs: UNFOLLOWED_GRACE_MS }];
    const error = "the view of balance is not followed (partition 2) since 30 s: damaged";
    expect(await look()).toMatchObject([
      503,
      {
        ...{ error, code: "log_unavailable", ready: false },
        log: { writable: true, problem: error },
        views_not_followed: [{ group: "flagger", for_ms: 1 }, named],
      },
    ]);
    views = [];
    expect(await look()).toMatchObject([200, { ready: true, views_not_followed: [] }]);
  });

  test("is told when it turns, not with every probe", async () => {
    using told = linesOfTheLog();
    const { app } = await runApp({ processors: [] });
    let viewProblem: string | null = "it is loaded";
    let problem: string | null = null;
    const log = Object.create(app.log, { problem: { get: () => problem } }) as typeof app.log;
    const parts = { ...app, log, processorNames: {}, viewProblem: () => viewProblem };
    const service = createHealthService(parts, access);
    const probe = async () => {
      for (let each = 0; each < 3; each += 1) await ask(service, "GET /readyz");
      return told.lines.splice(0);
    };
    expect(await probe()).toEqual(["info not ready yet: it is loaded"]);
    viewProblem = null;
    expect(await probe()).toEqual(["info ready"]);
    problem = "the disk is full";
    expect(await probe()).toEqual(["warning not ready: the disk is full"]);
    problem = "the disk is still full";
    expect(await probe()).toEqual([]);
    problem = null;
    expect(await probe()).toEqual(["info ready"]);
  });

  test("is told while it is served when nobody asks", async () => {
    using told = linesOfTheLog();
    const { app, timers } = await runApp({ processors: [] });
    let problem: string | null = null;
    const log = Object.create(app.log, { problem: { get: () => problem } }) as typeof app.log;
    const service = createHealthService({ ...app, log, processorNames: {} }, access);
    const server = service.listen({ host: "127.0.0.1", port: 0 });
    await timers.whenWaiting(4_000);
    problem = "the disk is full";
    timers.pass(4_000);
    await timers.whenWaiting(4_000);
    problem = null;
    timers.pass(4_000);
    await timers.whenWaiting(4_000);
    await server.stop();
    expect(told.lines).toEqual(["warning not ready: the disk is full", "info ready"]);
  });
});

describe("a service whose copies of the tables are loaded first", () => {
  test("tells nothing of a wallet before that, and takes deposits all the same", async () => {
    const { app } = await runApp();
    let viewProblem: string | null = "the view of balance is still being brought up to date";
    const parts = { ...app, processorNames: {}, viewProblem: () => viewProblem };
    const service = createService(parts, access);
    const deposited = await ask(service, "POST /deposit", depositBody("alice", "1"));
    expect(deposited.status).toBe(200);
    for (const path of ["/check/alice", "/api/check/alice", "/alice/feed"]) {
      const early = await ask(service, `GET ${path}`);
      expect([early.status, early.headers.get("retry-after")]).toEqual([503, "1"]);
      expect(early.json).toMatchObject({ error: viewProblem });
    }
    expect((await ask(service, "GET /readyz")).status).toBe(503);
    const { position } = deposited.json as { position: string };
    const settled = await ask(service, `GET /check/alice?after=${position}`);
    expect(settled.json).toMatchObject({ balance: 1 });
    viewProblem = null;
    expect((await ask(service, "GET /check/alice")).json).toMatchObject({ balance: 1 });
    viewProblem = "the view of balance is built anew";
    expect((await ask(service, "GET /check/alice")).status).toBe(503);
  });
});

describe("the health service", () => {
  test("has the two routes and nothing else", async () => {
    const { app } = await runApp({ processors: [] });
    const service = app.createHealthService(access);
    expect((await ask(service, "GET /healthz")).status).toBe(200);
    expect((await ask(service, "GET /readyz")).status).toBe(200);
    expect((await ask(service, "GET /check/alice")).status).toBe(404);
    expect((await ask(service, "GET /alice/feed")).status).toBe(404);
    expect((await ask(service, "POST /deposit", depositBody("alice", "1"))).status).toBe(404);
    const headers = { host: "evil.example" };
    expect((await ask(service, "GET /readyz", { headers })).status).toBe(403);
  });
});

async function until({ app }: RunningApp, isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) {
    await new Promise<void>((resolve) => {
      const stop = app.log.onChange(() => {
        stop();
        resolve();
      });
    });
  }
}
