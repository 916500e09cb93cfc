/** The benchmarks on a Kafka cluster, in the order of the table. */

import type { Benchmark } from "../measurement.ts";
import { backlog } from "./backlog.ts";
import { storeRecovery, viewCatchUp } from "./catch-up.ts";
import { deposits, keyedDeposits } from "./deposits.ts";
import { idle, settleTime } from "./running.ts";
import { verify } from "./verify.ts";

/** `brokers`: `host:port,...` of a cluster without a password, whose topics may be made. */
export function kafkaBenchmarks(brokers: string): readonly Benchmark[] {
  return [
    ...[deposits, keyedDeposits, backlog, settleTime, viewCatchUp, storeRecovery, verify],
    idle,
  ].map((make) => make(brokers));
}
