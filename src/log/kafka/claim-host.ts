/** What claims of a group have in common, and what one of them is on. */

import type { NewRecord } from "../event-log.ts";
import type { Connections } from "./connections.ts";
import type { Fetcher } from "./fetcher.ts";
import type { GroupWriters } from "./group-writer.ts";
import type { TopicNames } from "./names.ts";

export interface ClaimHost {
  readonly names: TopicNames;
  readonly connections: Connections;
  /** For opening claims and committing, which may take a while. */
  readonly transactionConnections: Connections;
  readonly writers: GroupWriters;
  readonly fetcher: Fetcher;
  readonly nowMs: () => number;
  /** Sizes, topics and partitions. Throws `record_too_large`, `unknown_topic`. */
  check(records: readonly NewRecord[]): Promise<void>;
}

export interface ClaimPlace {
  readonly group: string;
  readonly partition: number;
  readonly topics: readonly string[];
  readonly changelog: string;
}
