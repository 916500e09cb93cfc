import { afterEach, describe, expect, test } from "bun:test";
import { balanceRow } from "../../src/collector/balance-row.ts";
import { DECISION_TIMEOUT_MS } from "../../src/deposits/decisions.ts";
import { MAX_AHEAD_MS } from "../../src/deposits/deposit.ts";
import { DepositError } from "../../src/deposits/deposit-error.ts";
import {
  createSubmissions,
  MAX_UNDECIDED_DEPOSITS,
  type Submissions,
} from "../../src/deposits/submission.ts";
import { LogError } from "../../src/log/event-log.ts";
import {
  closeApps,
  newFolder,
  type RunningApp,
  runApp,
  Timers,
  within,
} from "../service/running-app.ts";
import { rejection } from "../rejection.ts";

afterEach(closeApps);

async function errorOf(promise: Promise<unknown>): Promise<DepositError> {
  const error = await rejection(within(promise));
  expect(error).toBeInstanceOf(DepositError);
  return error as DepositError;
}

function deposit(walletId: string, amountMinor: bigint, key: string | null = null) {
  return { walletId, amountMinor, key };
}

type Emit = RunningApp["app"]["deposits"]["emit"];

/** Of changes in the log nothing is told. */
function withEmitter({ app, timers }: RunningApp, emit: Emit): Submissions {
  return createSubmissions({
    deposits: { ...app.deposits, emit },
    counted: app.views.balance,
    onChange: () => () => {},
    nowMs: () => timers.nowMs,
    delay: timers.delay,
  });
}

function balanceOf({ app }: Pick<RunningApp, "app">, walletId: string) {
  const row = app.views.balance.get(walletId, balanceRow);
  return row === null ? null : { totalMinor: row.totalMinor, count: row.count };
}

describe("a deposit without a key", () => {
  test("is answered when it is durable, whoever processes it", async () => {
    const running = await runApp({ processors: [] });
    const { submissions, deposits } = running.app;
    const partition = deposits.partitionOf("alice");
    const answers = [
      await submissions.submit(deposit("alice", 100n)),
      await submissions.submit(deposit("alice", 100n)),
    ];
    expect(answers).toEqual([
      { position: { partition, offset: 0n }, isRepeat: false },
      { position: { partition, offset: 1n }, isRepeat: false },
    ]);
    expect(await running.appended()).toBe(2);
  });

  test("carries the time at which it was accepted, or the one that was given", async () => {
    const running = await runApp();
    const { submissions } = running.app;
    const { nowMs } = running.timers;
    await submissions.submit(deposit("alice", 1n));
    await submissions.submit({ ...deposit("alice", 2n), acceptedAtMs: 1_000 });
    await running.settle();
    const row = running.app.views.balance.get("alice", balanceRow);
    expect(row?.last.map(({ acceptedAtMs }) => acceptedAtMs)).toEqual([nowMs, 1_000]);
  });
});

describe("a key", () => {
  test("gives the first answer again and appends nothing", async () => {
    const running = await runApp();
    const { submissions } = running.app;
    const first = await within(submissions.submit(deposit("alice", 100n, "k")));
    const again = await within(submissions.submit(deposit("alice", 100n, "k")));
    expect(first.isRepeat).toBe(false);
    expect(again).toEqual({ position: first.position, isRepeat: true });
    expect(await running.appended()).toBe(1);
    expect(balanceOf(running, "alice")).toEqual({ totalMinor: 100n, count: 1 });
  });

  test("lets a repeat wait with the one under way", async () => {
    const running = await runApp({ processors: [] });
    const { app, timers } = running;
    const both = [
      app.submissions.submit(deposit("alice", 100n, "k")),
      app.submissions.submit(deposit("alice", 100n, "k")),
    ];
    await timers.whenWaiting(DECISION_TIMEOUT_MS);
    expect(await running.appended()).toBe(1);
    const [collector] = app.startProcessors(["collector"]);
    const [first, second] = await within(Promise.all(both));
    expect(second).toEqual({ position: first?.position as never, isRepeat: true });
    await collector?.stop();
  });

  test("with another amount while the first is under way conflicts with it", async () => {
    const running = await runApp({ processors: [] });
    const { app, timers } = running;
    const first = app.submissions.submit(deposit("alice", 100n, "k"));
    await timers.whenWaiting(DECISION_TIMEOUT_MS, 1);
    const second = errorOf(app.submissions.submit(deposit("alice", 101n, "k")));
    await timers.whenWaiting(DECISION_TIMEOUT_MS, 2);
    expect(await running.appended()).toBe(2);
    const [collector] = app.startProcessors(["collector"]);
    expect((await within(first)).position.offset).toBe(0n);
    expect((await second).code).toBe("id_conflict");
    expect(balanceOf(running, "alice")).toEqual({ totalMinor: 100n, count: 1 });
    await collector?.stop();
  });

  test("known with another amount conflicts; its record stays and is never counted", async () => {
    const running = await runApp();
    const { submissions, deposits, log } = running.app;
    await within(submissions.submit(deposit("alice", 100n, "k")));
    const { code, message } = await errorOf(submissions.submit(deposit("alice", 200n, "k")));
    const partition = deposits.partitionOf("alice");
    expect(code).toBe("id_conflict");
    expect(message).toContain(`${partition}-0`);
    expect(message).toContain(`${partition}-1`);
    expect(await running.appended()).toBe(2);
    await running.settle();
    expect(balanceOf(running, "alice")).toEqual({ totalMinor: 100n, count: 1 });
    expect((await log.bounds("balance-dead-letters", partition)).end).toBe(1n);
  });

  test("belongs to its wallet", async () => {
    const running = await runApp();
    const { submissions } = running.app;
    await within(submissions.submit(deposit("alice", 100n, "k")));
    await within(submissions.submit(deposit("bob", 200n, "k")));
    expect(balanceOf(running, "alice")).toEqual({ totalMinor: 100n, count: 1 });
    expect(balanceOf(running, "bob")).toEqual({ totalMinor: 200n, count: 1 });
  });

  test("of two wallets at once does not make them wait for each other", async () => {
    const { app, timers } = await runApp({ processors: [] });
    const both = ["alice", "bob"].map((each) => app.submissions.submit(deposit(each, 5n, "k")));
    await timers.whenWaiting(DECISION_TIMEOUT_MS, 2);
    const [collector] = app.startProcessors(["collector"]);
    const answers = await within(Promise.all(both));
    expect(answers.map(({ isRepeat }) => isRepeat)).toEqual([false, false]);
    expect(balanceOf({ app }, "bob")).toEqual({ totalMinor: 5n, count: 1 });
    await collector?.stop();
  });

  test("that was decided before its record was known to be durable is answered", async () => {
    const running = await runApp();
    const submissions = withEmitter(running, async (emission) => {
      const position = await running.app.deposits.emit(emission);
      await running.settle();
      return position;
    });
    const { isRepeat } = await within(submissions.submit(deposit("alice", 5n, "k")));
    expect(isRepeat).toBe(false);
  });

  test("is undecided while the collector is away, and is decided once when it comes", async () => {
    const running = await runApp({ processors: [] });
    const { app, timers } = running;
    const first = errorOf(app.submissions.submit(deposit("alice", 100n, "k")));
    await timers.whenWaiting(DECISION_TIMEOUT_MS);
    timers.pass(DECISION_TIMEOUT_MS);
    expect((await first).code).toBe("undecided");
    const again = app.submissions.submit(deposit("alice", 100n, "k"));
    await timers.whenWaiting(DECISION_TIMEOUT_MS);
    expect(await running.appended()).toBe(2);
    const [collector] = app.startProcessors(["collector"]);
    const { position, isRepeat } = await within(again);
    expect({ offset: position.offset, isRepeat }).toEqual({ offset: 0n, isRepeat: true });
    expect(balanceOf(running, "alice")).toEqual({ totalMinor: 100n, count: 1 });
    await collector?.stop();
  });

  test("stays undecided for no longer than the wait", async () => {
    const { app, timers } = await runApp({ processors: [] });
    const first = errorOf(app.submissions.submit(deposit("alice", 100n, "k")));
    await timers.whenWaiting(DECISION_TIMEOUT_MS);
    timers.pass(DECISION_TIMEOUT_MS - 1);
    expect(timers.count(DECISION_TIMEOUT_MS)).toBe(1);
    timers.pass(1);
    expect((await first).message).toContain("send it again");
  });

  test("is known after a restart, with or without a collector", async () => {
    const folder = newFolder();
    const before = await runApp({ folder });
    const first = await within(before.app.submissions.submit(deposit("alice", 100n, "k")));
    await before.close();
    const after = await runApp({ folder, processors: [] });
    const again = await within(after.app.submissions.submit(deposit("alice", 100n, "k")));
    expect(again).toEqual({ position: first.position, isRepeat: true });
    expect(await after.appended()).toBe(1);
    const other = errorOf(after.app.submissions.submit(deposit("alice", 101n, "k")));
    expect((await other).code).toBe("id_conflict");
  });

  test("counts once through two servers at once", async () => {
    const folder = newFolder();
    const one = await runApp({ folder });
    const two = await runApp({ folder, processors: [] });
    const [first, second] = await within(
      Promise.all([one, two].map(({ app }) => app.submissions.submit(deposit("alice", 5n, "k")))),
    );
    expect(second?.position).toEqual(first?.position as never);
    expect([first?.isRepeat, second?.isRepeat].sort()).toEqual([false, true]);
    expect(balanceOf(one, "alice")).toEqual({ totalMinor: 5n, count: 1 });
  });

  test("that waits is answered at once when the server stops", async () => {
    const { app, timers } = await runApp({ processors: [] });
    const first = errorOf(app.submissions.submit(deposit("alice", 100n, "k")));
    await timers.whenWaiting(DECISION_TIMEOUT_MS);
    app.submissions.abandon();
    expect((await first).code).toBe("undecided");
    expect(timers.count(DECISION_TIMEOUT_MS)).toBe(0);
  });
});

describe("what is refused", () => {
  const longest = "é".repeat(64);
  const refused = [
    ["an empty wallet id", { walletId: "" }, "invalid_wallet_id"],
    ["a wallet id over 128 bytes", { walletId: `${longest}x` }, "invalid_wallet_id"],
    ["a wallet id with a lone surrogate", { walletId: "a\ud800" }, "invalid_wallet_id"],
    ["a wallet id with a control character", { walletId: "a\u0000b" }, "invalid_wallet_id"],
    ["an amount of 0", { amountMinor: 0n }, "invalid_amount"],
    ["an amount beyond 64 bits", { amountMinor: 2n ** 63n }, "invalid_amount"],
    ["an empty key", { key: "" }, "invalid_key"],
    ["a key with a line break", { key: "a\nb" }, "invalid_key"],
    ["a key over 256 bytes", { key: "k".repeat(257) }, "invalid_key"],
    ["a time that is no integer", { acceptedAtMs: 0.5 }, "invalid_time"],
  ] as const;
  test.each(refused)("%s leaves nothing", async (_what, part, code) => {
    const running = await runApp({ processors: [] });
    const request = { ...deposit("alice", 100n), ...part };
    expect((await errorOf(running.app.submissions.submit(request))).code).toBe(code);
    expect(await running.appended()).toBe(0);
  });

  test("a time more than 5 minutes ahead of the clock, and no earlier one", async () => {
    const running = await runApp({ processors: [] });
    const { submissions } = running.app;
    const latest = running.timers.nowMs + MAX_AHEAD_MS;
    await submissions.submit({ ...deposit(longest, 1n), acceptedAtMs: latest });
    const late = submissions.submit({ ...deposit(longest, 1n), acceptedAtMs: latest + 1 });
    expect((await errorOf(late)).code).toBe("invalid_time");
    expect(await running.appended()).toBe(1);
  });
});

describe("what is remembered", () => {
  test("is bounded: one more than the limit is refused", async () => {
    const submissions = withEmitter(await runApp({ processors: [] }), () => new Promise(() => {}));
    for (let i = 0; i < MAX_UNDECIDED_DEPOSITS; i++) {
      void submissions.submit(deposit("alice", 1n, `k${i}`));
    }
    expect((await errorOf(submissions.submit(deposit("alice", 1n, "one more")))).code).toBe("busy");
  });

  test("goes with a failed append: a later try is made anew", async () => {
    let tries = 0;
    const submissions = withEmitter(await runApp({ processors: [] }), () => {
      tries += 1;
      return Promise.reject(new LogError("unavailable", "the disk is full"));
    });
    for (let i = 1; i <= 3; i++) {
      const attempt = submissions.submit(deposit("alice", 1n, "k"));
      expect((await rejection(attempt)).message).toContain("the disk is full");
      expect(tries).toBe(i);
    }
  });
});

test("a clock that steps back while a deposit is taken has none refused", async () => {
  const timers = new Timers();
  let readMs = timers.nowMs;
  // Each reading is ten minutes before the one before: the door's, then the record's.
  Object.defineProperty(timers, "nowMs", { get: () => (readMs -= 2 * MAX_AHEAD_MS) });
  const { app, settle } = await runApp({ timers });
  await app.submissions.submit(deposit("alice", 5n));
  await app.submissions.submit(deposit("alice", 7n, "k1"));
  await settle();
  expect(app.views.balance.get("alice", balanceRow)).toMatchObject({ totalMinor: 12n });
});
