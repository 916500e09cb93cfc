/**
 * Where a program's log and stores lie: in a data folder, or in a Kafka cluster with the stores
 * of this process in a folder of their own. The only importer of the logs' adapters.
 *
 *   folder ──> embedded log, stores beside it        brokers ──> log in the cluster, own copies
 */

import { statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEmbeddedLog } from "./log/embedded/embedded-log.ts";
import { integrityProblems } from "./log/embedded/integrity.ts";
import { logBytes } from "./log/embedded/schema.ts";
import type { RecordCheck } from "./log/embedded/record-check.ts";
import type { EventLog } from "./log/event-log.ts";
import type { KafkaAccess } from "./log/kafka/connections.ts";
import { Stores } from "./stream/stores.ts";

/** A command comes and goes; what runs for long must find its stores again. */
export type Purpose = "process" | "serve" | "command";

export interface PlaceOptions {
  /** The data folder, or ":memory:". */
  readonly folder: string;
  /** Null: the log lies in the folder. */
  readonly kafka: (KafkaAccess & { readonly prefix: string }) | null;
  /** What a log of this program has; see KafkaLogOptions. */
  readonly ownTopics: readonly string[];
  /** Make the log where there is none. */
  readonly create: boolean;
  /** For a log that is made now, and what the user said: an existing log must agree. */
  readonly defaults: Readonly<Record<string, string>>;
  readonly settings: Readonly<Record<string, string>>;
  /** Unix milliseconds. */
  readonly nowMs: () => number;
  /** Another thread of this process moves the log's WAL. */
  readonly leavesCheckpoints: boolean;
  /** When all records of a log in a folder are checked; a cluster looks after its own. */
  readonly recordChecks: readonly RecordCheck[];
  /** Which copies of stores it finds again, beside a cluster: those of the same purpose. */
  readonly purpose: Purpose;
}

export interface PlacedLog extends EventLog {
  readonly wasCreated: boolean;
  /** Why nothing can be written now; null when the log is well. */
  readonly problem: string | null;
}

export interface Place {
  readonly log: PlacedLog;
  /** Of the tasks that run here. */
  readonly stores: Stores;
  /** Of the views, kept up here, where the owners' stores lie on other hosts; null elsewhere. */
  readonly copies: Stores | null;
  readonly temporaryFolder: string;
  /** Before the first record that older programs do not know; see raised-format.ts. */
  raiseFormat(): Promise<void>;
  /** What is wrong with the log's own file; nothing in a cluster, which looks after its own. */
  logProblems(): readonly string[];
  /** Bytes here: of the log and of the copies null where there are none; of what is left, too. */
  diskUse(): DiskUse;
  /** Rejects with LogError `corrupt` when a regular check has found damage; else never ends. */
  readonly damaged: Promise<never>;
  /** Closes the log, too. */
  close(): Promise<void>;
}

export interface DiskUse {
  readonly log: number | null;
  readonly tables: number;
  readonly views: number | null;
  readonly free: number | null;
}

/** Throws LogError. */
export async function openPlace(options: PlaceOptions): Promise<Place> {
  return options.kafka === null ? openFolder(options) : openCluster(options, options.kafka);
}

function openFolder(options: PlaceOptions): Place {
  const { folder } = options;
  const isInMemory = folder === ":memory:";
  const log = openEmbeddedLog(options);
  const storesFolder = isInMemory ? folder : join(folder, "stores");
  const stores = new Stores(storesFolder, log.incarnation);
  return {
    log,
    stores,
    copies: null,
    temporaryFolder: isInMemory ? tmpdir() : folder,
    raiseFormat: () => log.raiseFormat(),
    logProblems: () => integrityProblems(folder),
    diskUse: () => ({
      ...{ log: logBytes(folder), tables: stores.bytes(), views: null },
      free: isInMemory ? null : freeBytes(folder),
    }),
    damaged: log.damaged,
    close: () => log.close(),
  };
}

async function openCluster(
  options: PlaceOptions,
  kafka: NonNullable<PlaceOptions["kafka"]>,
): Promise<Place> {
  const { nowMs } = options;
  // Loaded where it is used: each thread of a program on a folder would hold it in memory.
  const { openKafkaLog } = await import("./log/kafka/kafka-log.ts");
  const { takePlace } = await import("./log/kafka/place.ts");
  const log = await openKafkaLog({ ...options, ...kafka });
  try {
    const { clusterId } = log;
    const { folder, purpose } = options;
    const place = takePlace({ folder, clusterId, prefix: kafka.prefix, purpose });
    log.keepMemberIds(place);
    const storesIn = (name: string) =>
      new Stores(join(place.folder, name), log.incarnation, nowMs);
    const [stores, copies] = [storesIn("stores"), storesIn("views")];
    return {
      log,
      stores,
      copies,
      temporaryFolder: place.folder,
      raiseFormat: async () => {}, // a cluster's log has had one format
      logProblems: () => [],
      diskUse: () => ({
        ...{ log: null, tables: stores.bytes(), views: copies.bytes() },
        free: freeBytes(place.folder),
      }),
      damaged: new Promise(() => {}),
      close: async () => {
        try {
          await log.close();
        } finally {
          place.release();
        }
      },
    };
  } catch (error) {
    await log.close();
    throw error;
  }
}

/** Of its disk, for who is not root. */
function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}
