import { expect, test } from "bun:test";
import fc from "fast-check";
import { depositStream, newDeposit } from "../../src/deposits/deposit.ts";
import { backtest, type BacktestResult } from "../../src/detector/backtest.ts";
import { thresholdGroup } from "../../src/detector/detector.ts";
import { ruleControl, versionMessage } from "../../src/detector/rule-versions.ts";
import { flagWalletStream } from "../../src/flagger/flag-wallet.ts";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import { controlRecord } from "../../src/stream/control.ts";
import { FOR_GROUP_HEADER } from "../../src/stream/for-group.ts";
import { partitionOf } from "../../src/stream/partitioner.ts";
import { createTester, type Tester } from "../../src/stream/tester.ts";

/** A backtest against detectors that ran the same deposits with one rule from the start. */

const PARTITIONS = 2;
const START_MS = 1_790_000_000_000;
const CHANGED = { windowMs: 300_000, limitMinor: 800_000n };
const CURRENT = { windowMs: 60_000, limitMinor: 900_000n };
const group = thresholdGroup({ decimals: 2 });
const WALLETS = ["ana", "ben", "eve", "fox", "gil", "zoë"];

const deposits = fc.array(
  fc.record({
    wallet: fc.constantFrom(...WALLETS),
    ms: fc.oneof(fc.integer({ min: 0, max: 600_000 }), fc.constantFrom(0, 60_000, 300_000)),
    amountMinor: fc.bigInt({ min: 1n, max: 400_000n }),
    id: fc.option(fc.constantFrom("1", "2", "3"), { freq: 2 }),
    isForeign: fc.boolean(),
  }),
  { minLength: 10, maxLength: 60, size: "max" },
);
type Sent = typeof deposits extends fc.Arbitrary<(infer T)[]> ? T : never;

/** Sets the rule first. */
async function played(
  sent: readonly Sent[],
  rule: { readonly windowMs: number; readonly limitMinor: bigint },
): Promise<Tester> {
  const tester = await createTester({
    groups: [group],
    openLog: (nowMs) => openEmbeddedLog({ folder: ":memory:", create: true, nowMs }),
    startMs: START_MS + 3_600_000,
    partitions: PARTITIONS,
  });
  const said = { number: 2, ...rule, actor: "ana", reason: "why", atMs: START_MS };
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const place = { topic: "deposit", partition };
    await tester.sendRaw(controlRecord(place, ruleControl, versionMessage(said)));
  }
  for (const { wallet: key, ms, amountMinor, id, isForeign } of sent) {
    const message = newDeposit({ amountMinor, acceptedAtMs: START_MS + ms });
    await tester.send(depositStream, { key, id, message });
    if (isForeign) await sendForeign(tester, key, depositStream.codec.encode(message));
  }
  await tester.settle();
  return tester;
}

/** Such as no detector takes. */
async function sendForeign(tester: Tester, wallet: string, value: Uint8Array): Promise<void> {
  const key = Buffer.from(wallet);
  const partition = partitionOf(key, PARTITIONS);
  const place = { topic: "deposit", partition, key };
  await tester.sendRaw({ ...place, partition: 1 - partition, value });
  await tester.sendRaw({ ...place, value: Buffer.from([1, 2, 3]) });
  const headers = [[FOR_GROUP_HEADER, Buffer.from("balance")] as const];
  await tester.sendRaw({ ...place, value, headers });
  const early = newDeposit({ amountMinor: 1_000_000n, acceptedAtMs: START_MS + 9e9 });
  await tester.sendRaw({ ...place, value: depositStream.codec.encode(early) });
}

function tested(
  tester: Tester,
  options: { maxHeldDeposits?: number; fromMs?: number; toMs?: number } = {},
): Promise<BacktestResult> {
  const { maxHeldDeposits, fromMs = null, toMs = null } = options;
  return backtest(
    {
      ...{ ...CHANGED, fromMs, toMs },
      ...{ signal: new AbortController().signal, onProgress: () => {} },
    },
    {
      ...{ log: tester.log, group, partitions: PARTITIONS, decimals: 2 },
      ...(maxHeldDeposits === undefined ? {} : { maxHeldDeposits }),
    },
  );
}

async function flaggedIn(tester: Tester): Promise<string[]> {
  const events = await tester.messages(flagWalletStream);
  return [...new Set(events.map(({ key }) => key))].sort();
}

const NUM_RUNS = 60;

test("flags whom a detector flags that ran the changed rule from the start", async () => {
  await fc.assert(
    fc.asyncProperty(deposits, fc.constantFrom(undefined, 7), async (sent, maxHeldDeposits) => {
      await using runs = new AsyncDisposableStack();
      const [current, changed] = [await played(sent, CURRENT), await played(sent, CHANGED)];
      for (const each of [current, changed]) runs.defer(() => each.close());
      const held = maxHeldDeposits === undefined ? {} : { maxHeldDeposits };
      const result = await tested(current, held);
      expect(result.current).toEqual({ version: 2, ...CURRENT });
      const flaggedBy = (rule: "current" | "changed") =>
        result.flagged.flatMap((each) => (each[rule] === null ? [] : [each.walletId])).sort();
      expect(flaggedBy("current")).toEqual(await flaggedIn(current));
      expect(flaggedBy("changed")).toEqual(await flaggedIn(changed));
      for (const { walletId, changed: window } of result.flagged) {
        if (window === null) continue;
        expect([window]).toEqual(firstOf(sent, walletId));
      }
    }),
    { numRuns: NUM_RUNS },
  );
}, 60_000);

/** The first window, by brute force over what counts of a wallet: the first of each id. */
function firstOf(sent: readonly Sent[], walletId: string) {
  const ids = new Set<string>();
  const counted = sent.filter(({ wallet, id }) => {
    if (wallet !== walletId || (id !== null && ids.has(id))) return false;
    if (id !== null) ids.add(id);
    return true;
  });
  const windows = counted.map(({ ms }) => {
    const inside = counted.filter((each) => each.ms <= ms && each.ms > ms - CHANGED.windowMs);
    const totalMinor = inside.reduce((sum, { amountMinor }) => sum + amountMinor, 0n);
    const [startMs, endMs] = [START_MS + ms - CHANGED.windowMs, START_MS + ms];
    return { startMs, endMs, totalMinor, count: inside.length };
  });
  const over = windows.filter(({ totalMinor }) => totalMinor > CHANGED.limitMinor);
  return over.sort((a, b) => a.endMs - b.endMs).slice(0, 1);
}

test("takes deposits of the given times alone, the end excluded", async () => {
  const at = (ms: number): Sent => {
    return { wallet: "ana", ms, amountMinor: 500_000n, id: null, isForeign: false };
  };
  const tester = await played([at(0), at(1_000), at(2_000)], CURRENT);
  await using runs = new AsyncDisposableStack();
  runs.defer(() => tester.close());
  const bounded = (fromMs: number, toMs: number) =>
    tested(tester, { fromMs: START_MS + fromMs, toMs: START_MS + toMs });
  const window = { endMs: START_MS + 2_000, totalMinor: 1_000_000n, count: 2 };
  expect((await bounded(1, 2_001)).flagged).toMatchObject([{ changed: window, current: window }]);
  expect((await bounded(1, 2_000)).flagged).toEqual([]);
  expect(await bounded(0, 1)).toMatchObject({ deposits: 1, wallets: 1, records: 5 });
});

/** As arguments of one call they would be more than the stack holds. */
const MANY_WALLETS = 1_000_000;

test("flags a million wallets of one share", async () => {
  // What a deposit says costs nothing to read here: this is about how many there are.
  const message = newDeposit({ amountMinor: CURRENT.limitMinor + 1n, acceptedAtMs: START_MS });
  const codec = { ...depositStream.codec, decode: () => message };
  const stream = { ...depositStream, codec, validate: () => null };
  const cheap = { ...group, inputs: [{ stream, callback: () => {} }] };
  const place = { topic: "deposit", partition: 0, timestampMs: START_MS, headers: [] };
  const content = { value: new Uint8Array(), checksum: 0 };
  async function* read() {
    for (let first = 0; first < MANY_WALLETS; first += 10_000) {
      yield Array.from({ length: 10_000 }, (_, index) => {
        const key = Buffer.from(String(first + index));
        return { ...place, offset: BigInt(first + index), key, ...content };
      });
    }
  }
  const log = { read, bounds: async () => ({ start: 0n, end: BigInt(MANY_WALLETS) }) };
  const signal = new AbortController().signal;
  const result = await backtest(
    { ...CURRENT, fromMs: null, toMs: null, signal, onProgress: () => {} },
    { log, group: cheap, partitions: 1, decimals: 2 },
  );
  expect(result.flagged).toHaveLength(MANY_WALLETS);
}, 60_000);
