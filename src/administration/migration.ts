/**
 * Moving a log from its data folder to a cluster.
 *
 *   folder, sealed ──deposits: same partition, same offset──> cluster
 *                  ──operators' records, imported files─────> cluster
 *   seal "done" ──> "done" in the cluster ──> processors rebuild the rest
 *
 * Positions, ids and ordinals stay valid, because every deposit keeps its place. The detector's
 * events are not copied: the detector makes them again. They may stand behind operators' records
 * that came after them in the folder; the flagger's answer is the same in whatever order they meet.
 * What is done is read from the two logs themselves, so that a run that was killed is run again.
 * The folder's seal decides which of the two is live: a move that it calls done is never given up
 * (migration-give-up.ts), and the cluster is opened to others only afterwards.
 */

import { topologyOf } from "../app.ts";
import { depositStream } from "../deposits/deposit.ts";
import { type EmbeddedLog, openEmbeddedLog } from "../log/embedded/embedded-log.ts";
import type { LogError } from "../log/event-log.ts";
import type { KafkaAccess } from "../log/kafka/connections.ts";
import { type KafkaLog, openKafkaLog } from "../log/kafka/kafka-log.ts";
import { beginMove, endMove, moveState } from "../log/moving.ts";
import { type Topology, topicSpecs } from "../stream/topology.ts";
import { AdministrationError } from "./administration-error.ts";
import { copyLog, type MigrationCopy, recordsIn } from "./migration-copy.ts";
import { lockFolder } from "./migration-lock.ts";

export interface MigrationOptions extends Pick<MigrationCopy, "onProgress"> {
  readonly folder: string;
  readonly kafka: KafkaAccess & { readonly prefix: string };
  /** Ends it between two requests; a later run goes on. */
  readonly signal: AbortSignal;
  readonly nowMs: () => number;
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
    const lock = lockFolder(folder);
    try {
      await checkLeft(source, folder); // before anything is made in the cluster
      const target = await openTarget(options, source);
      try {
        return await new Migration(options, source, target).run();
      } finally {
        await target.close();
      }
    } finally {
      lock.release();
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
  readonly partitions: number;
  private readonly movedTo: string;

  constructor(
    private readonly options: MigrationOptions,
    readonly source: EmbeddedLog,
    private readonly target: KafkaLog,
  ) {
    this.topology = topologyOf(Number(source.settings["decimals"]));
    this.partitions = Number(source.settings["partitions"]);
    const { brokers, prefix } = options.kafka;
    const named = prefix === "" ? "" : `, prefix ${prefix}`;
    this.movedTo = `the Kafka cluster at ${brokers.join(",")}${named}`;
  }

  async run(): Promise<MigrationResult> {
    const { options, source, target, topology, partitions, movedTo } = this;
    const wasDone = await this.prepare();
    if (!wasDone) {
      const { signal, onProgress } = options;
      await copyLog({ source, target, topology, partitions, signal, onProgress });
      for (const [key, value] of await source.allMeta()) await target.setMeta(key, value);
      await this.seal(true); // from here on it cannot be given up
      await endMove(target);
    }
    return { wasDone, deposits: await recordsIn(this, depositStream.topic), movedTo };
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
      await target.ensureTopics(topicSpecs(topology, { partitions, keepsChangelogs: true }));
      await this.checkEmpty();
      await this.checkUnused();
      await checkLeft(source, this.options.folder);
      await beginMove(target, source.incarnation); // from here on nobody starts on it
    } else if (state.from !== source.incarnation) {
      throw notEmpty("a part of another log was moved there");
    } else {
      await checkLeft(source, this.options.folder);
    }
    await this.checkUnused();
    if (source.seal?.isDone !== true) await this.seal(false);
    return false;
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
    const { prefix } = this.options.kafka;
    return this.source.setSeal({ movedTo, incarnation: target.incarnation, isDone, prefix });
  }
}

/** Whoever runs on the folder could take nothing any more, from one moment to the next. */
async function checkLeft(source: EmbeddedLog, folder: string): Promise<void> {
  if (source.seal !== null) return; // it was sealed before
  const pids = await source.otherUsers();
  if (pids.length === 0) return;
  const who = pids.length === 1 ? `process ${pids[0]} has` : `processes ${pids.join(", ")} have`;
  throw new AdministrationError(
    "in_use",
    `${who} the log in ${folder} open: stop what runs on it first, and start again. Nothing ` +
      "was moved or sealed",
  );
}

function notEmpty(fact: string): AdministrationError {
  return new AdministrationError(
    "not_empty",
    `the target must be empty, and ${fact}: empty it or choose another --prefix, and start again`,
  );
}
