/**
 * A history of wallets in a data folder, as it comes about in service: deposits with ids, repeats
 * and conflicts, late ones, records that nobody can read or that stand in a foreign partition, and
 * operators who flag, remove flags, set the rule and deal with dead letters between them.
 *
 *   rounds of deposits ──settled──> operators' actions ──> ... ──> what each wallet answers
 */

import { type App, openApp, type ProcessorName } from "../../src/app.ts";
import { depositStream, newDeposit } from "../../src/deposits/deposit.ts";
import { flagWalletStream, newAction } from "../../src/flagger/flag-wallet.ts";
import { readAll } from "../conformance/fixture.ts";

export const PARTITIONS = 4;
export const WALLETS = Array.from({ length: 24 }, (_, number) => `wallet-${number}`);
const PROCESSORS: readonly ProcessorName[] = ["collector", "detector", "flagger"];
const START_MS = Date.UTC(2026, 0, 31, 12);
const ROUNDS = 6;
const OVER_LIMIT = 1_000_001n;

type Letter = Parameters<App["deadLetters"]["mark"]>[0];
type AppOptions = Parameters<typeof openApp>[0];

export async function delay(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => resolve());
  if (signal.aborted) resolve();
  await promise;
  clearTimeout(timer);
}

/** Opens the app, runs all processors, settles, and closes it all. */
export async function withRunningApp<T>(
  options: Omit<AppOptions, "nowMs" | "delay">,
  action: (app: App, settle: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const app = await openApp({ ...options, nowMs: Date.now, delay });
  const processors = app.startProcessors(PROCESSORS);
  const standIn = app.standIn({
    signal: new AbortController().signal,
    monotonicMs: () => performance.now(),
    onWait: () => {},
  });
  try {
    return await action(app, async () => standIn.settle(await app.ends()));
  } finally {
    await standIn.leave();
    await Promise.all(processors.map((processor) => processor.stop()));
    await app.close();
  }
}

/** What every wallet answers: balance, flag and all evidence, as the commands print it. */
export function answers(app: App): Record<string, unknown> {
  return Object.fromEntries(
    WALLETS.map((walletId) => [
      walletId,
      { balance: app.wallets.balance(walletId), ...app.wallets.evidence(walletId) },
    ]),
  );
}

/** Every dead letter and what was done about it, without the offsets that change in a move. */
export async function letters(app: App): Promise<readonly string[]> {
  const found: string[] = [];
  for (const { name } of app.topology.groups) {
    for await (const letter of app.deadLetters.list(name)) {
      const { topic, partition, offset, reason, record } = letter;
      const marks = await Promise.all(
        letter.marks.map(async ({ as, ...mark }) => ({
          ...mark,
          as: as && (await contentAt(app, { topic, ...as })),
        })),
      );
      const at = topic === "deposit" ? Number(offset) : null;
      const refused = await contentAt(app, letter);
      if (record === null) throw new Error("every record here is small");
      found.push(JSON.stringify({ group: name, topic, partition, at, reason, refused, marks }));
    }
  }
  return found.toSorted();
}

async function contentAt(
  { log }: App,
  { topic, partition, offset }: Pick<Letter, "topic" | "partition" | "offset">,
): Promise<string> {
  const records = await readAll(log, topic, partition);
  const record = records.find((each) => each.offset === offset);
  if (record === undefined) throw new Error(`nothing stands at ${topic} ${partition}-${offset}`);
  const id = record.headers.find(([name]) => name === "id")?.[1] ?? [];
  return [record.key, record.value ?? [], id].map((each) => Buffer.from(each).toString()).join("|");
}

/** All are replayed that can be, the others dropped; those of one partition are left open. */
async function handleLetters(app: App, group: string, random: () => number): Promise<void> {
  const { deadLetters } = app;
  const operator = { actor: "bob", reason: `a letter of ${group}` };
  for await (const letter of deadLetters.list(group)) {
    if (letter.marks.length > 0 || letter.record === null) continue;
    if (letter.partition === PARTITIONS - 1) continue;
    // An id that is free must be kept: a new one is for conflicts alone.
    const newId = letter.reason === "id_conflict" && random() < 0.5;
    const plan = deadLetters.plan({ ...letter, record: letter.record }, { newId });
    if (plan.kind === "append") await deadLetters.replay(letter, plan, operator);
    else await deadLetters.mark(letter, operator, plan.kind === "counted" ? plan.position : null);
  }
}

/** A deposit and an operator's flag, each in a partition where its wallet does not belong. */
function misplaced(app: App, round: number) {
  const walletId = WALLETS[round] as string;
  const partition = (app.wallets.partitionOf(walletId) + 1) % PARTITIONS;
  const place = { partition, key: Buffer.from(walletId) };
  const own = { actor: "eve", reason: `astray ${round}`, atMs: START_MS + round };
  const flag = flagWalletStream.codec.encode(newAction({ kind: "add", ...own }));
  const id = [["id", Buffer.from(`astray ${round}`)]] as const;
  const deposit = newDeposit({ amountMinor: 900_000n, acceptedAtMs: START_MS + round });
  return [
    { ...place, topic: "flag_wallet", value: flag, headers: id },
    { ...place, topic: "deposit", value: depositStream.codec.encode(deposit) },
  ];
}

/** Settled. `random` gives numbers from 0 to below 1. */
export async function writeHistory(folder: string, random: () => number): Promise<void> {
  await withRunningApp({ folder, create: true, partitions: PARTITIONS }, async (app, settle) => {
    for (let round = 0; round < ROUNDS; round++) {
      await app.deposits.emitAll(roundOfDeposits(round, random));
      await app.log.append([unreadable("deposit", round), unreadable("flag_wallet", round)]);
      await app.log.append(misplaced(app, round));
      await settle();
      for (const walletId of WALLETS) {
        if (random() < 0.4) await operate(app, walletId, { round, random });
      }
      for (const { name } of app.topology.groups) await handleLetters(app, name, random);
      if (round === 2) await app.rules.set(changedRule(), settle);
    }
    await settle();
    await removedAndFlaggedAgain(app, settle);
    await app.log.setMeta("import:0123", '{"state":"done"}');
  });
}

/** Whatever chance has brought: the first wallet ends without a flag, the second with one anew. */
async function removedAndFlaggedAgain(app: App, settle: () => Promise<void>): Promise<void> {
  const both = WALLETS.slice(0, 2);
  const message = newDeposit({ amountMinor: OVER_LIMIT, acceptedAtMs: START_MS });
  await app.deposits.emitAll(both.map((key) => ({ key, message })));
  await settle();
  const own = { actor: "ann", reason: "at the end", atMs: START_MS };
  for (const walletId of both) {
    const seenOrdinal = app.wallets.flag(walletId).newestOrdinal;
    await app.wallets.act({ ...own, walletId, id: "removed", kind: "remove", seenOrdinal });
  }
  await settle();
  const walletId = both[1] as string;
  await app.wallets.act({ ...own, walletId, id: "again", kind: "add" });
  await settle();
}

/** From the middle of the history on: wider, and lower. */
function changedRule() {
  const rule = { windowMs: 300_000, limitMinor: 900_000n };
  const untold = { onCompleted: () => {}, onDecided: () => {} };
  return { ...rule, actor: "ann", reason: "holidays", atMs: START_MS, ...untold };
}

function roundOfDeposits(round: number, random: () => number) {
  return WALLETS.flatMap((walletId, number) =>
    Array.from({ length: 4 }, (_, deposit) => {
      const isLate = random() < 0.2;
      const timeMs = START_MS + round * 60_000 + number * 10 - (isLate ? 150_000 : 0);
      return {
        key: walletId,
        message: newDeposit({
          amountMinor: BigInt(Math.floor(random() * 800_000) + 1),
          acceptedAtMs: timeMs + deposit * 1_000,
        }),
        // One of a few ids: some come again, with the same amount hardly ever.
        id: random() < 0.5 ? `id-${Math.floor(random() * 10)}` : null,
      };
    }),
  );
}

async function operate(
  app: App,
  walletId: string,
  { round, random }: { readonly round: number; readonly random: () => number },
): Promise<void> {
  const own = { walletId, actor: "ann", reason: `round ${round}`, id: `${walletId} ${round}` };
  const { newestOrdinal } = app.wallets.flag(walletId);
  const atMs = START_MS + round;
  if (random() < 0.3) await app.wallets.act({ ...own, atMs, kind: "add" });
  else await app.wallets.act({ ...own, atMs, kind: "remove", seenOrdinal: newestOrdinal });
}

function unreadable(topic: string, round: number) {
  return {
    topic,
    partition: round % PARTITIONS,
    key: Buffer.from(`nobody ${round}`),
    value: Buffer.from([0xff, 0xff, 0xff]),
  };
}
