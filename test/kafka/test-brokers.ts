/**
 * One Kafka broker for a whole test run, told to the tests by their environment.
 *
 *   DEPOSITAJA_TEST_BROKERS | Java and Maven ──> broker ──> environment of `bun test`
 */

import { missingForBroker } from "./java.ts";
import { KafkaCluster } from "./kafka-cluster.ts";

/** `host:port,...` of a cluster without TLS or SASL whose topics may be made and removed. */
export const BROKERS_VARIABLE = "DEPOSITAJA_TEST_BROKERS";

/** Their folder, where they are the test run's own. */
export const FOLDER_VARIABLE = "DEPOSITAJA_TEST_BROKERS_FOLDER";

export interface BrokersOfRun extends AsyncDisposable {
  readonly environment: Readonly<Record<string, string>>;
  /** What is left out and why, to be shown at the end; null when nothing is. */
  readonly missing: string | null;
}

/** Rejects when a broker could be started, and does not start. */
export async function brokersForRun(): Promise<BrokersOfRun> {
  const nothing = async () => {};
  const given = process.env[BROKERS_VARIABLE] ?? "";
  if (given !== "") return { environment: {}, missing: null, [Symbol.asyncDispose]: nothing };
  const why = await missingForBroker();
  if (why !== null) {
    return { environment: {}, missing: skippedNotice(why), [Symbol.asyncDispose]: nothing };
  }
  const cluster = await KafkaCluster.start();
  const { environment } = brokersOf(cluster);
  return { environment, missing: null, [Symbol.asyncDispose]: () => cluster.close() };
}

/** What tests and the processes that they start are told of a cluster. */
export function brokersOf(cluster: KafkaCluster) {
  const environment = {
    [BROKERS_VARIABLE]: cluster.addresses(),
    [FOLDER_VARIABLE]: cluster.folder,
  };
  return { environment };
}

/** What a run says about the cases that it leaves out. */
export function skippedNotice(why: string): string {
  return (
    `SKIPPED: every case on a real Kafka broker.\n         ${why};\n` +
    `         or point ${BROKERS_VARIABLE} to a cluster`
  );
}
