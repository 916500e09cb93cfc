/**
 * The brokers of the test run. DEPOSITAJA_TEST_BROKERS points to a cluster (check.ts starts one
 * and sets it); without it a test process starts its own when first asked, which ends with it.
 *
 *   kafkaTest ──> DEPOSITAJA_TEST_BROKERS | a broker of this process | skipped, loudly
 */

import { test } from "bun:test";
import { missingForBroker } from "./java.ts";
import { KafkaCluster } from "./kafka-cluster.ts";
import { BROKERS_VARIABLE, brokersOf, FOLDER_VARIABLE, skippedNotice } from "./test-brokers.ts";

const given = process.env[BROKERS_VARIABLE] ?? "";
/** Why no case can run on a real broker here; null when they can. */
export const whyNoBroker = given === "" ? await missingForBroker() : null;
if (whyNoBroker !== null) console.error(skippedNotice(whyNoBroker));

/** Test files of one process share it, though each may load this module anew. */
const shared = globalThis as { kafkaOfThisProcess?: Promise<KafkaCluster> };

/** Addresses of a running cluster of at least one broker, without TLS or SASL. */
export async function testBrokers(): Promise<string> {
  if (given !== "") return given;
  if (whyNoBroker !== null) throw new Error(whyNoBroker);
  shared.kafkaOfThisProcess ??= KafkaCluster.start();
  const { environment } = brokersOf(await shared.kafkaOfThisProcess);
  Object.assign(process.env, environment); // for the processes that a case starts
  return environment[BROKERS_VARIABLE];
}

/** Whether the brokers' files are at hand. */
export const hasBrokerFolder =
  whyNoBroker === null && (given === "" || process.env[FOLDER_VARIABLE] !== undefined);

/** Where they keep their data, once they run. */
export function brokerFolder(): string {
  return process.env[FOLDER_VARIABLE] ?? "";
}

/** A prefix for the topics, groups and ids of one case: the cluster is everybody's. */
export function freshPrefix(): string {
  return `t${crypto.randomUUID().slice(0, 8)}-`;
}

/** A test on a real broker; skipped where there is none. 30 s unless told. */
export function kafkaTest(title: string, run: () => Promise<void>, timeoutMs = 30_000): void {
  // Skipped: without Java 17 and Maven, or a cluster that is pointed to, there is no broker.
  test.skipIf(whyNoBroker !== null)(title, run, timeoutMs);
}

/** One that waits more than it works, beside those declared next to it. */
export function kafkaTestBeside(title: string, run: () => Promise<void>, timeoutMs: number): void {
  // Skipped: as above.
  test.concurrent.skipIf(whyNoBroker !== null)(title, run, timeoutMs);
}
