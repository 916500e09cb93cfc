import { afterEach, describe, expect, test } from "bun:test";
import { createTester, type Tester, type TesterOptions } from "../../src/stream/tester.ts";
import { keyIn, memoryLog, numbers, parts, subKeyOf, sums, tallyGroup, totals } from "./tally.ts";
import { rejection } from "../rejection.ts";

const group = tallyGroup();
const key = keyIn(2);
let tester: Tester;
afterEach(() => tester.close());

async function start(options: Partial<TesterOptions> = {}): Promise<void> {
  tester = await createTester({ groups: [group], openLog: memoryLog(), ...options });
}

describe("the tester", () => {
  test("gives records the time that the test has set", async () => {
    await start({ startMs: 5_000 });
    await tester.send(numbers, { key, message: 1 });
    tester.nowMs = 9_000;
    await tester.send(numbers, { key, message: 2, id: "a" });
    expect(await tester.messages(numbers)).toEqual([
      { partition: 2, offset: 0n, key, message: 1, id: null, timestampMs: 5_000 },
      { partition: 2, offset: 1n, key, message: 2, id: "a", timestampMs: 9_000 },
    ]);
  });

  test("shows one row, all rows of a kind, and messages by partition", async () => {
    await start({ partitions: 2 });
    const [a, b] = [keyIn(0, 2), keyIn(1, 2)];
    const sent = [b, a, b].map((to, n) => ({ key: to, message: n + 1 }));
    await tester.send(numbers, ...sent);
    await tester.settle();
    expect(tester.row(group, b, sums)).toEqual({ total: 4, count: 2 });
    expect(tester.row(group, b, parts, subKeyOf(1n))).toBe(3);
    expect(tester.row(group, "nobody", sums)).toBeNull();
    expect(tester.rows(group, parts).map((row) => [row.key, row.value])).toEqual([
      [a, 2],
      [b, 1],
      [b, 3],
    ]);
    expect((await tester.messages(totals)).map((each) => [each.key, each.message.total])).toEqual([
      [a, 2],
      [b, 1],
      [b, 4],
    ]);
  });

  test("settles at once when nothing was sent, and again and again", async () => {
    await start();
    await tester.settle();
    await tester.send(numbers, { key, message: 1 });
    await tester.settle();
    await tester.settle();
    expect(tester.row(group, key, sums)?.total).toBe(1);
  });

  test("ends a wait by the test's signal, naming what it waited for", async () => {
    const gate = Promise.withResolvers<void>();
    await start({ openLog: memoryLog({ beforeCommit: () => gate.promise }) });
    await tester.send(numbers, { key, message: 1 });
    expect((await rejection(tester.settle(AbortSignal.timeout(1)))).message).toContain(
      "tally has not passed numbers 2-0",
    );
    gate.resolve();
    await tester.settle();
  });

  test("tells at once of a partition that stands still, before and while it waits", async () => {
    const failing = tallyGroup(() => {
      throw new Error("never");
    });
    await start({ groups: [failing] });
    await tester.send(numbers, { key, message: 1 });
    expect(await rejection(tester.settle())).toMatchObject({ code: "rule_failed" });
    expect(await rejection(tester.settle())).toMatchObject({ code: "rule_failed" });
    const beforeMs = performance.now();
    await tester.restart();
    expect((await rejection(tester.settle())).message).toContain("offset 0: never");
    expect(performance.now() - beforeMs).toBeLessThan(800); // sooner than the next heartbeat
  });

  test("loses its stores when told to, and only then", async () => {
    await start();
    await tester.send(numbers, { key, message: 1 });
    await tester.settle();
    await tester.restart();
    expect(tester.row(group, key, sums)?.total).toBe(1);
    await tester.restart({ losesStores: true });
    await tester.settle();
    expect(tester.row(group, key, sums)?.total).toBe(1);
    expect(await tester.messages(totals)).toHaveLength(1);
  });

  test("refuses a topology that contradicts itself before anything runs", async () => {
    await start();
    const openLog = memoryLog();
    const twice = createTester({ groups: [group, tallyGroup()], openLog });
    expect(await rejection(twice)).toMatchObject({ code: "bad_topology" });
  });
});
