/**
 * A log that fails where a test says so: between a task and what the log does for its claim.
 *
 *   task ──> beforeCommit ──> the log's commit ──> afterCommit ──> task
 */

import type { Claim, Commit, EventLog, LogRecord } from "../../src/log/event-log.ts";

export interface Faults {
  /** A throw stands for a commit that the log refused. */
  beforeCommit?: ((claim: Claim, commit: Commit) => Promise<void> | void) | undefined;
  /** A throw stands for an answer that was lost. */
  afterCommit?: ((claim: Claim, commit: Commit) => Promise<void> | void) | undefined;
  /** Before a task gets a batch of a replay. */
  onReplay?: ((claim: Claim, records: readonly LogRecord[]) => Promise<void> | void) | undefined;
  /** Before a batch of a topic is handed out. */
  onRead?: ((topic: string, records: readonly LogRecord[]) => Promise<void> | void) | undefined;
}

export function faultyLog(log: EventLog, faults: Faults): EventLog {
  return instead(log, {
    async *join(options) {
      for await (const claim of log.join(options)) yield faultyClaim(claim, faults);
    },
    async *read(options) {
      for await (const records of log.read(options)) {
        await faults.onRead?.(options.topic, records);
        yield records;
      }
    },
  });
}

function faultyClaim(claim: Claim, faults: Faults): Claim {
  return instead(claim, {
    commit: async (commit) => {
      await faults.beforeCommit?.(claim, commit);
      const progress = await claim.commit(commit);
      await faults.afterCommit?.(claim, commit);
      return progress;
    },
    async *replay(range) {
      for await (const records of claim.replay(range)) {
        await faults.onReplay?.(claim, records);
        yield records;
      }
    },
  });
}

/** The original with some of its methods replaced. */
function instead<T extends object>(original: T, methods: Partial<T>): T {
  return new Proxy(original, {
    get: (target, name) => {
      const replaced = methods[name as keyof T];
      if (replaced !== undefined) return replaced;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
