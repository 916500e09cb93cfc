/**
 * Brings a store from where it stands to what its group has committed.
 *
 *   no changelog: records of the inputs from the store's place on ──callbacks──> rows (no outputs)
 *   a changelog:  changed rows from the store's place on ──────────────────────> rows
 *
 * Either way it costs what is missing, not what exists. Streams are kept for good and callbacks
 * depend on their records alone, so running them again gives the same rows.
 */

import type { Claim, EventLog, LogRecord, Progress } from "../log/event-log.ts";
import { inputProgress } from "../log/input-progress.ts";
import { isSamePlace } from "../log/progress-text.ts";
import { resetIfStale } from "./in-step.ts";
import { missingBetween, type Recovery } from "./processing-numbers.ts";
import type { RecordRunner } from "./record-runner.ts";
import { refusedBetween } from "./refused-before.ts";
import { toLatin1 } from "./row-key.ts";
import type { Store } from "./store.ts";
import { ruleFailed, StreamError } from "./stream-error.ts";
import type { EncodedRow, TaskRows } from "./task-rows.ts";

const MAX_BATCH_RECORDS = 2_048;
/** Records between two turns of the event loop, for a rule that takes 10 ms a record. */
const SLICE_RECORDS = 64;
/** Changed rows between two transactions of a store that follows a changelog. */
const FLUSH_EVERY_ROWS = 8_192;

export interface CatchUp {
  readonly claim: Claim;
  /** What the group has committed: where the store is to stand. */
  readonly to: Progress | null;
  /** When that was surely the newest, by the store's clock. */
  readonly toMs: number;
  readonly store: Store;
  readonly rows: TaskRows;
  readonly runner: RecordRunner;
  readonly log: EventLog;
  /** Records, or changed rows, between two transactions of the store. */
  readonly flushRecords: number;
  /** Told again and again; what the store gets with its next write counts as done. */
  readonly onMoved: (recovery: Recovery) => void;
}

/**
 * Afterwards the store stands at `to`, unless the claim was revoked meanwhile. Throws
 * `store_ahead`, `store_fenced`, `rule_failed`.
 */
export async function catchUp(options: CatchUp): Promise<void> {
  const { claim, store, log, to, toMs } = options;
  const { group, partition, epoch, revoked: signal } = claim;
  const { flushRecords: flushRows } = options;
  const from = store.progress();
  if (from !== null) checkNotAhead(store, from, to);
  if (to === null) return;
  if (isSamePlace(from, to)) {
    // Nothing was done meanwhile, however long that was: it has missed nothing.
    if (log.keepsChangelogs) store.stamp({ epoch, at: to, inStepMs: toMs });
    return;
  }
  if (!log.keepsChangelogs) return runAgain(options, from, to);
  resetIfStale(store, epoch);
  const all = missingBetween(store.progress(), to, true);
  options.onMoved({ done: 0, left: all });
  const onApplied = (at: Progress) => {
    const left = missingBetween(at, to, true);
    options.onMoved({ done: all - left, left });
  };
  const range = { log, group, partition, store, epoch, to, toMs, signal, flushRows, onApplied };
  await followChangelog(range);
}

async function runAgain(options: CatchUp, from: Progress | null, to: Progress): Promise<void> {
  const { claim, toMs: inStepMs, store, rows, runner } = options;
  let flushed = from;
  let reached = from;
  let recordsSinceFlush = 0;
  const all = missingBetween(from, to, false);
  let done = 0;
  const flush = (after: Progress) => {
    const before = flushed;
    const { epoch } = claim;
    rows.flush((encoded) => store.apply({ epoch, before, after, rows: encoded, inStepMs }));
    flushed = after;
    recordsSinceFlush = 0;
  };
  const { group, partition } = claim;
  const refused = await refusedBetween({ log: options.log, group, partition, from, to });
  const isTaken = ({ topic, offset }: LogRecord) => refused.get(topic)?.has(offset) !== true;
  const batches = claim.replay({ from, to, maxRecords: MAX_BATCH_RECORDS });
  for await (const records of slicesOf(batches)) {
    const taken = refused.size === 0 ? records : records.filter(isTaken);
    const failure = store.snapshot(() => runner.run(taken));
    // It went well once: the rule has changed since.
    if (failure !== null) throw ruleFailed(group, taken[failure.index], failure.error);
    runner.discard();
    rows.committed();
    for (const { topic, offset, checksum } of records) {
      reached = moved(reached, to, { topic, nextOffset: offset + 1n, checksum });
    }
    recordsSinceFlush += records.length;
    done += records.length;
    options.onMoved({ done, left: Math.max(0, all - done) });
    if (recordsSinceFlush >= options.flushRecords && reached !== null) flush(reached);
    if (claim.revoked.aborted) return;
    await nextTurn();
  }
  flush(to);
}

export interface ChangelogRange {
  readonly log: EventLog;
  readonly group: string;
  readonly partition: number;
  readonly store: Store;
  readonly epoch: number;
  /** What the group has committed: where the store is to stand. */
  readonly to: Progress;
  /** When that was surely the newest, by the store's clock. */
  readonly toMs: number;
  readonly signal: AbortSignal;
  /** Changed rows between two transactions; 8,192 unless told. */
  readonly flushRows?: number;
  /** After each write: where the store stands now. */
  readonly onApplied?: (progress: Progress) => void;
}

/** Brings a store to a progress by the rows that changed; half-way where the signal fires. */
export async function followChangelog(options: ChangelogRange): Promise<void> {
  const { log, group, partition, store, epoch, to, toMs, signal } = options;
  const { flushRows = FLUSH_EVERY_ROWS } = options;
  let before = store.progress();
  const { inputs = [], changelogOffset = null } = before ?? {};
  if (changelogOffset !== null && changelogOffset > (to.changelogOffset ?? -1n)) {
    throw new StreamError(
      "store_ahead",
      `the store ${store.path} stands at offset ${changelogOffset} of ${group}-table partition ` +
        `${partition}, but its group has committed only up to ${to.changelogOffset ?? "none"}: ` +
        "delete the store, and it is built anew",
    );
  }
  let pending: EncodedRow[] = [];
  const apply = (after: Progress, isInStep: boolean) => {
    // One that is begun misses no tombstone that is dropped later.
    const inStepMs = isInStep || before === null ? toMs : null;
    store.apply({ epoch, before, after, rows: pending, inStepMs });
    options.onApplied?.(after);
    before = after;
    pending = [];
  };
  if (to.changelogOffset !== null && to.changelogOffset !== changelogOffset) {
    const batches = log.read({
      topic: `${group}-table`,
      partition,
      from: changelogOffset === null ? 0n : changelogOffset + 1n,
      until: to.changelogOffset + 1n,
      signal,
    });
    for await (const records of batches) {
      for (const { key, value } of records) pending.push([toLatin1(key), value]);
      const last = records.at(-1);
      if (pending.length < flushRows || last === undefined) continue;
      // The rows are ahead of the inputs named here, and the changelog's offset says how far.
      apply({ inputs, outputs: to.outputs, changelogOffset: last.offset }, false);
      log.notify(); // whoever waits for the end sees that it moves
      await nextTurn();
    }
  }
  if (!signal.aborted) apply(to, true);
}

/** Outputs count as those of the end: they are in the log, and "settled" must wait for them. */
function moved(
  reached: Progress | null,
  to: Progress,
  input: Progress["inputs"][number],
): Progress {
  const rest = (reached?.inputs ?? []).filter(({ topic }) => topic !== input.topic);
  return { ...to, inputs: [...rest, input] };
}

function checkNotAhead(store: Store, from: Progress, to: Progress | null): void {
  for (const { topic, nextOffset } of from.inputs) {
    const committed = inputProgress(to, topic)?.nextOffset ?? 0n;
    if (nextOffset <= committed) continue;
    throw new StreamError(
      "store_ahead",
      `the store ${store.path} stands at ${topic} offset ${nextOffset}, but its group has ` +
        `committed only up to ${committed}: delete the store, and it is built anew`,
    );
  }
}

/** The next at most SLICE_RECORDS: as many as may be run without a turn of the event loop. */
export function sliceAt(records: readonly LogRecord[], from: number): readonly LogRecord[] {
  return records.slice(from, from + SLICE_RECORDS);
}

async function* slicesOf(
  batches: AsyncIterable<readonly LogRecord[]>,
): AsyncGenerator<readonly LogRecord[]> {
  for await (const records of batches) {
    for (let from = 0; from < records.length; from += SLICE_RECORDS) yield sliceAt(records, from);
  }
}

/** Heartbeats and shutdown need the event loop, however slow a rule is. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
