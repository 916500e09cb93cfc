/**
 * `verify`: recomputes balances, flags, evidence and ids from the streams alone, by code that the
 * processors have no part in, and compares every row of every table, every flag event and every
 * dead letter; and it reads every record with its checksum.
 *
 *   log, tables ──a partition at a time──> how much was compared, what differs
 *
 * It takes part in nothing and changes nothing. Each table is compared as of the progress that
 * belongs to the rows read, so that it may run while everything else does. Memory holds one wallet
 * of one partition at a time; what is larger stands in SQLite's temporary file.
 */

import { SQLiteError } from "bun:sqlite";
import { type EventLog, LogError } from "../../log/event-log.ts";
import { StreamError } from "../../stream/stream-error.ts";
import { type Compared, type Difference, Findings, inWords } from "./findings.ts";
import {
  GROUPS,
  type GroupName,
  type GroupStand,
  provePartition,
} from "./partition-proof.ts";
import { positionText } from "./place.ts";
import { limitMinor } from "./published-rule.ts";
import { firstDisagreement, type RuleVersions } from "./rule-versions.ts";
import { Scratch } from "./scratch.ts";
import { changelogTable, type TableState } from "./tables.ts";

/** A record that a group has committed is to be seen by a reader for so long. */
const SEEN_WITHIN_MS = 5_000;
const LOOK_AGAIN_MS = 50;

export interface VerifyOptions {
  readonly log: Pick<EventLog, "read" | "bounds" | "progress" | "keepsChangelogs">;
  readonly partitions: number;
  readonly decimals: number;
  /** The owner's store as it is; null when there is none. Left out: the changelogs are read. */
  readonly openTable?: (table: string, partition: number) => TableState | null;
  /** What SQLite finds wrong with the log's own file. */
  readonly logProblems: () => readonly string[];
  /** Differences to keep whole; all are counted. */
  readonly limit: number;
  readonly signal: AbortSignal;
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly monotonicMs: () => number;
  /** After each partition. */
  readonly onProgress?: (done: { readonly partitions: number }) => void;
}

export interface VerifyResult {
  readonly compared: Compared;
  readonly flaggedWallets: number;
  /** Records that a group has not done yet, and which its table therefore lacks. */
  readonly left: Readonly<Record<GroupName, number>>;
  /** The first ones. */
  readonly differences: readonly Difference[];
  readonly differenceCount: number;
  readonly seconds: number;
  /** The signal fired before the end: the rest was not looked at. */
  readonly wasStopped: boolean;
}

/** Throws LogError as reading does; a record that is `corrupt` is a difference. */
export async function verify(options: VerifyOptions): Promise<VerifyResult> {
  try {
    return await verifyAll(options);
  } catch (error) {
    // Log and tables name their files by themselves: what is left is the scratch's.
    if (!(error instanceof SQLiteError)) throw error;
    const message =
      `the temporary file of a verification cannot be used (${error.message}): make room, or ` +
      "name another folder in SQLITE_TMPDIR";
    throw new LogError("unavailable", message, { cause: error });
  }
}

async function verifyAll(options: VerifyOptions): Promise<VerifyResult> {
  const { log, partitions, signal, monotonicMs } = options;
  const startMs = monotonicMs();
  const findings = new Findings(options.limit);
  for (const problem of options.logProblems()) tellOfFile(findings, "log", null, problem);
  const left: Record<GroupName, number> = { balance: 0, threshold: 0, flagger: 0 };
  let flaggedWallets = 0;
  /** Of the first partition, which decides. */
  let versions: RuleVersions["list"] | null = null;
  const scratch = new Scratch();
  try {
    for (let partition = 0; partition < partitions && !signal.aborted; partition += 1) {
      const stands = await standsOf(options, findings, partition);
      try {
        const bounds = await boundsOf(options, partition, stands);
        const result = await provePartition({
          ...{ log, findings, signal, partition, partitions, scratch, stands, bounds },
          limitMinor: limitMinor(options.decimals),
          hasChangelogs: log.keepsChangelogs,
        });
        for (const group of GROUPS) left[group] += result.left[group];
        flaggedWallets += result.flagged;
        versions ??= result.versions;
        compareVersions(findings, partition, { decided: versions, found: result.versions });
      } finally {
        for (const group of GROUPS) stands[group].table?.close();
      }
      options.onProgress?.({ partitions: partition + 1 });
    }
  } finally {
    scratch.close();
  }
  const { compared, differences, differenceCount } = findings;
  const seconds = (monotonicMs() - startMs) / 1_000;
  const wasStopped = signal.aborted;
  return { compared, flaggedWallets, left, differences, differenceCount, seconds, wasStopped };
}

function compareVersions(
  findings: Findings,
  partition: number,
  { decided, found }: Readonly<Record<"decided" | "found", RuleVersions["list"]>>,
): void {
  const two = firstDisagreement(decided, found);
  if (two === null) return;
  const [expected, other] = two;
  const position = positionText("deposit", partition, other.offset);
  const place = { kind: "rule" as const, where: "deposit", partition, wallet: null, position };
  findings.differ({ ...place, ...inWords(expected, { ...other, offset: expected.offset }) });
}

async function standsOf(
  options: VerifyOptions,
  findings: Findings,
  partition: number,
): Promise<Record<GroupName, GroupStand>> {
  const stands: Partial<Record<GroupName, GroupStand>> = {};
  for (const group of GROUPS) stands[group] = await standOf(options, findings, group, partition);
  return stands as Record<GroupName, GroupStand>;
}

async function standOf(
  { log, openTable, signal }: VerifyOptions,
  findings: Findings,
  group: GroupName,
  partition: number,
): Promise<GroupStand> {
  const name = `${group}-table`;
  if (openTable === undefined) {
    const committed = await log.progress(group, partition);
    const { start } = await log.bounds(name, partition);
    const place = { topic: name, partition, start };
    const table = await changelogTable({ log, findings, signal }, place, committed);
    return { table, committed };
  }
  let table: TableState | null = null;
  let problem: string | null = null;
  try {
    table = openTable(name, partition);
    problem = table?.problems().join("; ") || null;
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    problem = error.message;
  }
  const committed = await log.progress(group, partition);
  if (problem !== null) {
    tellOfFile(findings, name, partition, problem);
    table?.close();
    return { table: null, committed };
  }
  if (table === null && committed !== null) {
    const advice = "start `process` or `up`, and it is built anew";
    tellOfFile(findings, name, partition, `no table, though the group has run: ${advice}`);
  }
  return { table, committed };
}

/** Ends are at least what the groups say that they have done, where the log has so much. */
async function boundsOf(
  { log, delay, signal, monotonicMs }: VerifyOptions,
  partition: number,
  stands: Readonly<Record<GroupName, GroupStand>>,
) {
  const needed = new Map<string, bigint>();
  const need = (topic: string, end: bigint) => {
    if (end > (needed.get(topic) ?? 0n)) needed.set(topic, end);
  };
  for (const { committed } of Object.values(stands)) {
    for (const { topic, nextOffset } of committed?.inputs ?? []) need(topic, nextOffset);
    for (const output of committed?.outputs ?? []) {
      if (output.partition === partition) need(output.topic, output.lastOffset + 1n);
    }
  }
  const topics = ["deposit", "flag_wallet", ...GROUPS.map((group) => `${group}-dead-letters`)];
  const all = new Map<string, { readonly start: bigint; readonly end: bigint }>();
  for (const topic of topics) {
    const untilMs = monotonicMs() + SEEN_WITHIN_MS;
    let found = await log.bounds(topic, partition);
    while (found.end < (needed.get(topic) ?? 0n) && monotonicMs() < untilMs && !signal.aborted) {
      await delay(LOOK_AGAIN_MS, signal);
      found = await log.bounds(topic, partition);
    }
    all.set(topic, found);
  }
  return (topic: string) => {
    const found = all.get(topic);
    if (found === undefined) throw new LogError("unknown_topic", `${topic} was not looked up`);
    return found;
  };
}

function tellOfFile(
  findings: Findings,
  where: string,
  partition: number | null,
  found: string,
): void {
  const kind = partition === null ? "damage" : "table";
  const expected = kind === "table" ? "a table that can be read" : "a file that is whole";
  findings.differ({ kind, where, partition, wallet: null, position: null, expected, found });
}

