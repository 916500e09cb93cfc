import { afterEach, describe, expect, test } from "bun:test";
import type { Service } from "../../src/service/listening.ts";
import { createService } from "../../src/service/service.ts";
import { MAX_WAITING_READS, SETTLING_TIMEOUT_MS } from "../../src/service/settled-reads.ts";
import { ask, depositBody } from "./requests.ts";
import { closeApps, type RunningApp, runService, within } from "./running-app.ts";

afterEach(closeApps);

async function deposit(service: Service, walletId: string, amount: string): Promise<string> {
  const { json } = await ask(service, "POST /deposit", depositBody(walletId, amount));
  return (json as { position: string }).position;
}

describe("a check after a position", () => {
  test("shows the deposit's balance and verdict", async () => {
    const { service } = await runService();
    for (let i = 1; i <= 20; i++) {
      const position = await deposit(service, "alice", "1000");
      const answer = await within(ask(service, `GET /check/alice?after=${position}`));
      expect(answer.json).toEqual({
        wallet_id: "alice",
        balance: i * 1_000,
        above_threshold: i > 10,
      });
    }
  });

  test("waits for detector and flagger, not just the balance", async () => {
    const { app, service, timers } = await runService({ processors: [] });
    const position = await deposit(service, "alice", "10000.01");
    let isAnswered = false;
    const answer = ask(service, `GET /alice/feed?after=${position}`).finally(() => {
      isAnswered = true;
    });
    const [partition, offset] = position.split("-").map(Number) as [number, number];
    const passed = (group: string) =>
      app.progressOf(group, partition)?.inputs.some((each) => Number(each.nextOffset) > offset);
    const steps = [
      ["collector", () => passed("balance")],
      ["detector", () => passed("threshold")],
    ] as const;
    const running = [];
    for (const [name, hasPassed] of steps) {
      running.push(...app.startProcessors([name]));
      await within(changes(app, hasPassed));
      expect(isAnswered).toBe(false);
    }
    running.push(...app.startProcessors(["flagger"]));
    expect((await within(answer)).json).toMatchObject({ balance: 10000.01, above_threshold: true });
    expect(timers.count(SETTLING_TIMEOUT_MS)).toBe(0);
    for (const each of running) await each.stop();
  });

  test("where flags are hidden waits for the balance alone, also over the limit", async () => {
    const { app, service, timers } = await runService({ processors: ["collector", "detector"] });
    const hiding = app.createService({ allowHosts: [], hidesFlags: true });
    for (const [amount, balance] of [["1", "1"], ["10000.01", "10001.01"]] as const) {
      const position = await deposit(hiding, "alice", amount);
      for (const path of ["/check/alice", "/alice/feed", "/wallets/alice"]) {
        const { status, text } = await within(ask(hiding, `GET ${path}?after=${position}`));
        expect([path, status]).toEqual([path, 200]);
        expect(text).toContain(balance);
      }
    }
    // Whoever is shown flags waits for them: operators there, and customers elsewhere.
    const after = `after=${await deposit(service, "alice", "1")}`;
    const waiting = [
      ask(hiding, `GET /flags/alice?${after}`),
      ask(service, `GET /check/alice?${after}`),
    ];
    await timers.whenWaiting(SETTLING_TIMEOUT_MS, 2);
    timers.pass(SETTLING_TIMEOUT_MS);
    for (const { status } of await within(Promise.all(waiting))) expect(status).toBe(504);
  });

  test("gives up after 5 s and names the group that is waited for", async () => {
    const { app, service, timers } = await runService({ processors: ["collector", "flagger"] });
    const position = await deposit(service, "alice", "1");
    const partition = app.deposits.partitionOf("alice");
    await within(changes(app, () => app.progressOf("balance", partition) !== null));
    const answer = ask(service, `GET /api/check/alice?after=${position}`);
    await timers.whenWaiting(SETTLING_TIMEOUT_MS);
    timers.pass(SETTLING_TIMEOUT_MS);
    const { status, json } = await within(answer);
    expect(status).toBe(504);
    expect(json).toMatchObject({ code: 504, error: expect.stringContaining("threshold") as never });
  });

  test("beyond the end is not settled either", async () => {
    const { app, service, timers } = await runService();
    const partition = app.deposits.partitionOf("alice");
    for (const offset of ["0", "9007199254740993"]) {
      const answer = ask(service, `GET /check/alice?after=${partition}-${offset}`);
      await timers.whenWaiting(SETTLING_TIMEOUT_MS);
      timers.pass(SETTLING_TIMEOUT_MS);
      expect((await within(answer)).json).toMatchObject({ code: "not_settled" });
    }
  });

  test("is refused when too many wait, until one of them has gone", async () => {
    const { app, timers } = await runService({ processors: [] });
    const service = app.createService({ allowHosts: [] });
    const position = await deposit(service, "alice", "1");
    const line = `GET /check/alice?after=${position}`;
    const waiting = Array.from({ length: MAX_WAITING_READS }, () => ask(service, line));
    await timers.whenWaiting(SETTLING_TIMEOUT_MS, MAX_WAITING_READS);
    const refused = await within(ask(service, line));
    expect(refused).toMatchObject({ status: 503, json: { code: "busy" } });
    expect(refused.headers.get("retry-after")).toBe("1");
    timers.pass(SETTLING_TIMEOUT_MS);
    for (const each of await within(Promise.all(waiting))) expect(each.status).toBe(504);
    const again = ask(service, line);
    await timers.whenWaiting(SETTLING_TIMEOUT_MS);
    timers.pass(SETTLING_TIMEOUT_MS);
    expect((await within(again)).status).toBe(504);
  });

  test("ends with its client", async () => {
    const { service, timers } = await runService({ processors: [] });
    const position = await deposit(service, "alice", "1");
    const client = new AbortController();
    const request = new Request(`http://localhost/check/alice?after=${position}`, {
      headers: { host: "localhost" },
      signal: client.signal,
    });
    const answer = service.fetch(request) as Promise<Response>;
    await timers.whenWaiting(SETTLING_TIMEOUT_MS);
    client.abort();
    expect((await within(answer)).status).toBe(504);
    expect(timers.count(SETTLING_TIMEOUT_MS)).toBe(0);
  });

  test("of a wallet whose answer was kept a moment ago is as new as any", async () => {
    const { app, service } = await runService();
    // A log that never tells of changes: only the position may bring the news.
    const deaf = createService(
      { ...app, processorNames: {}, log: quiet(app.log) },
      { allowHosts: [] },
    );
    for (let i = 1; i <= 5; i++) {
      await ask(deaf, "GET /check/alice");
      const position = await deposit(service, "alice", "1");
      const answer = await within(ask(deaf, `GET /check/alice?after=${position}`));
      expect(answer.json).toMatchObject({ balance: i });
    }
  });
});

function quiet(log: RunningApp["app"]["log"]) {
  return {
    bounds: log.bounds.bind(log),
    progress: log.progress.bind(log),
    owners: log.owners.bind(log),
    problem: null,
    onChange: () => () => {},
  };
}

async function changes(app: RunningApp["app"], isDone: () => boolean | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    const stop = app.log.onChange(() => look());
    const look = () => {
      if (isDone() !== true) return;
      stop();
      resolve();
    };
    look();
  });
}

