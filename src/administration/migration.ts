/**
 * Moving a log from its data folder to a cluster.
 *
 *   folder, sealed ──deposits: same partition, same offset──> cluster
 *                  ──operators' records, imported files──> cluster ──"done"──> processors rebuild
 *
 * Positions, ids and ordinals stay valid, because every deposit keeps its place. The detector's
 * events are not copied: the detector makes them again. They may stand behind operators' records
 * that came after them in the folder; the flagger's answer is the same in whatever order they meet.
 * What is done is read from the two logs themselves, so that a run that was killed is run again.
 */

import { topologyOf } from "../app.ts";
import { depositStream } from "../deposits/deposit.ts";
import { flagWalletStream } from "../flagger/flag-wallet.ts";
import { type EmbeddedLog, openEmbeddedLog } from "../log/embedded/embedded-log.ts";
import type { LogError, LogRecord } from "../log/event-log.ts";
import { copyChosen, copyToSameOffsets } from "../log/exact-copy.ts";
import type { KafkaAccess } from "../log/kafka/connections.ts";
import { type KafkaLog, openKafkaLog } from "../log/kafka/kafka-log.ts";
import { beginMove, endMove, moveState } from "../log/moving.ts";
import { type Topology, topicSpecs } from "../stream/topology.ts";
import { AdministrationError } from "./administration-error.ts";

/** The header of an operator's record with its offset in the folder. */
export const SOURCE_OFFSET_HEADER = "source-offset";
/** Enough to keep the brokers busy; each may hold some megabytes of records. */
const PARTITIONS_AT_ONCE = 4;

export interface MigrationOptions {
  readonly folder: string;
  readonly kafka: KafkaAccess & { readonly prefix: string };
  /** Ends it between two requests; a later run goes on. */
  readonly signal: AbortSignal;
  readonly nowMs: () => number;
  /** Now and then: so many of the folder's records are done, those of earlier runs included. */
  readonly onProgress: (progress: { readonly done: bigint; readonly total: bigint }) => void;
}

export interface MigrationResult {
  /** Nothing was left to do. */
  readonly wasDone: boolean;
  readonly deposits: bigint;
  readonly movedTo: string;
}

/**
 * Throws AdministrationError; LogError, as reading and appending do, `topic_mismatch` when the
 * target turns out to hold something else.
 */
export async function migrate(options: MigrationOptions): Promise<MigrationResult> {
  const { folder, nowMs } = options;
  const source = openEmbeddedLog({ folder, nowMs });
  try {
    const target = await openTarget(options, source);
    try {
      return await new Migration(options, source, target).run();
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

/** Made where there is none, unless the folder was moved before: then it must be that one. */
async function openTarget(
  { folder, kafka, nowMs }: MigrationOptions,
  { seal, settings }: EmbeddedLog,
): Promise<KafkaLog> {
  const create = seal?.isDone !== true;
  const options = { ...kafka, create, defaults: settings, settings: {}, nowMs, isMoving: true };
  try {
    const target = await openKafkaLog(options);
    if (create || target.incarnation === seal.incarnation) return target;
    await target.close();
  } catch (error) {
    if (create || (error as LogError).code !== "not_found") throw error;
  }
  throw new AdministrationError(
    "moved_elsewhere",
    `the log in ${folder} was moved to ${seal?.movedTo} before: go on there`,
  );
}

class Migration {
  private readonly topology: Topology;
  private readonly partitions: number;
  private readonly movedTo: string;

  constructor(
    private readonly options: MigrationOptions,
    private readonly source: EmbeddedLog,
    private readonly target: KafkaLog,
  ) {
    this.topology = topologyOf(Number(source.settings["decimals"]));
    this.partitions = Number(source.settings["partitions"]);
    const { brokers, prefix } = options.kafka;
    const named = prefix === "" ? "" : `, prefix ${prefix}`;
    this.movedTo = `the Kafka cluster at ${brokers.join(",")}${named}`;
  }

  async run(): Promise<MigrationResult> {
    const { source, target, movedTo } = this;
    const wasDone = await this.prepare();
    if (!wasDone) {
      await this.copy();
      for (const [key, value] of await source.allMeta()) await target.setMeta(key, value);
      await endMove(target);
    }
    await this.seal(true);
    return { wasDone, deposits: await this.records(depositStream.topic), movedTo };
  }

  /** Whether all was done before. Afterwards nobody else writes to either log. */
  private async prepare(): Promise<boolean> {
    const { source, target, partitions, topology } = this;
    this.checkSettings();
    const state = await moveState(target);
    if (state?.isDone === true) {
      if (source.seal?.incarnation === target.incarnation) return true;
      throw notEmpty("another log was moved there");
    }
    await source.ensureTopics(topicSpecs(topology, { partitions, keepsChangelogs: false }));
    if (state === null) {
      await this.checkUnused();
      await target.ensureTopics(topicSpecs(topology, { partitions, keepsChangelogs: true }));
      await this.checkEmpty();
      await beginMove(target, source.incarnation); // from here on nobody starts on it
    } else if (state.from !== source.incarnation) {
      throw notEmpty("a part of another log was moved there");
    }
    await this.checkUnused();
    await this.seal(false);
    return false;
  }

  private async copy(): Promise<void> {
    const { source, target } = this;
    const topics = [depositStream.topic, flagWalletStream.topic];
    const totals = await Promise.all(topics.map((topic) => this.records(topic)));
    const total = totals.reduce((sum, each) => sum + each, 0n);
    let done = 0n;
    const onDone = (records: bigint) => {
      done += records;
      this.options.onProgress({ done, total });
    };
    const parts = { source, target, onDone };
    await this.eachPartition((partition, signal) =>
      copyToSameOffsets({ ...parts, topic: depositStream.topic, partition, signal }),
    );
    await this.eachPartition((partition, signal) =>
      copyChosen({
        ...parts,
        topic: flagWalletStream.topic,
        partition,
        signal,
        offsetHeader: SOURCE_OFFSET_HEADER,
        chooses: isNoEvent,
      }),
    );
  }

  /** A few at a time. When one fails the others end, and its error is thrown. */
  private async eachPartition(
    work: (partition: number, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const failing = new AbortController();
    const signal = AbortSignal.any([this.options.signal, failing.signal]);
    let next = 0;
    const inTurn = async () => {
      while (next < this.partitions && !signal.aborted) {
        const partition = next++;
        await work(partition, signal);
      }
    };
    const workers = Array.from({ length: PARTITIONS_AT_ONCE }, () =>
      inTurn().catch((error: unknown) => {
        failing.abort();
        throw error;
      }),
    );
    const ended = await Promise.allSettled(workers);
    const failed = ended.find((each) => each.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    if (!this.options.signal.aborted) return;
    throw new AdministrationError(
      "interrupted",
      "interrupted: run the same command again, it goes on where it ended",
    );
  }

  private checkSettings(): void {
    const { source, target } = this;
    for (const name of ["partitions", "decimals"]) {
      const [mine, theirs] = [source.settings[name], target.settings[name]];
      if (mine === theirs) continue;
      throw new AdministrationError(
        "settings_mismatch",
        `the log in the cluster was created with ${name} ${theirs}, the one in ` +
          `${this.options.folder} with ${mine}: move it to another --prefix`,
      );
    }
  }

  private async checkEmpty(): Promise<void> {
    const { target, topology, partitions } = this;
    const all = Array.from({ length: partitions }, (_, partition) => partition);
    for (const { name } of topicSpecs(topology, { partitions, keepsChangelogs: true })) {
      const bounds = await Promise.all(all.map((partition) => target.bounds(name, partition)));
      const used = bounds.findIndex(({ end }) => end > 0n);
      if (used < 0) continue;
      const { end } = bounds[used] ?? { end: 0n };
      throw notEmpty(`topic ${name} partition ${used} has been written up to offset ${end}`);
    }
  }

  private async checkUnused(): Promise<void> {
    for (const { name } of this.topology.groups) {
      const owner = (await this.target.owners(name)).find((each) => each.owner !== null);
      if (owner === undefined) continue;
      throw new AdministrationError(
        "in_use",
        `group ${name} runs in the cluster (${owner.owner}): stop every process on it, and start ` +
          "again",
      );
    }
  }

  private seal(isDone: boolean): Promise<void> {
    const { movedTo, target } = this;
    return this.source.setSeal({ movedTo, incarnation: target.incarnation, isDone });
  }

  private async records(topic: string): Promise<bigint> {
    let sum = 0n;
    for (let partition = 0; partition < this.partitions; partition++) {
      sum += (await this.source.bounds(topic, partition)).end;
    }
    return sum;
  }
}

/** What cannot be read is copied as well: it is a dead letter there, as it was here. */
function isNoEvent({ value }: LogRecord): boolean {
  try {
    return flagWalletStream.codec.decode(value ?? new Uint8Array()).kind.case !== "event";
  } catch {
    return true;
  }
}

function notEmpty(fact: string): AdministrationError {
  return new AdministrationError(
    "not_empty",
    `the target must be empty, and ${fact}: empty it or choose another --prefix, and start again`,
  );
}
