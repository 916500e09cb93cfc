/** Transactions whose owner never comes back, on a real broker, and ends that get no answer. */

import { expect, test } from "bun:test";
import { LogError, type NewRecord } from "../../../src/log/event-log.ts";
import { Appender } from "../../../src/log/kafka/appender.ts";
import { Connections } from "../../../src/log/kafka/connections.ts";
import { Fetcher } from "../../../src/log/kafka/fetcher.ts";
import { TRANSACTION_TIMEOUT_MS } from "../../../src/log/kafka/limits.ts";
import { readRange, stableBounds } from "../../../src/log/kafka/offsets.ts";
import { declared, Topics } from "../../../src/log/kafka/topics.ts";
import { openTransactions } from "../../../src/log/kafka/transaction.ts";
import { freshPrefix, kafkaTest, testBrokers } from "../../kafka/broker.ts";
import { rejection } from "../../rejection.ts";

/** Brokers look every 10 s unless told; those of the tests every second. */
const LOOKS_EVERY_MS = 10_000;
const TEST_MS = 60_000;

kafkaTest("an owner that hangs in a transaction holds readers up for its time-out", async () => {
  const brokers = (await testBrokers()).split(",");
  const connect = () => new Connections({ brokers, clientId: "test", tls: null, sasl: null });
  const connections = connect();
  const [quick, waiting] = [connect(), connect()];
  const fetcher = new Fetcher({ quick, waiting });
  const appender = new Appender({ connections, nowMs: Date.now, step: () => {} });
  const name = `${freshPrefix()}events`;
  const spec = { name: "events", partitions: 1, cleanup: "keep", retentionMs: null } as const;
  await new Topics(connections).ensure([declared(name, spec)]);
  const place = { topic: name, partition: 0 };
  const record = (value: string): NewRecord => ({
    ...place,
    key: Buffer.from("key"),
    value: Buffer.from(value),
  });

  const startMs = performance.now();
  const owner = await openTransactions({ connections, transactionalId: name, nowMs: Date.now });
  await owner.begin([place]);
  expect(await owner.write([record("hanging")])).toEqual([0n]);
  expect(await appender.append([record("behind")])).toEqual([1n]);
  expect(await stableBounds(connections, place)).toEqual({ start: 0n, end: 0n });

  const range = { from: 0n, until: 2n };
  const withinMs = TRANSACTION_TIMEOUT_MS + 2 * LOOKS_EVERY_MS;
  const found = await readRange(fetcher, place, range, withinMs);
  const heldUpMs = performance.now() - startMs;
  expect(found.map(({ offset, value }) => [offset, String(value)])).toEqual([[1n, "behind"]]);
  expect(heldUpMs).toBeGreaterThan(TRANSACTION_TIMEOUT_MS - 1_000); // its clock is the broker's
  expect(heldUpMs).toBeLessThan(withinMs);

  // When it comes back all the same, it commits nothing.
  const refused = await owner.commit().catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(LogError);
  expect((refused as LogError).code).toBe("fenced");
  await appender.close();
  fetcher.close();
  await Promise.all([connections, quick, waiting].map((each) => each.close()));
}, TEST_MS);

test("an end without an answer is not sent again: it may come late, and end the next", async () => {
  const lost = Object.assign(new Error("no answer"), { name: "KafkaJSRequestTimeoutError" });
  const { transactions, ends } = await begun([lost]);
  expect(await rejection(transactions.commit())).toMatchObject({ code: "outcome_unknown" });
  expect(ends()).toBe(1);
});

test("an end that was answered with another coordinator is sent again, there", async () => {
  const moved = Object.assign(new Error("moved"), { type: "NOT_COORDINATOR_FOR_GROUP" });
  const { transactions, ends } = await begun([moved, moved]);
  await transactions.commit();
  expect(ends()).toBe(3);
  const fenced = Object.assign(new Error("fenced"), { type: "INVALID_PRODUCER_EPOCH" });
  const doubtful = await begun([moved, fenced]);
  // The coordinator before may have written it down, and a successor have found it so.
  expect(await rejection(doubtful.transactions.commit())).toMatchObject(
    { code: "outcome_unknown" },
  );
  const refused = await begun([fenced]);
  expect(await rejection(refused.transactions.commit())).toMatchObject({ code: "fenced" });
});

test("offsets that a coordinator does not take leave the rest to be committed", async () => {
  const refused = Object.assign(new Error("refused"), { type: "GROUP_AUTHORIZATION_FAILED" });
  const asked: string[] = [];
  const answers = (wrong: string, answer: () => Promise<void>) =>
    Object.fromEntries(
      ["describeGroups", "addOffsetsToTxn", "txnOffsetCommit"].map((name) => [
        name,
        () => {
          asked.push(name);
          return name === wrong ? answer() : Promise.resolve();
        },
      ]),
    );
  const hung = await begun([], answers("describeGroups", () => new Promise(() => {})));
  expect(await hung.transactions.addOffsets("sums")).toMatchObject({ type: "REQUEST_TIMED_OUT" });
  expect(asked.splice(0)).toEqual(["describeGroups"]); // its end waits for no such coordinator
  const refuse = () => Promise.reject(refused);
  const first = await begun([], answers("addOffsetsToTxn", refuse));
  expect(await first.transactions.addOffsets("sums")).toBe(refused);
  const second = await begun([], answers("txnOffsetCommit", refuse));
  expect(await second.transactions.addOffsets("sums")).toBeNull();
  expect(await second.transactions.writeOffsets("sums", [])).toBe(refused);
  await second.transactions.commit();
  // But what has ended this producer ends it here, too.
  const fenced = Object.assign(new Error("fenced"), { type: "PRODUCER_FENCED" });
  const late = await begun([], answers("addOffsetsToTxn", () => Promise.reject(fenced)));
  expect(await rejection(late.transactions.addOffsets("sums"))).toMatchObject({ code: "fenced" });
});

test("offsets whose coordinator has moved are sent again, there", async () => {
  const moved = Object.assign(new Error("moved"), { type: "NOT_COORDINATOR_FOR_GROUP" });
  const sent: unknown[] = [];
  const txnOffsetCommit = async ({ topics }: { readonly topics: unknown }) => {
    sent.push(topics);
    if (sent.length === 1) throw moved;
  };
  const { transactions } = await begun([], { txnOffsetCommit });
  const offsets = [
    { topic: "events", partition: 0, nextOffset: 7n },
    { topic: "others", partition: 0, nextOffset: 1n },
    { topic: "events", partition: 2, nextOffset: 2n ** 60n },
  ];
  expect(await transactions.writeOffsets("sums", offsets)).toBeNull();
  expect(sent).toHaveLength(2);
  expect(sent[1]).toEqual([
    {
      topic: "events",
      partitions: [
        { partition: 0, offset: "7" },
        { partition: 2, offset: "1152921504606846976" },
      ],
    },
    { topic: "others", partitions: [{ partition: 0, offset: "1" }] },
  ]);
});

/** A transaction whose end is answered with these errors, then done; other requests as told. */
async function begun(errors: readonly Error[], answers: object = {}) {
  let ends = 0;
  const coordinator = {
    ...answers,
    initProducerId: async () => ({ producerId: "1", producerEpoch: 0 }),
    addPartitionsToTxn: async () => {},
    endTxn: async () => {
      ends += 1;
      const error = errors[ends - 1];
      if (error !== undefined) throw error;
    },
  };
  const fake = { coordinator: async () => coordinator, forgetCoordinator: () => {} };
  const connections = fake as unknown as Connections;
  const transactions = await openTransactions({
    ...{ connections, transactionalId: "sums-1", nowMs: Date.now },
  });
  await transactions.begin([{ topic: "events", partition: 0 }]);
  return { transactions, ends: () => ends };
}
