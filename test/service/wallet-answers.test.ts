import { afterEach, describe, expect, test } from "bun:test";
import { createService } from "../../src/service/service.ts";
import { WalletAnswers } from "../../src/service/wallet-answers.ts";
import { ask, depositBody } from "./requests.ts";
import {
  closeApps,
  newFolder,
  type RunningApp,
  runApp,
  runService,
  within,
} from "./running-app.ts";

afterEach(closeApps);

const onDisk = () => runService({ folder: newFolder() });

/** Counts what is read of rows. */
function counted(app: RunningApp["app"]) {
  let reads = 0;
  const countReads = <V extends object>(view: V): V =>
    new Proxy(view, {
      get: (target, name) => {
        if (name === "get") reads += 1;
        const value = Reflect.get(target, name, target) as unknown;
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  const views = { balance: countReads(app.views.balance), flagger: countReads(app.views.flagger) };
  return { views, reads: () => reads };
}

describe("an answer", () => {
  test("is kept while the stores stand still", async () => {
    const { app, service, settle } = await onDisk();
    await ask(service, "POST /deposit", depositBody("alice", "1"));
    await settle();
    const { views, reads } = counted(app);
    const answers = new WalletAnswers({ ...app, views });
    const first = answers.of("alice");
    expect(reads()).toBe(2);
    expect(first).toBe('{"wallet_id":"alice","balance":1,"above_threshold":false}');
    for (let i = 0; i < 100; i++) expect(answers.of("alice")).toBe(first);
    expect(reads()).toBe(2);
    answers.of("bob");
    expect(reads()).toBe(4);
  });

  test("is read anew after a deposit with a key, even if the log tells of no change", async () => {
    const { app } = await onDisk();
    const { bounds, progress, owners } = app.log;
    const log = { problem: null, bounds, progress, owners, onChange: () => () => {} };
    const service = createService({ ...app, processorNames: {}, log }, { allowHosts: [] });
    for (let i = 1; i <= 20; i++) {
      const headers = { "idempotency-key": `k${i}` };
      await within(ask(service, "POST /deposit", { ...depositBody("alice", "1"), headers }));
      expect((await ask(service, "GET /check/alice")).json).toMatchObject({ balance: i });
    }
  });

  test("is read anew once an operator has flagged the wallet", async () => {
    const { app, service, settle } = await onDisk();
    await ask(service, "POST /deposit", depositBody("alice", "1"));
    await settle();
    const answers = new WalletAnswers(app);
    expect(answers.of("alice")).toContain('"above_threshold":false');
    const action = { kind: "add", actor: "ann", reason: "", seenOrdinal: 0, atMs: app.nowMs() };
    await app.wallets.act({ ...action, kind: "add", walletId: "alice", id: "a1" });
    await settle();
    answers.lookAgain(app.deposits.partitionOf("alice"));
    expect(answers.of("alice")).toContain('"above_threshold":true');
  });

  test("is read anew once a deposit has flagged the wallet", async () => {
    const { app, service, settle } = await onDisk();
    await ask(service, "POST /deposit", depositBody("alice", "10000"));
    await settle();
    const answers = new WalletAnswers(app);
    const partition = app.deposits.partitionOf("alice");
    expect(answers.of("alice")).toContain('"above_threshold":false');
    await ask(service, "POST /deposit", depositBody("alice", "0.01"));
    await settle();
    answers.lookAgain(partition);
    expect(answers.of("alice")).toBe(
      '{"wallet_id":"alice","balance":10000.01,"above_threshold":true}',
    );
  });

  test("of another process's deposit comes within a moment, without a position", async () => {
    const folder = newFolder();
    const { service, settle } = await runService({ folder });
    const { service: reader } = await runService({ folder, processors: [] });
    for (let i = 1; i <= 5; i++) {
      await ask(reader, "GET /check/alice");
      await ask(service, "POST /deposit", depositBody("alice", "1"));
      await settle();
      const seen = (async () => {
        for (;;) {
          const { json } = await ask(reader, "GET /check/alice");
          if ((json as { balance: number }).balance === i) return;
          await new Promise((resolve) => setImmediate(resolve));
        }
      })();
      await within(seen);
    }
  });

  test("is never kept in memory, where a change can't be told", async () => {
    const running = await runApp();
    await running.app.submissions.submit({ walletId: "alice", amountMinor: 1n, key: null });
    await running.settle();
    const { views, reads } = counted(running.app);
    const answers = new WalletAnswers({ ...running.app, views });
    for (let i = 1; i <= 3; i++) {
      answers.of("alice");
      expect(reads()).toBe(2 * i);
    }
  });
});
