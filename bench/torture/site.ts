/**
 * Where a torture run happens: on one data folder, or on a Kafka cluster from two machines, which
 * two folders stand for.
 *
 *   site ──flags──> each process of the fleet      site ──open──> app of the judgement
 */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { type App, openApp } from "../../src/app.ts";
import { openFolder } from "../history.ts";

export interface Site {
  /** What tells the process of this number where its data are. */
  flags(number: number): readonly string[];
  /** For reading, from nothing that the processes have kept where that is possible. */
  open(): Promise<App>;
  /** With every table lost: it is to run the processors. After all others are closed. */
  openWithoutTables(): Promise<App>;
  /** Views of several processes are copies, which come into step one after the other. */
  readonly hasCopies: boolean;
  /** Between two kills, at most. */
  readonly calmMs: number;
  /** Then the next kill waits for so many answers, so that there is a load to kill under. */
  readonly answersBetweenKills: number;
  /** Whether `up` runs here. */
  readonly hasUp: boolean;
}

export interface ClusterPlace {
  /** `host:port,...` */
  readonly brokers: string;
  readonly prefix: string;
  /** Of processes' stores; a new one begins with nothing. */
  readonly folder: string;
  /** For a log that is made now. */
  readonly partitions?: number;
}

const FOLDER_CALM_MS = 1_200;
/** A kill moves partitions by way of the broker, which works on the same cores. */
const CLUSTER_CALM_MS = 3_000;
const CLUSTER_ANSWERS = 40;
const MACHINES = 2;

export function folderSite(folder: string): Site {
  return {
    flags: () => ["--data", folder],
    open: () => openFolder(folder),
    openWithoutTables: () => {
      rmSync(join(folder, "stores"), { recursive: true });
      return openFolder(folder);
    },
    hasCopies: false,
    calmMs: FOLDER_CALM_MS,
    answersBetweenKills: 0,
    hasUp: true,
  };
}

export function clusterSite(place: ClusterPlace): Site {
  const { brokers, prefix, folder } = place;
  const openNew = (name: string) => openCluster({ ...place, folder: join(folder, name) });
  return {
    flags: (number) => {
      const machine = join(folder, `machine-${number % MACHINES}`);
      return ["--brokers", brokers, "--prefix", prefix, "--data", machine];
    },
    open: () => openNew("judge"),
    openWithoutTables: () => openNew("new-machine"),
    hasCopies: true,
    calmMs: CLUSTER_CALM_MS,
    answersBetweenKills: CLUSTER_ANSWERS,
    hasUp: false,
  };
}

/** An app whose views follow every partition. */
export async function openCluster(place: ClusterPlace): Promise<App> {
  const { brokers, prefix, folder, partitions } = place;
  const clientId = `${prefix}torture`;
  const app = await openApp({
    folder,
    kafka: { brokers: brokers.split(","), prefix, clientId, tls: null, sasl: null },
    create: true,
    nowMs: () => Date.now(),
    delay: (ms) => Bun.sleep(ms),
    ...(partitions === undefined ? {} : { partitions }),
  });
  const { signal } = new AbortController();
  const monotonicMs = () => performance.now();
  const waiting = app.standIn({ signal, onWait: () => {}, monotonicMs });
  waiting.join(Array.from({ length: app.partitions }, (_, partition) => partition));
  return app;
}
