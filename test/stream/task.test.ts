import { afterEach, describe, expect, test } from "bun:test";
import { type Claim, LogError } from "../../src/log/event-log.ts";
import { StreamError } from "../../src/stream/stream-error.ts";
import { createTester, type Tester } from "../../src/stream/tester.ts";
import type { Faults } from "./faulty-log.ts";
import { folded, keyIn, memoryLog, numbers, shown, sums, tallyGroup } from "./tally.ts";

let tester: Tester;
afterEach(() => tester.close());

async function expectFolded(group = tallyGroup()): Promise<void> {
  expect(await shown(tester, group)).toEqual(folded(await tester.messages(numbers)));
}

async function failureOf(settling: Promise<void>): Promise<StreamError> {
  const error = await settling.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof StreamError)) throw new TypeError("no StreamError", { cause: error });
  return error;
}

/** Messages to one key each of two partitions. */
const [here, there] = [keyIn(1), keyIn(2)];
const to = (key: string, ...each: number[]) => each.map((message) => ({ key, message }));

describe("a rule that throws", () => {
  let isBroken: boolean;
  const group = tallyGroup((n, { key }) => {
    if (n === 13 && key === here && isBroken) throw new Error("thirteen");
  });
  async function start(faults: Faults = {}): Promise<void> {
    isBroken = true;
    tester = await createTester({ groups: [group], openLog: memoryLog(faults) });
  }

  test("stops its partition at that record, with all before it done; others go on", async () => {
    await start();
    await tester.send(numbers, ...to(here, 1, 2, 13, 4), ...to(there, 5, 13));
    const error = await failureOf(tester.settle());
    expect(error.code).toBe("rule_failed");
    expect(error.message).toContain("tally stopped at numbers partition 1 offset 2: thirteen");
    expect((error.cause as Error).message).toBe("thirteen");
    const row = (key: string) => tester.row(group, key, sums);
    expect(row(here)).toEqual({ total: 3, count: 2 });
    await eventually(() => row(there)?.total === 18);
    const seen = await shown(tester, group);
    expect(seen.parts).toEqual([`${here} 1`, `${here} 2`, `${there} 5`, `${there} 13`]);
    await tester.send(numbers, ...to(there, 6), ...to(here, 7));
    await tester.settle().catch(() => {});
    await eventually(() => row(there)?.total === 24);
    expect(row(here)).toEqual({ total: 3, count: 2 });
    expect(seen.totals).toHaveLength(4);
  });

  test("goes on at that record once it is mended: nothing lost, nothing twice", async () => {
    await start();
    await tester.send(numbers, ...to(here, 1, 2, 13, 4), ...to(there, 5, 13));
    await failureOf(tester.settle());
    await tester.restart();
    expect((await failureOf(tester.settle())).message).toContain("offset 2");
    isBroken = false;
    await tester.restart();
    await tester.settle();
    await expectFolded(group);
  });

  test("stops at the first record of all, and mended after a lost store", async () => {
    await start();
    await tester.send(numbers, ...to(here, 13, 1));
    expect((await failureOf(tester.settle())).message).toContain("partition 1 offset 0");
    expect(tester.row(group, here, sums)).toBeNull();
    isBroken = false;
    await tester.restart({ losesStores: true });
    await tester.settle();
    await expectFolded(group);
  });

  test("leaves no trace of the failing record in any row of the batch", async () => {
    await start();
    // Far more than one batch, so that rows wait to be flushed when it fails.
    await tester.send(numbers, ...to(here, ...upTo(5_000), 13, 1));
    expect((await failureOf(tester.settle())).message).toContain("offset 5000");
    const seen = await shown(tester, group);
    expect(seen).toEqual(folded((await tester.messages(numbers)).slice(0, 5_000)));
    isBroken = false;
    await tester.restart();
    await tester.settle();
    await expectFolded(group);
  });

  test("and throws earlier when it is run again, is not committed past that", async () => {
    const failAt = [3, 1];
    const fickle = tallyGroup((n) => {
      if (n !== failAt[0]) return;
      failAt.shift();
      throw new Error(`failed at ${n}`);
    });
    tester = await createTester({ groups: [fickle], openLog: memoryLog() });
    await tester.send(numbers, ...to(here, 0, 1, 2, 3, 4));
    expect((await failureOf(tester.settle())).message).toContain("offset 1: failed at 1");
    expect(tester.row(fickle, here, sums)).toEqual({ total: 0, count: 1 });
    await tester.restart();
    await tester.settle();
    await expectFolded(fickle);
  });

  test("while the claim is taken away commits nothing over rows that lag", async () => {
    let revocations = 0;
    await start({
      // Taken away while the rows before the failing record are brought back.
      onReplay: (claim) => {
        revocations += 1;
        if (revocations === 1) (claim as Claim & { revoke(): void }).revoke();
      },
    });
    await tester.send(numbers, ...to(here, ...upTo(5_000), 13, 1));
    expect((await failureOf(tester.settle())).message).toContain("offset 5000");
    expect(revocations).toBeGreaterThan(1);
    expect(await shown(tester, group)).toEqual(
      folded((await tester.messages(numbers)).slice(0, 5_000)),
    );
    isBroken = false;
    await tester.restart();
    await tester.settle();
    await expectFolded(group);
  });
});

describe("a commit", () => {
  const group = tallyGroup();
  const unknown = () => new LogError("outcome_unknown", "the answer was lost");

  async function run(faults: Faults): Promise<void> {
    tester = await createTester({ groups: [group], openLog: memoryLog(faults) });
    for (const n of upTo(6)) {
      await tester.send(numbers, ...to(here, n, n), ...to(there, n));
      if (n % 2 === 1) await tester.settle();
    }
    await tester.settle();
    await expectFolded(group);
  }

  /** Every second call throws. */
  function everySecond(error: () => LogError) {
    let calls = 0;
    const fault = () => {
      calls += 1;
      if (calls % 2 === 0) throw error();
    };
    return { fault, calls: () => calls };
  }

  test.each<[string, (fault: () => void) => Faults, () => LogError]>([
    [
      "refused for the moment is tried again",
      (beforeCommit) => ({ beforeCommit }),
      () => new LogError("unavailable", "not now"),
    ],
    [
      "whose outcome is unknown, not written, is done again",
      (beforeCommit) => ({ beforeCommit }),
      unknown,
    ],
    [
      "whose outcome is unknown, but written, is not done again",
      (afterCommit) => ({ afterCommit }),
      unknown,
    ],
    [
      "of an owner that was fenced is left to the next",
      (beforeCommit) => ({ beforeCommit }),
      () => new LogError("fenced", "another has it"),
    ],
    [
      "that was written while the owner lost its claim is not done again",
      (afterCommit) => ({ afterCommit }),
      () => new LogError("fenced", "another has it"),
    ],
  ])("%s", async (_, faultsOf, error) => {
    const { fault, calls } = everySecond(error);
    await run(faultsOf(fault));
    expect(calls()).toBeGreaterThan(3);
  });

  test("refused for the moment is tried again by the same owner", async () => {
    const epochs = new Set<number>();
    const { fault, calls } = everySecond(() => new LogError("unavailable", "not now"));
    await run({
      beforeCommit: (claim) => {
        if (claim.partition === 1) epochs.add(claim.epoch);
        fault();
      },
    });
    expect([epochs.size, calls() > 10]).toEqual([1, true]);
  });

  test("of a partition does not wait for another's that is refused", async () => {
    const isOpen = Promise.withResolvers<void>();
    const openLog = memoryLog({
      beforeCommit: (claim) => (claim.partition === 1 ? isOpen.promise : undefined),
    });
    tester = await createTester({ groups: [group], openLog });
    await tester.send(numbers, ...to(here, 1), ...to(there, 2));
    await eventually(() => tester.row(group, there, sums)?.total === 2);
    expect(tester.row(group, here, sums)).toBeNull();
    isOpen.resolve();
    await tester.settle();
    await expectFolded(group);
  });

  test("names the place behind the last record of each input, and that record", async () => {
    const seen: unknown[] = [];
    const openLog = memoryLog({
      beforeCommit: (_, { inputs, outputs, changelog }) => {
        seen.push({ inputs, outputs: outputs.length, changelog: changelog.length });
      },
    });
    tester = await createTester({ groups: [group], openLog });
    await tester.send(numbers, ...to(here, 1, 2, 3));
    await tester.settle();
    const records = await Array.fromAsync(
      tester.log.read({ topic: "numbers", partition: 1, from: 2n, until: 3n }),
    );
    const checksum = records[0]?.[0]?.checksum as number;
    const inputs = [{ topic: "numbers", nextOffset: 3n, checksum }];
    expect(seen).toEqual([{ inputs, outputs: 3, changelog: 0 }]);
  });
});

describe("rows of a task that is behind", () => {
  const group = tallyGroup();

  // A first page is 64 records, a batch 2,048: the last batch is a full one, and nothing follows.
  test.each([64, 64 + 2_048, 64 + 3 * 2_048, 64 + 4 * 2_048, 64 + 5 * 2_048])(
    "are seen when it has done all of %d records, however they fall into batches",
    async (count) => {
      tester = await createTester({ groups: [group], openLog: memoryLog() });
      await tester.send(numbers, ...to(here, ...upTo(count)));
      await tester.settle();
      await expectFolded(group);
    },
  );

  test("are written at a clean stop", async () => {
    let commits = 0;
    const stopped = Promise.withResolvers<void>();
    const openLog = memoryLog({
      afterCommit: async () => {
        commits += 1;
        // Stop it in the middle of the backlog, where rows wait to be written.
        if (commits === 3) stopped.resolve(tester.restart());
        if (commits === 3) await new Promise((resolve) => setImmediate(resolve));
      },
      onReplay: () => {
        throw new Error("what was committed was not in the store");
      },
    });
    tester = await createTester({ groups: [group], openLog });
    await tester.send(numbers, ...to(here, ...upTo(9_000)));
    await stopped.promise;
    await tester.settle();
    expect(commits).toBeGreaterThan(4);
    await expectFolded(group);
  });

  test("are brought back after a crash from the records that are missing alone", async () => {
    let replayed = 0;
    let commits = 0;
    const openLog = memoryLog({
      afterCommit: () => {
        commits += 1;
        if (commits === 4) throw new LogError("outcome_unknown", "lost");
      },
      onReplay: (_, records) => {
        replayed += records.length;
      },
    });
    tester = await createTester({ groups: [group], openLog });
    await tester.send(numbers, ...to(here, ...upTo(9_000)));
    await tester.settle();
    // The first page of 64 and 3 batches were committed, and waited to be written.
    expect(replayed).toBe(64 + 3 * 2_048);
    await expectFolded(group);
  });
});

describe("a task with much to do", () => {
  /** Turns of the event loop so far, as each record saw it. */
  let seen: number[];
  const group = tallyGroup(() => seen.push(turns));
  let turns = 0;

  /** The most records between two turns. */
  function longestRun(): number {
    const counts = new Map<number, number>();
    for (const turn of seen) counts.set(turn, (counts.get(turn) ?? 0) + 1);
    return Math.max(...counts.values());
  }

  test("lets the event loop run every 64 records, also when it rebuilds a store", async () => {
    seen = [];
    let isOver = false;
    const turn = () => {
      turns += 1;
      if (!isOver) setImmediate(turn);
    };
    setImmediate(turn);
    tester = await createTester({ groups: [group], openLog: memoryLog() });
    await tester.send(numbers, ...to(here, ...upTo(64 + 2_048)));
    await tester.settle();
    expect(seen).toHaveLength(64 + 2_048);
    expect(longestRun()).toBe(64);
    seen = [];
    await tester.restart({ losesStores: true });
    await tester.settle();
    isOver = true;
    expect(seen).toHaveLength(64 + 2_048);
    expect(longestRun()).toBe(64);
    await expectFolded(group);
  });
});

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n + 100);

async function eventually(isSo: () => boolean): Promise<void> {
  const endMs = performance.now() + 5_000;
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error("it did not come true");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
