/**
 * One partition, proven: its streams read and judged, then wallet by wallet its three tables, its
 * flag events and its dead letters held against what the deposits alone give.
 *
 *   tables as they stand, progress ──streams up to there──> by wallet ──> differences
 */

import type { InputProgress, Progress } from "../../log/event-log.ts";
import { inputProgress } from "../../log/input-progress.ts";
import { keyPrefix } from "../../stream/row-key.ts";
import { StreamError } from "../../stream/stream-error.ts";
import { proveBalance } from "./balance-proof.ts";
import { nextPrefix, recordsByKey, Side } from "./by-wallet.ts";
import { keepLetters, tellOfLeftLetters } from "./letters.ts";
import { proveFlagger } from "./flagger-proof.ts";
import { type Reader, scanStream } from "./partition-scan.ts";
import { differ } from "./place.ts";
import { goodRecords, type Reading } from "./reading.ts";
import { flagWalletCodec } from "./record-verdict.ts";
import { RULE_VERSION_FORMAT } from "./row-formats.ts";
import { compareRows, type FoundRows, NO_ROWS, rowsByKey } from "./rows.ts";
import { RuleVersions } from "./rule-versions.ts";
import type { Arrival, Scratch } from "./scratch.ts";
import type { TableState } from "./tables.ts";
import { type FoundEvent, proveThreshold } from "./threshold-proof.ts";

/** Wallets between two turns of the event loop, which a stop waits for. */
const WALLETS_A_TURN = 512;

export const GROUPS = ["balance", "threshold", "flagger"] as const;
export type GroupName = (typeof GROUPS)[number];
const INPUTS = { balance: "deposit", threshold: "deposit", flagger: "flag_wallet" } as const;

/** What is known of a group in the partition, looked up before any stream's end. */
export interface GroupStand {
  /** Null where there is none that can be read. */
  readonly table: TableState | null;
  /** Asked after the table was opened: never behind it. */
  readonly committed: Progress | null;
}

export interface PartitionProof extends Reading {
  readonly partition: number;
  readonly partitions: number;
  /** Of version 1. */
  readonly limitMinor: bigint;
  readonly hasChangelogs: boolean;
  readonly scratch: Scratch;
  readonly stands: Readonly<Record<GroupName, GroupStand>>;
  /** First and end offset of a topic in this partition, looked up after the stands. */
  readonly bounds: (topic: string) => { readonly start: bigint; readonly end: bigint };
}

export interface PartitionResult {
  /** Records of its input that a group has not done. */
  readonly left: Readonly<Record<GroupName, number>>;
  readonly flagged: number;
  readonly versions: RuleVersions["list"];
}

export async function provePartition(proof: PartitionProof): Promise<PartitionResult> {
  const { scratch, stands } = proof;
  const readers = GROUPS.map((group, index) => readerOf(group, 1 << index, proof));
  for (const reader of readers) await readLetters(proof, reader);
  const left: Partial<Record<GroupName, number>> = {};
  const rules = new RuleVersions(proof.limitMinor);
  const eventsEnd = lastOutput(stands.threshold.committed, "flag_wallet", proof.partition);
  for (const topic of ["deposit", "flag_wallet"] as const) {
    const own = readers.filter((reader) => reader.topic === topic);
    const { start: from, end: until } = proof.bounds(topic);
    const range = { topic, partition: proof.partition, from, until };
    // The detector's events are held against the deposits before the flagger has read them.
    const writtenUntil = topic === "flag_wallet" ? Number(eventsEnd) + 1 : 0;
    const counts = await scanStream({ ...proof, range, readers: own, rules, writtenUntil });
    own.forEach(({ group }, index) => (left[group] = counts[index] as number));
  }
  tellOfLeftLetters(scratch, readers);
  const [balance, threshold, flagger] = readers as [Reader, Reader, Reader];
  const three = { balance, threshold, flagger };
  const wallets = new WalletWalk({ proof, readers: three, eventsEnd, rules });
  const flagged = await wallets.walk();
  scratch.clear();
  return { left: left as Record<GroupName, number>, flagged, versions: rules.list };
}

function readerOf(group: GroupName, bit: number, proof: PartitionProof): Reader {
  const { table, committed } = proof.stands[group];
  const { partition, findings } = proof;
  const topic = INPUTS[group];
  const stands = [inputProgress(committed, topic), inputProgress(table?.progress ?? null, topic)];
  const [done, folded] = stands.map((stand) => Number(stand?.nextOffset ?? 0n)) as [number, number];
  const place = { group, partition, topic, bit, committed: done, folded, findings };
  if (folded > done) {
    const expected = `rows up to ${topic} offset ${done}, which ${group} has committed`;
    const where = `${group}-table`;
    differ(place, { kind: "table", where, offset: null, expected, found: `up to ${folded}` });
  }
  return { ...place, stands: stands as (InputProgress | null)[] };
}

async function readLetters(proof: PartitionProof, at: Reader): Promise<void> {
  const topic = `${at.group}-dead-letters`;
  const { start: from, end: until } = proof.bounds(topic);
  const lastOffset = lastOutput(proof.stands[at.group].committed, topic, proof.partition);
  const range = { topic, partition: proof.partition, from, until };
  for await (const records of goodRecords(proof, range)) {
    keepLetters(records, proof.scratch, { ...at, lastOffset });
  }
}

/** -1 while there is none. */
function lastOutput(progress: Progress | null, topic: string, partition: number): bigint {
  const isIt = (each: Progress["outputs"][number]) =>
    each.topic === topic && each.partition === partition;
  const found = progress?.outputs.find(isIt);
  return found?.lastOffset ?? -1n;
}

/** Through all wallets that any source knows. */
class WalletWalk {
  private readonly decoder = new TextDecoder();
  private flagged = 0;
  /** One of each for all wallets: a million of them would cost seconds. */
  private readonly places;

  constructor(
    private readonly options: {
      readonly proof: PartitionProof;
      readonly readers: Readonly<Record<GroupName, Reader>>;
      readonly eventsEnd: bigint;
      readonly rules: RuleVersions;
    },
  ) {
    const { readers, rules } = options;
    this.places = {
      balance: { ...readers.balance, wallet: "" },
      threshold: { ...readers.threshold, wallet: "", rules },
      flagger: { ...readers.flagger, wallet: "" },
    };
  }

  async walk(): Promise<number> {
    const { proof } = this.options;
    const { scratch, signal } = proof;
    const deposits = new Side(recordsByKey(scratch.arrivals("deposit")), noArrivals);
    const flags = new Side(recordsByKey(scratch.arrivals("flag_wallet")), noArrivals);
    const tables = {
      balance: this.tableSide("balance"),
      threshold: this.tableSide("threshold"),
      flagger: this.tableSide("flagger"),
    };
    const sides = [deposits, flags, ...Object.values(tables)];
    try {
      for (let count = 1; !signal.aborted; count += 1) {
        const prefix = nextPrefix(sides);
        if (prefix !== NO_KEY && count === 1) this.takeOwnRows(NO_OWN_ROWS); // it sorts first
        if (prefix === null) break;
        const rows = {
          balance: tables.balance.take(prefix),
          threshold: tables.threshold.take(prefix),
          flagger: tables.flagger.take(prefix),
        };
        this.prove(prefix, { deposits: deposits.take(prefix), flags: flags.take(prefix), rows });
        if (count % WALLETS_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      for (const side of sides) side.close();
    }
    return this.flagged;
  }

  private prove(
    prefix: string,
    of: {
      readonly deposits: readonly Arrival[];
      readonly flags: readonly Arrival[];
      readonly rows: Readonly<Record<GroupName, FoundRows>>;
    },
  ): void {
    const { proof, eventsEnd } = this.options;
    const { rows } = of;
    if (prefix === NO_KEY) return this.takeOwnRows(rows);
    proof.findings.compared.wallets += 1;
    const wallet = this.decoder.decode(Buffer.from(prefix.slice(2), "latin1"));
    const flags = of.flags.map((arrival) => ({
      ...arrival,
      message: flagWalletCodec.decode(arrival.value as Uint8Array),
    }));
    const events = flags.flatMap(({ offset, message, value }): FoundEvent[] => {
      if (message.kind.case !== "event" || offset > eventsEnd) return [];
      const written = flagWalletCodec.encode(message);
      const isAsWritten = Buffer.compare(written, value as Uint8Array) === 0;
      return [{ offset, event: message.kind.value, isAsWritten }];
    });
    const { balance, threshold, flagger } = this.places;
    for (const place of [balance, threshold, flagger]) place.wallet = wallet;
    proveBalance(of.deposits, rows.balance, balance);
    proveThreshold(of.deposits, { rows: rows.threshold, events }, threshold);
    if (proveFlagger(flags, rows.flagger, flagger)) this.flagged += 1;
  }

  /** Of no wallet: each changelog is named by a row of its own; and the rule's versions. */
  private takeOwnRows(rows: Readonly<Record<GroupName, FoundRows>>): void {
    const { proof, readers, rules } = this.options;
    for (const group of GROUPS) {
      const found = new Map(rows[group]);
      if (proof.hasChangelogs && found.delete(CHANGELOG_ROW)) proof.findings.compared.rows += 1;
      if (group === "threshold") {
        const place = readers[group];
        const formats = [RULE_VERSION_FORMAT];
        compareRows(found, rules.rows(place.folded), formats, place);
        continue;
      }
      for (let left = found.size; left > 0; left -= 1) {
        const where = `${group}-table`;
        const difference = { expected: "no such row", found: "a row of no wallet" };
        differ(readers[group], { kind: "row", where, offset: null, ...difference });
      }
    }
  }

  /** One that turns out damaged ends there; that is told of, and what it lacks then as well. */
  private tableSide(group: GroupName): Side<FoundRows> {
    const { proof, readers } = this.options;
    const { table } = proof.stands[group];
    const rows = function* () {
      if (table === null) return;
      try {
        yield* rowsByKey(table.rows());
      } catch (error) {
        if (!(error instanceof StreamError)) throw error;
        const where = `${group}-table`;
        const difference = { expected: "rows that can be read", found: error.message };
        differ(readers[group], { kind: "table", where, offset: null, ...difference });
      }
    };
    return new Side(rows(), () => NO_ROWS);
  }
}

const NOTHING: Arrival[] = [];
const noArrivals = () => NOTHING;
const NO_OWN_ROWS = { balance: NO_ROWS, threshold: NO_ROWS, flagger: NO_ROWS } as const;
const NO_KEY = keyPrefix(new Uint8Array());
/** Tag and sub-key of that row. */
const CHANGELOG_ROW = "\0changelog";
