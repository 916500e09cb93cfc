/**
 * Histories through the three real groups, to be verified: deposits in any order, repeats and
 * conflicts of ids, records of other clients that must be refused, operators' actions, changes of
 * the rule, restarts.
 *
 *   steps ──tester──> log and tables ──as they are, or with a hand in them──> verify
 */

import fc from "fast-check";
import { balanceGroup } from "../../../src/collector/collector.ts";
import { depositStream, newDeposit } from "../../../src/deposits/deposit.ts";
import { thresholdGroup } from "../../../src/detector/detector.ts";
import { ruleControl, versionMessage } from "../../../src/detector/rule-versions.ts";
import { flagWalletStream, newAction } from "../../../src/flagger/flag-wallet.ts";
import { flaggerGroup } from "../../../src/flagger/flagger.ts";
import { openEmbeddedLog } from "../../../src/log/embedded/embedded-log.ts";
import type { EventLog, Headers } from "../../../src/log/event-log.ts";
import type { TableState } from "../../../src/proof/verify/tables.ts";
import { verify, type VerifyResult } from "../../../src/proof/verify/verify.ts";
import { controlRecord } from "../../../src/stream/control.ts";
import { FOR_GROUP_HEADER } from "../../../src/stream/for-group.ts";
import { partitionOf } from "../../../src/stream/partitioner.ts";
import { createTester, type Tester } from "../../../src/stream/tester.ts";

export const PARTITIONS = 2;
export const BASE_MS = 1_790_000_000_000;
const WINDOW_MS = 120_000;
const WALLETS = ["ana", "ben", "eve", "zoë"];

/** Every difference is kept: a test looks for one of them. */
const ALL = 1_000_000;

const encoder = new TextEncoder();
const someWallet = fc.constantFrom(...WALLETS);

export type Step =
  | {
      readonly what: "deposit";
      readonly wallet: string;
      readonly timeMs: number;
      readonly amountMinor: bigint;
      readonly id: string | null;
    }
  | { readonly what: "action"; readonly wallet: string; readonly seen: number; readonly id: string }
  | { readonly what: "foreign"; readonly wallet: string; readonly how: Foreign }
  | {
      readonly what: "rule";
      readonly windowMs: number;
      readonly limitMinor: bigint;
      readonly how: RuleChange;
    }
  | { readonly what: "restart"; readonly losesStores: boolean };

/** The next version; or the number of the one before, one too far on, or no version at all. */
const RULE_CHANGES = ["next", "next", "next", "again", "too far", "garbage", "unknown"] as const;
type RuleChange = (typeof RULE_CHANGES)[number];

const FOREIGN = ["garbage", "nothing", "no key", "misplaced", "too early", "for one"] as const;
type Foreign = (typeof FOREIGN)[number];

/** Mostly deposits; few ids, so that they repeat, with one amount or another. */
const someStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      what: fc.constant("deposit" as const),
      wallet: someWallet,
      timeMs: fc.oneof(
        fc.integer({ min: BASE_MS, max: BASE_MS + 4 * WINDOW_MS }),
        fc.integer({ min: 0, max: 8 }).map((halves) => BASE_MS + halves * (WINDOW_MS / 2)),
      ),
      amountMinor: fc.oneof(
        { weight: 9, arbitrary: fc.bigInt({ min: 1n, max: 200_000n }) },
        { weight: 1, arbitrary: fc.constantFrom(1_000_000n, 1_000_001n, 2n ** 63n - 1n) },
      ),
      id: fc.option(fc.constantFrom("1", "2", "3", "ü4"), { freq: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant("action" as const),
      wallet: someWallet,
      seen: fc.integer({ min: 0, max: 30 }),
      id: fc.uuid(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant("foreign" as const),
      wallet: someWallet,
      how: fc.constantFrom(...FOREIGN),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      what: fc.constant("rule" as const),
      windowMs: fc.constantFrom(1_000, 60_000, 120_000, 180_000, 600_000, 86_400_000),
      limitMinor: fc.constantFrom(1n, 300_000n, 1_000_000n, 3_000_000n, 2n ** 63n - 1n),
      how: fc.constantFrom(...RULE_CHANGES),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constant("restart" as const), losesStores: fc.boolean() }),
  },
);

export const histories = fc.array(someStep, { minLength: 15, maxLength: 150, size: "max" });

/** A tester that has done the steps; close it. */
export async function played(
  steps: readonly Step[],
  { keepsChangelogs = false } = {},
): Promise<Tester> {
  const thresholds = thresholdGroup({ decimals: 2, maxBlockEntries: 3 });
  const tester = await createTester({
    groups: [balanceGroup, thresholds, flaggerGroup],
    openLog: (nowMs) =>
      openEmbeddedLog({ folder: ":memory:", create: true, keepsChangelogs, nowMs }),
    startMs: BASE_MS + 10 * WINDOW_MS,
    partitions: PARTITIONS,
  });
  for (const each of steps) await play(tester, each);
  await tester.settle();
  return tester;
}

async function play(tester: Tester, step: Step): Promise<void> {
  if (step.what === "restart") {
    await tester.settle();
    return tester.restart(step);
  }
  if (step.what === "rule") return playRule(tester, step);
  const { wallet: key } = step;
  if (step.what === "deposit") {
    const { amountMinor, timeMs, id } = step;
    const message = newDeposit({ amountMinor, acceptedAtMs: timeMs });
    await tester.send(depositStream, { key, id, message });
  } else if (step.what === "action") {
    const by = { actor: "ana", reason: "because", atMs: BASE_MS };
    const message =
      step.seen % 3 === 0
        ? newAction({ kind: "add", ...by })
        : newAction({ kind: "remove", ...by, seenOrdinal: step.seen });
    await tester.send(flagWalletStream, { key, id: step.id, message });
  } else await playForeign(tester, key, step.how);
}

/** Into every partition, as `rules set` writes it. */
async function playRule(tester: Tester, step: Step & { what: "rule" }): Promise<void> {
  const { windowMs, limitMinor, how } = step;
  const newest = newestVersions.get(tester) ?? 1;
  const number = { again: newest, "too far": newest + 2 }[how as string] ?? newest + 1;
  if (how === "next") newestVersions.set(tester, number);
  const said = { number, windowMs, limitMinor, actor: "ana", reason: how, atMs: BASE_MS };
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const place = { topic: "deposit", partition };
    const record = controlRecord(place, ruleControl, versionMessage(said));
    if (how === "garbage") await tester.sendRaw({ ...record, value: Buffer.from([1, 2, 3]) });
    else if (how === "unknown") {
      await tester.sendRaw({ ...record, headers: [["control", encoder.encode("other")]] });
    } else await tester.sendRaw(record);
  }
}

const newestVersions = new WeakMap<Tester, number>();

async function playForeign(tester: Tester, wallet: string, how: Foreign): Promise<void> {
  const key = encoder.encode(how === "no key" ? "" : wallet);
  const home = partitionOf(key, PARTITIONS);
  const atMs = BASE_MS + (how === "too early" ? 100 * WINDOW_MS : 0);
  const message = newDeposit({ amountMinor: 900_000n, acceptedAtMs: atMs });
  const good = depositStream.codec.encode(message);
  const value = how === "nothing" ? null : how === "garbage" ? Buffer.from([1, 2, 3]) : good;
  const headers: Headers =
    how === "for one" ? [[FOR_GROUP_HEADER, encoder.encode("threshold")]] : [];
  const partition = how === "misplaced" ? (home + 1) % PARTITIONS : home;
  await tester.sendRaw({ topic: "deposit", partition, key, value, headers });
}

/** What a hand has changed before the verification looks. */
export interface Hand {
  readonly log?: (log: EventLog) => Pick<EventLog, "read" | "bounds" | "progress">;
  readonly table?: (name: string, partition: number, table: TableState) => TableState | null;
  /** The real one unless told. */
  readonly monotonicMs?: () => number;
}

export function verified(tester: Tester, hand: Hand = {}): Promise<VerifyResult> {
  const log = hand.log?.(tester.log) ?? tester.log;
  const { keepsChangelogs } = tester.log;
  const openTable = (name: string, partition: number): TableState | null => {
    const state = tableOf(tester, name, partition);
    if (state === null || hand.table === undefined) return state;
    return hand.table(name, partition, state);
  };
  return verify({
    log: {
      read: (options) => log.read(options),
      bounds: (topic, partition) => log.bounds(topic, partition),
      progress: (group, partition) => log.progress(group, partition),
      keepsChangelogs,
    },
    ...(keepsChangelogs ? {} : { openTable }),
    partitions: PARTITIONS,
    decimals: 2,
    logProblems: () => [],
    limit: ALL,
    signal: new AbortController().signal,
    delay: () => Promise.resolve(),
    monotonicMs: hand.monotonicMs ?? (() => performance.now()),
  });
}

export function tableOf(tester: Tester, name: string, partition: number): TableState | null {
  const store = tester.stored({ name: name.replace(/-table$/, "") }, partition);
  if (store === null) return null;
  const all = { from: "", to: "\xff\xff\xff", isReverse: false, limit: -1 };
  return {
    progress: store.progress(),
    rows: () => store.range(all),
    problems: () => [],
    close: () => store.close(),
  };
}
