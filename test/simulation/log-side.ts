/** What a run's judge and its end look at, whichever log the processes run on. */

import type { EventLog, Progress } from "../../src/log/event-log.ts";
import type { PartitionLog } from "./partition-log.ts";

export interface LogSide {
  readonly incarnation: string;
  readonly keepsChangelogs: boolean;
  /** Nothing waits for a sync. */
  readonly isIdle: boolean;
  /** As durable, and as shown to readers. */
  partition(topic: string, partition: number): PartitionLog;
  /** Every partition that there is. */
  partitions(): Iterable<PartitionLog>;
  progressShown(group: string, partition: number): Progress | null;
  progressDurable(group: string, partition: number): Progress | null;
  /** All processes are dead where they share the log's disk. */
  powerCut(): void;
}

/** A process's own connection to the log. */
export interface LogConnection extends EventLog {
  /** Something may have changed for who listens there. */
  ring(): void;
}
