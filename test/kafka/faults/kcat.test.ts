/** What kcat writes, a client that shares no code with this one: with our partitioner, and not. */

import { expect, test } from "bun:test";
import { toBinary } from "@bufbuild/protobuf";
import { newDeposit } from "../../../src/deposits/deposit.ts";
import { DepositSchema } from "../../../src/gen/depositaja/v1/deposit_pb.ts";
import { partitionOf } from "../../../src/stream/partitioner.ts";
import { temporaryFolder } from "../../end-to-end/program.ts";
import { freshPrefix, kafkaTest, testBrokers } from "../broker.ts";
import { GroupsHere } from "./groups-here.ts";

const TEST_MS = 60_000;
const PARTITIONS = 8;
/** So many that keys of every length stand in every partition. */
const WALLETS = Array.from({ length: 64 }, (_, index) => "wallet-é".slice(index % 8) + index);
/** Within no deposit: amounts and times are a few bytes. */
const AFTER_KEY = "--key--";
const AFTER_VALUE = "--end--";

const hasKcat = Bun.which("kcat") !== null;

kcatTest("what kcat writes with Java's partitioner is counted, with its own refused", async () => {
  using folder = temporaryFolder();
  const place = { brokers: await testBrokers(), prefix: freshPrefix(), folder: folder.path };
  await using groups = await GroupsHere.start({ ...place, partitions: PARTITIONS });
  const topic = `${place.prefix}deposit`;
  const write = (wallets: readonly string[], amountMinor: bigint, ...flags: string[]) =>
    kcat(["-P", "-b", place.brokers, "-t", topic, ...flags], lines(wallets, amountMinor));
  await write(WALLETS, 1n, "-X", "partitioner=murmur2_random");
  await write(WALLETS, 100n, "-X", "partitioner=consistent"); // librdkafka's own: CRC-32
  const retry = ["-X", "partitioner=murmur2_random", "-H", "id=order-1"];
  for (let i = 0; i < 2; i += 1) await write(WALLETS.slice(0, 1), 10_000n, ...retry);
  await groups.settled();
  const isAtHome = (wallet: string) => {
    const key = Buffer.from(wallet);
    return (Bun.hash.crc32(key) >>> 0) % PARTITIONS === partitionOf(key, PARTITIONS);
  };
  const balances = WALLETS.map((wallet) => groups.balance(wallet));
  expect(balances).toEqual(
    WALLETS.map((wallet, at) => 1n + (isAtHome(wallet) ? 100n : 0n) + (at === 0 ? 10_000n : 0n)),
  );
  const strays = WALLETS.filter((wallet) => !isAtHome(wallet));
  expect(strays.length).toBeGreaterThan(WALLETS.length / 2);
  for (const group of ["balance", "threshold"]) {
    const letters = await groups.deadLetters(group);
    expect(letters.toSorted()).toEqual(strays.map((key) => `${key} wrong_partition`).toSorted());
  }
});

function kcatTest(title: string, run: () => Promise<void>): void {
  if (hasKcat) return kafkaTest(title, run, TEST_MS);
  test.skip(`${title} (skipped, kcat is not on the PATH)`, () => {});
}

/** A deposit into each, as kcat reads them. */
function lines(wallets: readonly string[], amountMinor: bigint): Buffer {
  const message = newDeposit({ amountMinor, acceptedAtMs: Date.now() });
  const value = toBinary(DepositSchema, message);
  return Buffer.concat(
    wallets.flatMap((wallet) => [
      Buffer.from(wallet + AFTER_KEY),
      value,
      Buffer.from(AFTER_VALUE),
    ]),
  );
}

async function kcat(args: readonly string[], input: Buffer): Promise<void> {
  const child = Bun.spawn(["kcat", ...args, "-K", AFTER_KEY, "-D", AFTER_VALUE], {
    stdio: [input, "ignore", "pipe"],
  });
  const [code, err] = await Promise.all([child.exited, child.stderr.text()]);
  expect([code, err]).toEqual([0, ""]);
}
