/** What other programs write into the streams: their deposits, their mistakes, what they abort. */

import { expect } from "bun:test";
import { toBinary } from "@bufbuild/protobuf";
import type { Kafka, Message, Producer, Transaction } from "kafkajs";
import { allRecords } from "../../../bench/torture/deposit-log.ts";
import { newDeposit } from "../../../src/deposits/deposit.ts";
import { DepositSchema } from "../../../src/gen/depositaja/v1/deposit_pb.ts";
import { partitionOf } from "../../../src/stream/partitioner.ts";
import { temporaryFolder } from "../../end-to-end/program.ts";
import { freshPrefix, kafkaTest, testBrokers } from "../broker.ts";
import { foreignClient } from "../foreign-client.ts";
import { GroupsHere } from "./groups-here.ts";

const TEST_MS = 60_000;
const PARTITIONS = 2;
const ZEROS = Buffer.alloc(4);
/** So that a fetch, of 1 MB at most, begins within what is aborted. */
const LARGE_BYTES = 400_000;

kafkaTest("another client's records are counted, or refused for what is wrong", async () => {
  await using there = await start();
  const { groups, kafka, topic } = there;
  // A try again, while a partition is new, would write the other one's records twice.
  const producer = kafka.producer({ idempotent: true });
  await producer.connect();
  const wrong = 1 - partition("carol");
  await producer.send({
    topic,
    messages: [
      { key: "alice", value: value(5n) }, // kafkajs has murmur2, as Java's client
      { key: "bob", value: value(7n) },
      { key: "carol", value: value(9n), partition: wrong },
      { key: "dave", value: Buffer.from([0xff, 0xff, 0xff]) },
      { key: ZEROS, value: value(11n) },
      { key: "alice", value: value(13n) },
    ],
  });
  await producer.send({ topic, messages: [{ key: ZEROS, value: value(17n) }] }); // alone
  await producer.disconnect();
  await groups.settled();
  expect(["alice", "bob", "carol", "dave"].map((wallet) => groups.balance(wallet))).toEqual([
    18n, 7n, 0n, 0n,
  ]);
  for (const group of ["balance", "threshold"]) {
    const letters = await groups.deadLetters(group);
    expect(letters.toSorted()).toEqual([
      "\0\0\0\0 invalid_record",
      "\0\0\0\0 invalid_record",
      "carol wrong_partition",
      "dave undecodable",
    ]);
  }
}, TEST_MS);

kafkaTest("what transactions of several producers abort is never delivered", async () => {
  await using there = await start();
  const { groups, kafka, topic } = there;
  const at = partition("alice");
  const send = (
    to: Transaction | Producer,
    amountMinor: bigint,
    message: Pick<Message, "headers"> & { readonly key?: Buffer } = {},
  ) =>
    to.send({
      topic,
      messages: [{ key: "alice", value: value(amountMinor), partition: at, ...message }],
    });
  const producers = await Promise.all(
    ["a", "b", "c"].map(async (name) => {
      const producer = kafka.producer({ transactionalId: `${topic}-${name}`, idempotent: true });
      await producer.connect();
      return producer;
    }),
  );
  const [a, b, c] = producers as [Producer, Producer, Producer];
  await send(a, 1n);
  // The one that began later is aborted first; a third commits in between.
  const first = await a.transaction();
  const second = await b.transaction();
  const third = await c.transaction();
  await send(first, 1_000n);
  await send(second, 2_000n);
  await send(third, 2n);
  await send(first, 1_000n);
  await second.abort();
  await third.commit();
  await send(first, 1_000n, { key: ZEROS }); // no marker, whatever its key
  await send(first, 1_000n);
  await first.abort();
  // Two that are longer than a fetch: one begins within both.
  const large = { headers: { pad: Buffer.alloc(LARGE_BYTES, "x") } };
  const [long, longer] = [await a.transaction(), await b.transaction()];
  for (let round = 0; round < 4; round += 1) {
    await send(long, 4_000n, large);
    await send(longer, 8_000n, large);
  }
  await longer.abort();
  await long.abort();
  const last = await a.transaction(); // its aborted ones are over
  await send(last, 3n);
  await last.commit();
  for (const producer of producers) await producer.disconnect();
  await groups.settled();
  expect(groups.balance("alice")).toBe(6n);
  // Nor to one who reads it all anew.
  let sum = 0;
  for await (const record of allRecords(groups.app.log, "deposit", PARTITIONS)) {
    if (record.headers.length === 0) sum += 1;
  }
  expect(sum).toBe(3);
}, TEST_MS);

async function start() {
  const brokers = await testBrokers();
  const prefix = freshPrefix();
  const folder = temporaryFolder();
  const place = { brokers, prefix, folder: folder.path, partitions: PARTITIONS };
  const groups = await GroupsHere.start(place);
  const kafka: Kafka = foreignClient(brokers);
  return {
    ...{ groups, kafka, topic: `${prefix}deposit` },
    [Symbol.asyncDispose]: async () => {
      await groups[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

function value(amountMinor: bigint): Buffer {
  const message = newDeposit({ amountMinor, acceptedAtMs: Date.now() });
  return Buffer.from(toBinary(DepositSchema, message));
}

function partition(key: string): number {
  return partitionOf(Buffer.from(key), PARTITIONS);
}
