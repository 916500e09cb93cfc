/**
 * A processor: runs a group in this process, one task for each partition that it gets.
 *
 *   log.join ──claim──> task.run ──revoked──> release ──> another member
 *
 * A partition whose rule throws stays claimed and stands still, loudly, while the others go on: a
 * restart with a mended rule goes on at that record. A claim that is over is given back and comes
 * again, here or elsewhere.
 */

import { getLogger } from "@logtape/logtape";
import { type Claim, LogError } from "../log/event-log.ts";
import { type Group, tableName } from "./group.ts";
import { CommitTally, type ProcessorNumbers } from "./processing-numbers.ts";
import { isUselessStore } from "./store-fault.ts";
import { StreamError } from "./stream-error.ts";
import { Task, type TaskOptions, type TaskState } from "./task.ts";

/** Before a partition that failed for a passing reason is claimed again. */
const RECLAIM_DELAY_MS = 500;

const logger = getLogger(["stream", "processor"]);

export interface ProcessorOptions extends Omit<TaskOptions, "limits" | "commits"> {
  /** Serve only what no live member serves; see JoinOptions. */
  readonly standIn?: boolean;
  /** Leave other partitions alone; see JoinOptions. */
  readonly wants?: (partition: number) => boolean;
}

export interface Processor {
  readonly group: Group;
  /** The partitions that this process has, in order. */
  state(): readonly TaskState[];
  /** The same in plain numbers, and how its commits went. */
  numbers(): ProcessorNumbers;
  /** Finishes the running batches and gives the partitions back. Idempotent. */
  stop(): Promise<void>;
  /** Settles when the processor has ended; rejects when it can't go on at all. */
  readonly done: Promise<void>;
}

export function startProcessor(options: ProcessorOptions): Processor {
  const { log, group, standIn, wants } = options;
  const stopping = new AbortController();
  const tasks = new Map<number, Task>();
  const failed = new Map<number, TaskState>();
  const discarded = new Set<number>();
  const running = new Set<Promise<void>>();
  const commits = new CommitTally();

  const start = (claim: Claim) => {
    const own = { stopping: stopping.signal, tasks, failed, discarded, commits };
    const run = runClaim(claim, { ...options, ...own });
    running.add(run);
    run.finally(() => running.delete(run)).catch(() => {}); // `done` has the error
    return run;
  };

  const loop = async () => {
    const claims = log.join({
      group: group.name,
      topics: group.inputs.map(({ stream }) => stream.topic),
      changelog: tableName(group),
      signal: stopping.signal,
      ...(standIn === undefined ? {} : { standIn }),
      ...(wants === undefined ? {} : { wants }),
    });
    const fatal = Promise.withResolvers<never>();
    fatal.promise.catch(() => {}); // heard below, or nothing went wrong
    const claimed = (async () => {
      for await (const claim of claims) start(claim).catch(fatal.reject);
    })();
    try {
      await Promise.race([claimed, fatal.promise]);
    } finally {
      stopping.abort();
      await Promise.allSettled([claimed, ...running]);
    }
  };

  const done = loop();
  done.catch(() => {}); // whoever awaits `done` or `stop` hears of it
  const state = () => {
    // A task that has just ended is judged in a moment: it may be one that comes again.
    const live = [...tasks.values()]
      .map((task) => task.state)
      .filter(({ phase }) => phase !== "stopped");
    return [...live, ...failed.values()].sort((a, b) => a.partition - b.partition);
  };
  return {
    group,
    done,
    state,
    numbers: () => ({
      group: group.name,
      commits: { ...commits, sizes: [...commits.sizes] },
      tasks: state().map(({ partition, phase, recovery }) => ({ partition, phase, recovery })),
    }),
    stop: async () => {
      stopping.abort();
      await done;
    },
  };
}

interface ClaimRun extends TaskOptions {
  readonly stopping: AbortSignal;
  readonly tasks: Map<number, Task>;
  readonly failed: Map<number, TaskState>;
  /** Partitions whose store was discarded: once in a process, for a disk may damage it again. */
  readonly discarded: Set<number>;
}

/** Runs one claim to its end. Rejects only with what stops the whole processor. */
async function runClaim(claim: Claim, options: ClaimRun): Promise<void> {
  const { tasks, failed, group, stopping } = options;
  const { partition } = claim;
  const place = { group: group.name, partition };
  failed.delete(partition);
  try {
    const task = new Task(claim, options);
    tasks.set(partition, task);
    logger.debug("{group} partition {partition}: claimed", place);
    await task.run();
  } catch (error) {
    if (isOver(error)) {
      logger.warn("{group} partition {partition}: the claim is over: {error}", { ...place, error });
      tasks.delete(partition); // it comes again: that is no partition that stands still
      await options.delay(RECLAIM_DELAY_MS, stopping);
    } else if (discards(error, claim, options)) {
      tasks.delete(partition); // it comes again, and its store is built anew
    } else {
      const stopped = stoppedState(claim, tasks.get(partition), error as Error);
      tasks.delete(partition);
      failed.set(partition, stopped);
      logger.error("{group} partition {partition} stands still: {message}", {
        ...place,
        message: stopped.error?.message,
      });
      options.log.notify(); // whoever waits for this partition may look why
      // One that was over with its failure comes again at once, and may fail so again.
      if (claim.revoked.aborted) await options.delay(RECLAIM_DELAY_MS, stopping);
      else await whenRevoked(claim, stopping);
    }
  } finally {
    tasks.delete(partition);
    failed.delete(partition);
    await claim.release().catch((error: unknown) => {
      // The claim ends with the member all the same; another takes it then.
      logger.warn("{group} partition {partition}: not given back: {error}", { ...place, error });
    });
  }
}

/** Takes a store of no use away, while it is surely this member's. */
function discards(error: unknown, claim: Claim, options: ClaimRun): boolean {
  const { discarded, group, stores } = options;
  const { partition } = claim;
  if (!isUselessStore(error) || claim.revoked.aborted || discarded.has(partition)) return false;
  discarded.add(partition);
  const place = { group: group.name, partition };
  logger.warn("{group} partition {partition}: {message}: this is done now", {
    ...place,
    message: error.message,
  });
  stores.discard(tableName(group), partition);
  return true;
}

/** Not a fault of the records: the partition may be tried again, here or elsewhere. */
function isOver(error: unknown): boolean {
  if (error instanceof StreamError) {
    return error.code === "store_fenced" || error.code === "store_unavailable";
  }
  return (
    error instanceof LogError &&
    ["fenced", "outcome_unknown", "unavailable", "closed"].includes(error.code)
  );
}

function stoppedState(claim: Claim, task: Task | undefined, error: Error): TaskState {
  return {
    partition: claim.partition,
    progress: claim.progress,
    deadLetters: 0,
    repeats: 0,
    recovery: null,
    ...task?.state,
    phase: "stopped",
    error,
  };
}

function whenRevoked(claim: Claim, stopping: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (claim.revoked.aborted || stopping.aborted) return resolve();
    claim.revoked.addEventListener("abort", () => resolve(), { once: true });
    stopping.addEventListener("abort", () => resolve(), { once: true });
  });
}
