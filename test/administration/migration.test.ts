import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Kafka, logLevel } from "kafkajs";
import { migrate } from "../../src/administration/migration.ts";
import { giveUpMove } from "../../src/administration/migration-give-up.ts";
import { SOURCE_OFFSET_HEADER } from "../../src/administration/migration-copy.ts";
import { type App, openApp } from "../../src/app.ts";
import { depositStream } from "../../src/deposits/deposit.ts";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import type { EventLog, LogRecord } from "../../src/log/event-log.ts";
import { KafkaLog, openKafkaLog } from "../../src/log/kafka/kafka-log.ts";
import { readAll, text, until } from "../conformance/fixture.ts";
import { freshPrefix, kafkaTest, testBrokers } from "../kafka/broker.ts";
import { ask, depositBody } from "../service/requests.ts";
import {
  answers,
  delay,
  letters,
  PARTITIONS,
  WALLETS,
  withRunningApp,
  writeHistory,
} from "./wallet-history.ts";

const TEST_MS = 120_000;
/** A record that no client of ours writes. */
const NOTHING = { topic: "deposit", partition: 0, key: Buffer.of(), value: Buffer.of() } as const;
let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "migration-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A seed of its own for each run, printed, so that a failure can be played again. */
function seeded(): () => number {
  const seed = Number(process.env["SEED"] ?? crypto.getRandomValues(new Uint32Array(1))[0]);
  console.log(`history of SEED=${seed}`);
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

async function kafkaOf(prefix: string) {
  const brokers = (await testBrokers()).split(",");
  return { brokers, clientId: "migration", prefix, tls: null, sasl: null };
}

async function move(folder: string, prefix: string, signal = new AbortController().signal) {
  let done = 0n;
  const result = await migrate({
    folder,
    kafka: await kafkaOf(prefix),
    signal,
    nowMs: Date.now,
    onProgress: (progress) => (done = progress.done),
  });
  return { ...result, done };
}

async function openTarget(prefix: string, isMoving: boolean) {
  return openKafkaLog({
    ...(await kafkaOf(prefix)),
    create: true,
    defaults: { partitions: String(PARTITIONS), decimals: "2" },
    settings: {},
    nowMs: Date.now,
    isMoving,
  });
}

/** kill -9 of itself once so many records are done. */
async function killedAt(folder: string, prefix: string, records: number): Promise<void> {
  const child = Bun.spawn(
    [process.execPath, join(import.meta.dir, "migration-child.ts")].concat(
      [folder, await testBrokers(), prefix],
      String(records),
    ),
    { stdin: "ignore", stdout: "ignore", stderr: "pipe" },
  );
  const complaints = await child.stderr.text();
  await child.exited;
  expect({ signal: child.signalCode, complaints }).toEqual({ signal: "SIGKILL", complaints: "" });
}

async function partitionsOf(log: EventLog, topic: string) {
  const all = Array.from({ length: PARTITIONS }, (_, partition) => readAll(log, topic, partition));
  return Promise.all(all);
}

function giveUp(folder: string) {
  return giveUpMove({ folder, nowMs: Date.now });
}

async function adminOf() {
  const brokers = (await testBrokers()).split(",");
  const admin = new Kafka({ brokers, clientId: "test", logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  return admin;
}

function errorOf(promise: Promise<unknown>): Promise<Error & { readonly code: string }> {
  return promise.then(
    () => {
      throw new Error("it did not reject");
    },
    (error) => error as Error & { readonly code: string },
  );
}

const sameOf = ({ offset, key, value, headers, checksum }: LogRecord) => ({
  offset,
  key: Buffer.from(key).toString("hex"),
  value: value === null ? null : Buffer.from(value).toString("hex"),
  headers: headers.map(([name, bytes]) => [name, text(bytes)]),
  checksum,
});

kafkaTest("every wallet answers the same afterwards, though it was killed half-way", async () => {
  const folder = join(root, "data");
  const prefix = freshPrefix();
  await writeHistory(folder, seeded());
  const options = { folder, create: false } as const;
  const before = await withRunningApp(options, async (app, settle) => {
    await settle();
    return { wallets: answers(app), letters: await letters(app), rules: app.rules.standing() };
  });
  // Flags that stand, that were removed, and that came again; or this would show little.
  const flags = Object.values(before.wallets) as { isFlagged: boolean; coveredOrdinal: number }[];
  expect(flags.some(({ isFlagged }) => !isFlagged)).toBe(true);
  expect(flags.some(({ isFlagged, coveredOrdinal }) => isFlagged && coveredOrdinal > 0)).toBe(true);
  for (const topic of ["deposit", "flag_wallet"]) {
    for (const state of ['"how":"replayed"', '"how":"dropped"', '"marks":[]']) {
      const ofState = before.letters.filter((each) => each.includes(`"topic":"${topic}"`));
      expect({ topic, state, letters: ofState.join("\n") }).toEqual({
        ...{ topic, state, letters: expect.stringContaining(state) },
      });
    }
  }

  let source = openEmbeddedLog({ folder, nowMs: Date.now });
  const deposits = (await partitionsOf(source, "deposit")).map((records) => records.map(sameOf));
  const count = deposits.flat().length;
  const flagRecords = (await partitionsOf(source, "flag_wallet")).flat().length;
  await source.close(); // nobody may have it open when it is sealed
  const marksFrom = count + flagRecords;
  // During the deposits, at their end, and among the operators' records and marks, requests under
  // way.
  for (const records of [count / 3, count, count + 30, marksFrom + 1, marksFrom + 20]) {
    await killedAt(folder, prefix, Math.floor(records));
    source = openEmbeddedLog({ folder, nowMs: Date.now });
    expect(await errorOf(openTarget(prefix, false))).toMatchObject({ code: "moved" });
    expect(await errorOf(source.append([NOTHING]))).toMatchObject({ code: "moved" });
    await source.close();
  }
  const { wasDone } = await move(folder, prefix);
  expect(wasDone).toBe(false);

  source = openEmbeddedLog({ folder, nowMs: Date.now });
  const target = await openTarget(prefix, false);
  const copied = await partitionsOf(target, "deposit");
  expect(copied.map((records) => records.map(sameOf))).toEqual(deposits);
  await expectOperatorsRecords(source, target);
  expect(await target.meta("import:0123")).toBe('{"state":"done"}');
  await target.close();
  await source.close();

  const kafka = await kafkaOf(prefix);
  const place = { folder: join(root, "elsewhere"), kafka, create: false } as const;
  const after = await withRunningApp(place, async (app, settle) => {
    await settle();
    const rules = app.rules.standing();
    const found = { wallets: answers(app), letters: await letters(app), rules };
    await expectSameRepeats(app, copied);
    return found;
  });
  expect(after).toEqual(before);
  expect(await move(folder, prefix)).toMatchObject({ wasDone: true, deposits: BigInt(count) });
}, TEST_MS);

/** In order, with their ids and where they come from; what is unreadable, too; no event. */
async function expectOperatorsRecords(source: EventLog, target: EventLog): Promise<void> {
  const [all, copied] = await Promise.all([
    partitionsOf(source, "flag_wallet"),
    partitionsOf(target, "flag_wallet"),
  ]);
  const isOperators = ({ headers }: LogRecord) => headers.some(([name]) => name === "id");
  const isUnreadable = ({ key }: LogRecord) => text(key).startsWith("nobody");
  const wanted = all.map((records) =>
    records.filter((record) => isOperators(record) || isUnreadable(record)),
  );
  expect(wanted.flat().length).toBeGreaterThan(30);
  expect(all.flat().length).toBeGreaterThan(wanted.flat().length);
  const shape = (records: readonly LogRecord[]) =>
    records.map(sameOf).map(({ key, value, headers }) => ({ key, value, headers }));
  expect(copied.map(shape)).toEqual(
    wanted.map((records) =>
      shape(records).map((record, index) => ({
        ...record,
        headers: [...record.headers, [SOURCE_OFFSET_HEADER, String(records[index]?.offset)]],
      })),
    ),
  );
}

/** A deposit that is sent again with its id is answered with the place that it had before. */
async function expectSameRepeats(app: App, copied: readonly LogRecord[][]): Promise<void> {
  const valueOf = ({ headers }: LogRecord, wanted: string) =>
    headers.find(([name]) => name === wanted)?.[1];
  const seen = new Set<string>();
  let asked = 0;
  for (const record of copied.flat()) {
    const id = valueOf(record, "id");
    const name = id === undefined ? "" : `${text(record.key)} ${text(id)}`;
    if (id === undefined || seen.has(name)) continue;
    const group = valueOf(record, "for-group");
    if (group !== undefined && text(group) !== "balance") continue; // the collector passes it by
    seen.add(name); // the first of an id is the one that counts
    const { amountMinor } = depositStream.codec.decode(record.value as Uint8Array);
    const answer = await app.submissions.submit({
      walletId: text(record.key),
      amountMinor,
      key: text(id),
    });
    const { partition, offset } = record;
    expect(answer).toMatchObject({ position: { partition, offset }, isRepeat: true });
    asked += 1;
  }
  expect(asked).toBeGreaterThan(WALLETS.length);
}

/** A few deposits, not processed. */
async function newFolder(name: string, partitions = PARTITIONS): Promise<string> {
  const folder = join(root, name);
  const app = await openApp({ folder, create: true, partitions, nowMs: Date.now, delay });
  for (const walletId of WALLETS) {
    await app.submissions.submit({ walletId, amountMinor: 100n, key: null });
  }
  await app.close();
  return folder;
}

kafkaTest("an interrupted move says so, and goes on", async () => {
  const folder = await newFolder("data");
  const prefix = freshPrefix();
  const stopped = AbortSignal.abort();
  const error = await errorOf(move(folder, prefix, stopped));
  expect(error).toMatchObject({ name: "AdministrationError", code: "interrupted" });
  expect(await errorOf(openTarget(prefix, false))).toMatchObject({ code: "moved" });
  expect(await move(folder, prefix)).toMatchObject({ wasDone: false, done: 24n, deposits: 24n });
  await (await openTarget(prefix, false)).close();
});

kafkaTest("a move that is given up leaves the folder in use, and goes on later", async () => {
  const folder = await newFolder("data");
  const prefix = freshPrefix();
  expect(await giveUp(folder)).toEqual({ movedTo: null, leftTopics: [] });
  await errorOf(move(folder, prefix, AbortSignal.abort()));
  const service = await openApp({ folder, create: false, nowMs: Date.now, delay });
  const deposit = (app: App) =>
    app.submissions.submit({ walletId: "alice", amountMinor: 5n, key: null });
  expect(await errorOf(deposit(service))).toMatchObject({ code: "moved" });

  const { movedTo, leftTopics } = await giveUp(folder);
  expect(movedTo).toContain(`, prefix ${prefix}`);
  const admin = await adminOf();
  const there = (await admin.listTopics()).filter((name) => name.startsWith(prefix));
  await admin.disconnect();
  expect(there.filter((name) => !leftTopics.includes(name))).toEqual([]);
  expect(there).toContain(`${prefix}log-meta`);
  await deposit(service); // also in a process that had the folder open meanwhile
  await service.close();
  const other = await openApp({ folder, create: true, nowMs: Date.now, delay });
  await deposit(other);
  await other.close();
  // What was half filled is nobody's.
  expect(await errorOf(openTarget(prefix, false))).toMatchObject({ code: "moved" });
  expect(await giveUp(folder)).toEqual({ movedTo: null, leftTopics: [] });

  expect(await move(folder, prefix)).toMatchObject({ wasDone: false, deposits: 26n });
  const target = await openTarget(prefix, false);
  const source = openEmbeddedLog({ folder, nowMs: Date.now });
  const [mine, theirs] = await Promise.all([
    partitionsOf(source, "deposit"),
    partitionsOf(target, "deposit"),
  ]);
  expect(theirs.map((records) => records.map(sameOf))).toEqual(
    mine.map((records) => records.map(sameOf)),
  );
  await target.close();
  const error = await errorOf(giveUp(folder));
  expect(error).toMatchObject({ name: "AdministrationError", code: "moved_elsewhere" });
  expect(error.message).toContain("and all of it is there");
  expect(await errorOf(source.append([NOTHING]))).toMatchObject({ code: "moved" });
  await source.close();
}, TEST_MS);

kafkaTest("a move is not given up once its folder calls it done, nor while it runs", async () => {
  const folder = await newFolder("data");
  const prefix = freshPrefix();
  const kafka = await kafkaOf(prefix);
  const stopping = new AbortController();
  const refused: Promise<Error>[] = [];
  const onProgress = () => {
    refused.push(errorOf(giveUp(folder)));
    stopping.abort();
  };
  const { signal } = stopping;
  await errorOf(migrate({ folder, kafka, signal, nowMs: Date.now, onProgress }));
  expect(await refused[0]).toMatchObject({ code: "in_use" });
  // Killed between the folder's word and the cluster's: neither is live, and only one may be.
  const source = openEmbeddedLog({ folder, nowMs: Date.now });
  await source.setSeal({ ...(source.seal as NonNullable<typeof source.seal>), isDone: true });
  await source.close();
  expect(await errorOf(openTarget(prefix, false))).toMatchObject({ code: "moved" });
  expect(await errorOf(giveUp(folder))).toMatchObject({ code: "moved_elsewhere" });
  expect(await move(folder, prefix)).toMatchObject({ wasDone: false, deposits: 24n });
  await (await openTarget(prefix, false)).close();
  expect(await errorOf(giveUp(folder))).toMatchObject({ code: "moved_elsewhere" });
  expect(await move(folder, prefix)).toMatchObject({ wasDone: true });
}, TEST_MS);

kafkaTest("the folder calls a move done before the cluster does", async () => {
  const folder = await newFolder("data");
  const prefix = freshPrefix();
  const seen: (boolean | undefined)[] = [];
  const setMeta = KafkaLog.prototype.setMeta;
  KafkaLog.prototype.setMeta = async function (this: KafkaLog, key, value) {
    const source = openEmbeddedLog({ folder, nowMs: Date.now });
    if (value === "done") seen.push(source.seal?.isDone);
    await source.close();
    return setMeta.call(this, key, value);
  };
  try {
    await move(folder, prefix);
  } finally {
    KafkaLog.prototype.setMeta = setMeta;
  }
  expect(seen).toEqual([true]);
}, TEST_MS);

kafkaTest("a target that is not empty is refused, and the folder stays open", async () => {
  const folder = await newFolder("data");
  const prefix = freshPrefix();
  const target = await openApp({
    folder: join(root, "other"),
    kafka: await kafkaOf(prefix),
    create: true,
    partitions: PARTITIONS,
    nowMs: Date.now,
    delay,
  });
  await target.submissions.submit({ walletId: "first", amountMinor: 1n, key: null });
  await target.close();
  const error = await errorOf(move(folder, prefix));
  expect(error).toMatchObject({ name: "AdministrationError", code: "not_empty" });
  expect(error.message).toMatch(/must be empty, and topic deposit partition \d has been written/);
  // Whoever runs there is not asked to stop in vain.
  const kafka = await kafkaOf(prefix);
  const used = { folder: join(root, "used"), kafka, create: false };
  await withRunningApp(used, async ({ log }) => {
    const isOwned = async () => (await log.owners("balance")).some(({ owner }) => owner !== null);
    await until("an owner", isOwned);
    expect(await errorOf(move(folder, prefix))).toMatchObject({ code: "not_empty" });
  });
  const source = openEmbeddedLog({ folder, nowMs: Date.now });
  expect(source.seal).toBeNull();
  await source.close();
});

kafkaTest("a target with another count of partitions or other decimals is refused", async () => {
  const folder = await newFolder("data", 2);
  const prefix = freshPrefix();
  await (await openTarget(prefix, false)).close();
  const error = await errorOf(move(folder, prefix));
  expect(error).toMatchObject({ code: "settings_mismatch" });
  expect(error.message).toContain("with partitions 4, the one in");
});

kafkaTest("a target that somebody processes is refused", async () => {
  const folder = await newFolder("data");
  const prefix = freshPrefix();
  const kafka = await kafkaOf(prefix);
  const other = { folder: join(root, "other"), kafka, create: true, partitions: PARTITIONS };
  await withRunningApp(other, async ({ log }) => {
    const isOwned = async () => (await log.owners("balance")).some(({ owner }) => owner !== null);
    await until("an owner", isOwned);
    const error = await errorOf(move(folder, prefix));
    expect(error).toMatchObject({ code: "in_use" });
    expect(error.message).toContain("runs in the cluster");
  });
});

kafkaTest("records of somebody else stop the move, and it starts again elsewhere", async () => {
  const folder = await newFolder("data");
  const prefix = freshPrefix();
  await errorOf(move(folder, prefix, AbortSignal.abort()));
  const intruder = await openTarget(prefix, true);
  await intruder.append([NOTHING]);
  await intruder.close();
  const error = await errorOf(move(folder, prefix));
  expect(error).toMatchObject({ code: "topic_mismatch" });
  expect(error.message).toContain("empty the target and start again");
  const elsewhere = freshPrefix();
  expect(await move(folder, elsewhere)).toMatchObject({ wasDone: false });
  // From here on it is there, and nowhere else.
  const third = freshPrefix();
  expect(await errorOf(move(folder, third))).toMatchObject({ code: "moved_elsewhere" });
  await (await openTarget(third, false)).close();
  const again = await errorOf(move(folder, third));
  expect(again).toMatchObject({ code: "moved_elsewhere" });
  expect(again.message).toContain(`, prefix ${elsewhere} before: go on there`);
  const other = await newFolder("second");
  expect(await errorOf(move(other, elsewhere))).toMatchObject({ code: "not_empty" });
});

test("a sealed folder is not served and not processed", async () => {
  const folder = await newFolder("data");
  const source = openEmbeddedLog({ folder, nowMs: Date.now });
  await source.setSeal({ movedTo: "the new cluster", incarnation: "new", isDone: true });
  await source.close();
  const error = await errorOf(openApp({ folder, create: true, nowMs: Date.now, delay }));
  expect(error).toMatchObject({ code: "moved" });
  expect(error.message).toContain("was moved to the new cluster");
});

test("a service whose folder is sealed under it refuses deposits, and is not ready", async () => {
  const folder = await newFolder("data");
  const app = await openApp({ folder, create: true, nowMs: Date.now, delay });
  const service = app.createService({ allowHosts: [] });
  const deposit = () => ask(service, "POST /deposit", depositBody("alice", "1"));
  expect((await deposit()).status).toBe(200);
  const other = openEmbeddedLog({ folder, nowMs: Date.now });
  await other.setSeal({ movedTo: "the new cluster", incarnation: "new", isDone: false });
  await other.close();
  const { status, json } = await deposit();
  expect(status).toBe(503);
  expect(json).toEqual({
    error: `the log in ${folder} is being moved to the new cluster: write there once all is there`,
    code: "log_unavailable",
  });
  expect((await ask(service, "GET /readyz")).status).toBe(503);
  await app.close();
});
