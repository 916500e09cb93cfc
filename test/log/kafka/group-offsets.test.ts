/** The group's offsets, as other tools see them on a real broker: where the progress stands. */

import { expect } from "bun:test";
import { type Admin, Kafka, logLevel } from "kafkajs";
import type { Claim, Progress } from "../../../src/log/event-log.ts";
import { Connections } from "../../../src/log/kafka/connections.ts";
import { type KafkaLog, openKafkaLog } from "../../../src/log/kafka/kafka-log.ts";
import { openTransactions } from "../../../src/log/kafka/transaction.ts";
import { freshPrefix, kafkaTest, testBrokers } from "../../kafka/broker.ts";
import { rejection } from "../../rejection.ts";

const WEEK_MS = 604_800_000;
const PARTITIONS = 3;
const WITHIN_MS = 20_000;

kafkaTest("tools see where a group stands, when it has gone on, and when it has left", async () => {
  await using place = await aPlace();
  const leaving = new AbortController();
  const claims = await place.claims(leaving.signal);
  await place.commit(claims, [1n, 2n, 3n]);
  await place.see([1n, 2n, 3n]);
  // Too soon for the next transactions to have some, too.
  await place.commit(claims, [4n, 5n, 6n]);
  await place.commit(claims, [5n, 6n, 7n]);
  await place.see([5n, 6n, 7n]);
  await place.commit(claims, [8n, 8n, 8n]);
  leaving.abort(); // and they are given back
  await place.see([8n, 8n, 8n]); // when its last markers are written
  expect(await place.stands()).toEqual([8n, 8n, 8n]);
});

kafkaTest("offsets that were deleted are there again, without a record to process", async () => {
  await using place = await aPlace();
  const leaving = new AbortController();
  const claims = await place.claims(leaving.signal);
  await place.commit(claims, [1n, 2n, 3n]);
  leaving.abort(); // and they are given back
  await place.deleteGroup();
  expect(await place.seen()).toEqual([null, null, null]);
  const again = await place.claims(place.signal);
  const begins = again.map(({ progress }) => progress?.inputs[0]?.nextOffset ?? null);
  expect(begins).toEqual([1n, 2n, 3n]);
  await place.see([1n, 2n, 3n]);
});

kafkaTest("offsets of a transaction that is aborted are as they were", async () => {
  await using place = await aPlace();
  const { connections, groupId, topic } = place;
  const transactionalId = `${groupId}-1`;
  const open = () => openTransactions({ connections, transactionalId, nowMs: Date.now });
  const at = (nextOffset: bigint) => [{ topic, partition: 0, nextOffset }];
  const begun = async (nextOffset: bigint) => {
    const transactions = await open();
    await transactions.begin([]);
    expect(await transactions.addOffsets(groupId)).toBeNull();
    expect(await transactions.writeOffsets(groupId, at(nextOffset))).toBeNull();
    return transactions;
  };
  await (await begun(5n)).commit();
  await place.see([5n, null, null]);
  const late = await begun(7n);
  await open(); // aborts it
  expect(await rejection(late.commit())).toMatchObject({ code: "fenced" });
  await (await begun(6n)).commit();
  await place.see([6n, null, null]);
});

/** A log with a topic of its own, and what Kafka's tools see of its group. */
async function aPlace() {
  const access = { brokers: (await testBrokers()).split(","), tls: null, sasl: null };
  const own = { prefix: freshPrefix(), create: true, defaults: {}, settings: {} };
  const log = await openKafkaLog({ ...access, ...own, clientId: "test", nowMs: Date.now });
  await log.ensureTopics([
    { name: "events", partitions: PARTITIONS, cleanup: "keep", retentionMs: null },
    { name: "sums-table", partitions: PARTITIONS, cleanup: "compact", retentionMs: WEEK_MS },
  ]);
  const admin = new Kafka({ brokers: access.brokers, logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  const connections = new Connections({ ...access, clientId: "test" });
  const [groupId, topic] = [`${own.prefix}sums`, `${own.prefix}events`];
  const leaving = new AbortController();
  const seen = () => offsetsOf(admin, groupId, topic);
  return {
    ...{ connections, groupId, topic, seen },
    signal: leaving.signal,
    claims: (signal: AbortSignal) => claimAll(log, signal),
    commit: commitAll,
    see: async (offsets: readonly (bigint | null)[]) => {
      const endMs = performance.now() + WITHIN_MS;
      while (performance.now() < endMs && !Bun.deepEquals(await seen(), offsets));
      expect(await seen()).toEqual([...offsets]);
    },
    stands: async () => {
      const all = [...Array(PARTITIONS).keys()].map((partition) => log.progress("sums", partition));
      return (await Promise.all(all)).map(nextOffsetOf);
    },
    deleteGroup: async () => {
      // Its members leave after their claims.
      while ((await admin.describeGroups([groupId])).groups[0]?.state !== "Empty");
      await admin.deleteGroups([groupId]);
    },
    [Symbol.asyncDispose]: async () => {
      leaving.abort();
      await Promise.all([log.close(), connections.close(), admin.disconnect()]);
    },
  };
}

async function offsetsOf(admin: Admin, groupId: string, topic: string) {
  const found = await admin.fetchOffsets({ groupId, topics: [topic] });
  const offsets = Array<bigint | null>(PARTITIONS).fill(null);
  for (const { partition, offset } of found[0]?.partitions ?? []) {
    offsets[partition] = offset === "-1" ? null : BigInt(offset);
  }
  return offsets;
}

/** By their partitions. */
async function claimAll(log: KafkaLog, signal: AbortSignal): Promise<readonly Claim[]> {
  const claims: Claim[] = [];
  const all = Promise.withResolvers<void>();
  const collect = async () => {
    const group = { group: "sums", topics: ["events"], changelog: "sums-table" };
    for await (const claim of log.join({ ...group, signal })) {
      claims[claim.partition] = claim;
      claim.revoked.addEventListener("abort", () => void claim.release());
      if (Object.keys(claims).length === PARTITIONS) all.resolve();
    }
  };
  collect().catch(all.reject);
  await all.promise;
  return claims;
}

async function commitAll(claims: readonly Claim[], offsets: readonly bigint[]): Promise<void> {
  const commits = claims.map((claim, index) => {
    const inputs = [{ topic: "events", nextOffset: offsets[index] as bigint, checksum: null }];
    return claim.commit({ outputs: [], changelog: [], inputs });
  });
  await Promise.all(commits);
}

function nextOffsetOf(progress: Progress | null): bigint | null {
  return progress?.inputs[0]?.nextOffset ?? null;
}
