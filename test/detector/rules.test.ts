import { afterEach, describe, expect, test } from "bun:test";
import { depositStream, newDeposit } from "../../src/deposits/deposit.ts";
import { thresholdGroup } from "../../src/detector/detector.ts";
import type { RuleError, RuleRequest } from "../../src/detector/rule-setting.ts";
import { ruleControl, versionMessage } from "../../src/detector/rule-versions.ts";
import { type Rules, rulesOf } from "../../src/detector/rules.ts";
import { flagWalletStream } from "../../src/flagger/flag-wallet.ts";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import { controlRecord } from "../../src/stream/control.ts";
import { createTester, type Tester } from "../../src/stream/tester.ts";
import { rejection } from "../rejection.ts";

/** Setting the rule on a log of eight partitions, with operators that come between each other. */

const PARTITIONS = 8;
const START_MS = 1_790_000_000_000;
const group = thresholdGroup({ decimals: 2 });

let tester: Tester;
afterEach(() => tester.close());

async function begin(): Promise<void> {
  told = [];
  tester = await createTester({
    groups: [group],
    openLog: (nowMs) => openEmbeddedLog({ folder: ":memory:", create: true, nowMs }),
    startMs: START_MS,
    partitions: PARTITIONS,
  });
}

/** As an operator's command has them; `append` may come to nothing, or be waited for. */
function rules(append: typeof tester.log.append = (records) => tester.log.append(records)): Rules {
  const { log } = tester;
  return rulesOf({
    log: {
      append,
      read: (options) => log.read(options),
      bounds: (topic, partition) => log.bounds(topic, partition),
    },
    view: tester.view(group),
    raiseFormat: async () => {},
    group,
    partitions: PARTITIONS,
    decimals: 2,
  });
}

const settle = () => tester.settle();
/** What whoever asks was told of at once: who set which version, and which was completed. */
let told: string[] = [];
const request = (change: Partial<RuleRequest> = {}): RuleRequest => ({
  ...{ windowMs: 300_000, limitMinor: 800_000n, actor: "ann", reason: "case 17", atMs: START_MS },
  onCompleted: (version) => told.push(`completed ${version}`),
  onDecided: ({ version, set }) => told.push(`${set?.actor} set ${version}`),
  ...change,
});

/** As if killed: nothing that comes after the first so many appends is written. */
function killedAfter(appends: number, partitionsOfNext: number): Rules {
  let done = 0;
  return rules(async (records) => {
    done += 1;
    if (done <= appends) return tester.log.append(records);
    await tester.log.append(records.slice(0, partitionsOfNext));
    throw new Error("killed");
  });
}

async function controlRecords(): Promise<number> {
  let count = 0;
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const { start: from, end: until } = await tester.log.bounds("deposit", partition);
    for await (const records of tester.log.read({ topic: "deposit", partition, from, until })) {
      count += records.filter(({ key }) => key.length === 0).length;
    }
  }
  return count;
}

describe("setting the rule", () => {
  test("makes a version that every partition has, with who, why and when", async () => {
    await begin();
    const [first] = rules().standing();
    expect(first).toMatchObject({ version: 1, windowMs: 120_000, limitMinor: 1_000_000n });
    expect(await rules().set(request(), settle)).toMatchObject({ outcome: "set", completed: null });
    expect(rules().standing()[1]).toEqual({
      ...{ version: 2, windowMs: 300_000, limitMinor: 800_000n, isComplete: true },
      set: { actor: "ann", reason: "case 17", atMs: START_MS },
      offsets: Array.from({ length: PARTITIONS }, () => 0n),
      differsIn: [],
    });
    const next = await rules().set(request({ windowMs: null, limitMinor: 5n }), settle);
    expect(next.standing).toMatchObject({ version: 3, windowMs: 300_000, limitMinor: 5n });
    expect(await tester.deadLetters(group)).toEqual([]);
  });

  test("to what it is changes nothing", async () => {
    await begin();
    const same = request({ windowMs: 120_000, limitMinor: null });
    expect(await rules().set(same, settle)).toMatchObject({ outcome: "unchanged" });
    expect(await controlRecords()).toBe(0);
    expect(told).toEqual([]);
  });

  test.each([0, 1, 4, 6])("that was killed after %p of 7 others is completed", async (others) => {
    await begin();
    expect((await rejection(killedAfter(1, others).set(request(), settle))).message).toContain(
      "killed",
    );
    expect(told).toEqual(["ann set 2"]);
    await settle();
    const standing = rules().standing();
    expect(standing[1]).toMatchObject({ version: 2, isComplete: false });
    // The same again: it is completed, with what was said then, and not set once more.
    const again = await rules().set(request({ reason: "case 18", atMs: START_MS + 1 }), settle);
    expect(again).toMatchObject({ outcome: "unchanged", completed: 2 });
    expect(told).toEqual(["ann set 2", "completed 2"]);
    expect(rules().standing().map(({ version }) => version)).toEqual([1, 2]);
    expect(rules().standing()[1]).toMatchObject({ isComplete: true, set: { reason: "case 17" } });
    expect(await controlRecords()).toBe(PARTITIONS);
  });

  test("that was killed is completed alone, or before another version", async () => {
    await begin();
    expect((await rejection(killedAfter(1, 3).set(request(), settle))).message).toContain("killed");
    await settle();
    expect(await rules().complete(settle)).toBe(2);
    expect(await rules().complete(settle)).toBeNull();
    await rejection(killedAfter(1, 3).set(request({ limitMinor: 7n }), settle));
    await settle();
    // Completed, and then killed itself before anything of it was written.
    await rejection(killedAfter(1, 0).set(request({ limitMinor: 9n }), settle));
    expect(told).toEqual(["ann set 2", "ann set 3", "completed 3"]);
    await rejection(killedAfter(1, 3).set(request({ limitMinor: 9n }), settle));
    await settle();
    const next = await rules().set(request({ limitMinor: 8n }), settle);
    expect(next).toMatchObject({ outcome: "set", completed: 4, standing: { version: 5 } });
    expect(told.slice(3)).toEqual(["ann set 4", "completed 4", "ann set 5"]);
    expect(rules().standing().every(({ isComplete }) => isComplete)).toBe(true);
    expect(await tester.deadLetters(group)).toEqual([]);
  });

  test("by two at once: one wins everywhere, the other is told", async () => {
    await begin();
    // Both have looked before either writes.
    const bothLooked = Promise.withResolvers<void>();
    let waiting = 0;
    const meeting = rules(async (records) => {
      if ((waiting += 1) === 2) bothLooked.resolve();
      await bothLooked.promise;
      return tester.log.append(records);
    });
    const two = [request(), request({ actor: "bob", limitMinor: 700_000n })];
    const outcomes = await Promise.allSettled(two.map((each) => meeting.set(each, settle)));
    const won = outcomes.findIndex(({ status }) => status === "fulfilled");
    const lost = outcomes[1 - won];
    if (lost?.status !== "rejected") throw new Error("both won");
    expect(lost.reason).toMatchObject({ name: "RuleError", code: "set_meanwhile" });
    expect((lost.reason as RuleError).message).toContain(`by ${(two[won] as RuleRequest).actor}`);
    const [, ...later] = rules().standing();
    const { limitMinor } = two[won] as RuleRequest;
    expect(later).toMatchObject([{ version: 2, isComplete: true, limitMinor }]);
    expect(told).toEqual([`${(two[won] as RuleRequest).actor} set 2`]);
    expect(await controlRecords()).toBe(PARTITIONS + 1);
    expect(await tester.deadLetters(group)).toEqual([]);
  });

  test("is told as what it was, also where another was set before it was done", async () => {
    await begin();
    const bob = request({ actor: "bob", limitMinor: 700_000n });
    let appends = 0;
    const overtaken = rules(async (records) => {
      const offsets = await tester.log.append(records);
      // The version is decided, and about to be written to the other partitions.
      if ((appends += 1) === 2) await rules().set(bob, settle);
      return offsets;
    });
    const { standing, outcome } = await overtaken.set(request(), settle);
    expect([outcome, standing]).toMatchObject(["set", { version: 2, set: { actor: "ann" } }]);
    expect(rules().standing()[2]).toMatchObject({ version: 3, set: { actor: "bob" } });
  });

  test.each([
    [{ windowMs: 999 }, "invalid_rule"],
    [{ windowMs: 86_400_001 }, "invalid_rule"],
    [{ limitMinor: 0n }, "invalid_rule"],
    [{ limitMinor: 2n ** 63n }, "invalid_rule"],
    [{ actor: "" }, "invalid_actor"],
    [{ reason: "" }, "invalid_reason"],
    [{ reason: "a\u0007" }, "invalid_reason"],
  ])("refuses %p, and writes nothing", async (change, code) => {
    await begin();
    const refused = rules().set(request(change), settle);
    expect(await rejection(refused)).toMatchObject({ name: "RuleError", code });
    expect(await controlRecords()).toBe(0);
  });
});

test("deposits are judged by the version before them, and their events name it", async () => {
  await begin();
  const deposit = (amountMinor: bigint, ms: number) =>
    tester.send(depositStream, {
      key: "alice",
      message: newDeposit({ amountMinor, acceptedAtMs: START_MS - 1_000_000 + ms }),
    });
  await deposit(600_000n, 0);
  await deposit(300_000n, 200_000); // over the limit that is set next, and not judged again
  await tester.settle();
  await rules().set(request(), settle);
  await deposit(1n, 250_000);
  await deposit(1n, 100_000); // late
  await tester.settle();
  await rules().set(request({ windowMs: 120_000, limitMinor: 1_000_000n }), settle);
  await deposit(1n, 260_000);
  await tester.settle();
  const events = (await tester.messages(flagWalletStream)).map(({ message }) => message.kind.value);
  expect(events).toMatchObject([
    { ruleVersion: 2, limitMinor: "800000", totalMinor: "900001", isLate: false, episode: 1n },
    { ruleVersion: 2, limitMinor: "800000", totalMinor: "900001", isLate: true, episode: 1n },
  ]);
});

describe("a version's record", () => {
  const said = { number: 2, windowMs: 60_000, limitMinor: 1n, actor: "x", reason: "y", atMs: 0 };

  test.each([
    ["of a number too far on", { number: 3 }, "version 3 without version 2 before it"],
    ["of number 1", { number: 1 }, "version 1: those that are set are 2 and more"],
    ["of a window that cannot be", { windowMs: 1 }, "a window of 1 ms"],
    ["without a reason", { reason: "" }, "reason must not be empty"],
    ["by nobody", { actor: "" }, "actor must not be empty"],
    ["at no time", { atMs: -1 }, "at_ms -1 is not a time"],
  ])("%s is a dead letter", async (_, change, detail) => {
    await begin();
    const message = versionMessage({ ...said, ...change });
    await tester.sendRaw(controlRecord({ topic: "deposit", partition: 3 }, ruleControl, message));
    await tester.settle();
    const [letter] = await tester.deadLetters(group);
    expect(letter).toMatchObject({ reason: "invalid_record", partition: 3 });
    expect(letter?.detail).toContain(detail);
  });

  test("of another rule is a dead letter", async () => {
    await begin();
    const message = { ...versionMessage(said), ruleId: "another" };
    await tester.sendRaw(controlRecord({ topic: "deposit", partition: 3 }, ruleControl, message));
    await tester.settle();
    expect(await tester.deadLetters(group)).toMatchObject([{ detail: expect.any(String) }]);
  });

  test("that says something else in one partition alone is told of, and set right", async () => {
    await begin();
    const foreign = versionMessage({ ...said, actor: "mallory" });
    await tester.sendRaw(controlRecord({ topic: "deposit", partition: 5 }, ruleControl, foreign));
    await tester.settle();
    await rules().set(request(), settle);
    expect(rules().standing()[1]).toMatchObject({ isComplete: false, differsIn: [5] });
    const again = await rules().set(request(), settle);
    expect(again).toMatchObject({ outcome: "set", standing: { version: 3, isComplete: true } });
  });
});
