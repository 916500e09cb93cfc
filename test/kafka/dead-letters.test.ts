/** What other programs wrote wrongly into a cluster, and what an operator does about it. */

import { expect } from "bun:test";
import { depositStream, newDeposit } from "../../src/deposits/deposit.ts";
import { partitionOf } from "../../src/stream/partitioner.ts";
import { kafkaTest, testBrokers } from "./broker.ts";
import { Deployment } from "./faults/deployment.ts";
import { foreignClient } from "./foreign-client.ts";

const TEST_MS = 120_000;
const PARTITIONS = 8;

const home = (wallet: string) => partitionOf(Buffer.from(wallet), PARTITIONS);
const value = (amountMinor: bigint): Buffer =>
  Buffer.from(depositStream.codec.encode(newDeposit({ amountMinor, acceptedAtMs: 1_000 })));
const lines = (out: string) =>
  out
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

kafkaTest("dead letters on a cluster are listed, shown, replayed once and dropped", async () => {
  const brokers = await testBrokers();
  await using there = new Deployment(brokers);
  const letters = (...args: string[]) => there.run("dead-letters", ...args);
  const balance = async (wallet: string) => {
    const { out } = await there.run("check", wallet, "--json");
    return (JSON.parse(out) as { balance: string }).balance;
  };
  const first = await there.process();
  await there.isSharedBy(1);
  expect(await there.run("deposit", "twice", "1", "--id", "x")).toMatchObject({ code: 0 });
  expect(await there.run("deposit", "twice", "2", "--id", "x")).toMatchObject({ code: 1 });
  const producer = foreignClient(brokers).producer();
  await producer.connect();
  const astray = (home("astray") + 1) % PARTITIONS;
  await producer.send({
    topic: `${there.prefix}deposit`,
    messages: [
      { key: "undecodable", value: Buffer.from([0xff, 0xff, 0xff]) },
      { key: "astray", value: value(700n), partition: astray },
      { key: "zero", value: value(0n), headers: { id: "z" } },
    ],
  });

  const listed = await letters("list", "collector", "--json");
  expect(listed.code).toBe(0);
  const found = new Map(lines(listed.out).map((each) => [each["key"], each]));
  const reasons = [...found.values()].map((each) => `${String(each["key"])} ${each["reason"]}`);
  expect(reasons.sort()).toEqual([
    "astray wrong_partition",
    "twice id_conflict",
    "undecodable undecodable",
    "zero invalid_record",
  ]);
  const record = (wallet: string) => found.get(wallet)?.["record"] as string;
  const shown = await letters("show", "collector", record("zero"), "--json");
  const message = { amountMinor: "0" };
  expect(lines(shown.out)).toMatchObject([{ message, content: { id: { text: "z" } } }]);

  for (const outcome of ["taken", "counted_before"]) {
    const moved = await letters("replay", "balance", record("astray"), "--json");
    expect(lines(moved.out)).toMatchObject([{ outcome }]);
    const own = await letters("replay", "collector", record("twice"), "--new-id", "--json");
    expect(lines(own.out)).toMatchObject([{ outcome }]);
  }
  expect([await balance("astray"), await balance("twice")]).toEqual(["7.00", "3.00"]);
  const refused = await letters("replay", "collector", record("undecodable"), record("zero"));
  expect(refused).toMatchObject({ code: 1, out: "" });
  expect(refused.err).toContain("2 of 2 letters were not taken");
  const dropped = await letters("drop", "collector", record("zero"), "--reason", "a test");
  expect(dropped).toMatchObject({ code: 0 });
  const left = lines((await letters("list", "collector", "--json")).out);
  expect(left.map(({ key }) => key)).toEqual(["undecodable"]);

  // Nobody is there to take it: it is written all the same, and counts once.
  there.forget(first);
  expect((await first.stop()).code).toBe(0);
  expect(home("waiting")).not.toBe(home("astray"));
  const messages = [{ key: "waiting", value: value(1n) }];
  await producer.send({ topic: `${there.prefix}deposit`, messages });
  await producer.disconnect();
  const [alone, incomplete] = await Promise.all([
    letters("replay", "detector", record("astray")),
    letters("list", "collector"),
  ]);
  expect(alone).toMatchObject({ code: 1, out: "" });
  expect(alone.err).toContain("is written and stands: it counts once processing goes on");
  expect(incomplete).toMatchObject({ code: 1, out: expect.stringContaining("  undecodable  ") });
  expect(incomplete.err).toContain("the list may lack newer ones: ");
  await there.process();
  const again = await letters("replay", "detector", record("astray"), "--json");
  expect(lines(again.out)).toMatchObject([{ processor: "detector", outcome: "counted_before" }]);
  expect(await balance("astray")).toBe("7.00");
}, TEST_MS);
