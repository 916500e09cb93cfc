/**
 * What the commands about a log's file share: a cluster has no such file.
 */

import { UsageError } from "./usage-error.ts";

/** Throws UsageError where the settings name a cluster. */
export function refuseCluster(kafka: object | null, advice: string): void {
  if (kafka === null) return;
  throw new UsageError(
    `this is for a data folder, and the settings name a Kafka cluster: ${advice}`,
  );
}
