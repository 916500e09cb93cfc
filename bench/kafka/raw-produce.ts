/**
 * The baseline of deposits: kafkajs alone, producing the same keys and values in batches, acks
 * from all replicas, one batch after the other.
 *
 *   plan (JSON argument) ──batches──> topic ──> report (JSON)
 */

import { depositStream, newDeposit } from "../../src/deposits/deposit.ts";
import { foreignClient } from "../../test/kafka/foreign-client.ts";
import { walletName } from "../load-plan.ts";
import { below, randomFrom } from "../../src/proof/random.ts";

export interface RawProducePlan {
  readonly brokers: string;
  /** Of the cluster. */
  readonly topic: string;
  readonly wallets: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
}

export interface RawProduceReport {
  readonly recordsPerSecond: number;
}

const BATCH_RECORDS = 1_000;
const ACKS_ALL = -1;
/** Made beforehand, so that only kafkajs is measured. */
const PREPARED_BATCHES = 50;

const plan = JSON.parse(process.argv[2] ?? "null") as RawProducePlan;
const kafka = foreignClient(plan.brokers);
const batches = prepare();
const producer = kafka.producer();
await producer.connect();
await produceFor(plan.warmUpMs);
const startMs = performance.now();
const records = await produceFor(plan.durationMs);
const recordsPerSecond = (records / (performance.now() - startMs)) * 1_000;
console.log(JSON.stringify({ recordsPerSecond } satisfies RawProduceReport));
process.exit(0);

async function produceFor(durationMs: number): Promise<number> {
  const endMs = performance.now() + durationMs;
  let count = 0;
  while (performance.now() < endMs) {
    const messages = batches[(count / BATCH_RECORDS) % batches.length] ?? [];
    await producer.send({ topic: plan.topic, acks: ACKS_ALL, messages });
    count += BATCH_RECORDS;
  }
  return count;
}

function prepare() {
  const random = randomFrom(1);
  const message = () => {
    const amountMinor = BigInt(1 + below(random, 9_999));
    const deposit = newDeposit({ amountMinor, acceptedAtMs: Date.now() });
    const key = Buffer.from(walletName(below(random, plan.wallets)));
    return { key, value: Buffer.from(depositStream.codec.encode(deposit)) };
  };
  return Array.from({ length: PREPARED_BATCHES }, () =>
    Array.from({ length: BATCH_RECORDS }, message),
  );
}
