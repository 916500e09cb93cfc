/**
 * What the commands about a log's file share: a cluster has none, and a folder may have none.
 */

import { quote, startedAs } from "./started-as.ts";
import { CommandError, UsageError } from "./usage-error.ts";

/** Throws UsageError where the settings name a cluster. */
export function refuseCluster(kafka: object | null, advice: string): void {
  if (kafka === null) return;
  throw new UsageError(
    `this is for a data folder, and the settings name a Kafka cluster: ${advice}`,
  );
}

/**
 * Runs what is about a file. `folder` is the data that must be there; null: its absence has its
 * own words. Throws CommandError, and what the action throws.
 */
export async function withWords<T>(folder: string | null, action: () => T): Promise<T> {
  try {
    return action();
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (code !== "not_found" || folder === null) throw error;
    throw new CommandError(
      `there is no data in ${folder}: name its folder with --data, or make it with ` +
        `\`${startedAs()} up --data ${quote(folder)}\``,
      { cause: error },
    );
  }
}
