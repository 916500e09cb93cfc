/**
 * A deployment of the program in a cluster, for one benchmark: a prefix that nobody else has, and
 * a folder for what the processes keep. Both are gone afterwards.
 *
 *   brokers ──prefix, folder──> app here, arguments for child processes ──> topics deleted
 */

import { join } from "node:path";
import { type App, openApp } from "../../src/app.ts";
import { inputProgress } from "../../src/log/input-progress.ts";
import { foreignClient } from "../../test/kafka/foreign-client.ts";
import { type Child, type Server, startProgram, startServer } from "../children.ts";
import { appendHistory, DAY, lastPositions } from "../history.ts";
import { withFolder } from "../machine.ts";

const DONE_WITHIN_MS = 10 * 60 * 1_000;
const POLL_MS = 10;

export interface Deployment {
  readonly brokers: string;
  readonly prefix: string;
  /** Of the child processes. */
  readonly folder: string;
  /** For the program, beside `--data`. */
  readonly args: readonly string[];
  /** In this process: makes the topics, appends, sees progress. */
  readonly app: App;
}

export function withDeployment<T>(
  brokers: string,
  run: (deployment: Deployment) => Promise<T>,
): Promise<T> {
  return withFolder(async (folder) => {
    const prefix = `bench-${crypto.randomUUID().slice(0, 8)}-`;
    const access = { brokers: brokers.split(","), clientId: "bench", tls: null, sasl: null };
    const app = await openApp({
      folder: join(folder, "bench"),
      kafka: { ...access, prefix },
      create: true,
      nowMs: () => Date.now(),
      delay: (ms) => Bun.sleep(ms),
    });
    const args = ["--brokers", brokers, "--prefix", prefix];
    try {
      return await run({ brokers, prefix, folder: join(folder, "data"), args, app });
    } finally {
      await app.close();
      await deleteTopics(brokers, prefix);
    }
  });
}

/** `serve` and `process --all`, and wallets that both groups of deposits have seen. */
export function withRunning<T>(
  brokers: string,
  wallets: number,
  run: (running: { readonly server: Server; readonly processors: Child }) => Promise<T>,
): Promise<T> {
  return withDeployment(brokers, async (deployment) => {
    await appendHistory(deployment.app, { ...DAY, deposits: wallets, wallets, hasIds: false });
    const processors = startProcess(deployment, "--all");
    const server = await startServe(deployment);
    await whenDone(deployment, ["balance", "threshold"]);
    await deployment.app.close(); // it would follow every commit
    const result = await run({ server, processors });
    await server.stop();
    await processors.stop();
    return result;
  });
}

/** A topic for a baseline, as deposits have it; its name in the cluster. */
export async function makeTopic({ app, prefix }: Deployment, name: string): Promise<string> {
  const { partitions } = app;
  await app.log.ensureTopics([{ name, partitions, cleanup: "keep", retentionMs: null }]);
  return prefix + name;
}

/** `process` with some processors, or with `--all`. */
export function startProcess({ folder, args }: Deployment, ...which: readonly string[]): Child {
  return startProgram(["process", ...which, "--data", folder, ...args]);
}

export function startServe({ folder, args }: Deployment): Promise<Server> {
  return startServer("serve", { folder, args });
}

/** Resolves when the groups have done all deposits that were appended before. */
export async function whenDone({ app }: Deployment, groups: readonly string[]): Promise<void> {
  const positions = await lastPositions(app);
  const deadlineMs = performance.now() + DONE_WITHIN_MS;
  for (const group of groups) {
    for (const { topic, partition, offset } of positions) {
      const isDone = async () => {
        const progress = await app.log.progress(group, partition);
        return (inputProgress(progress, topic)?.nextOffset ?? 0n) > offset;
      };
      while (!(await isDone())) {
        if (performance.now() > deadlineMs) {
          throw new Error(`${group} has not passed ${topic} ${partition}-${offset} in 10 minutes`);
        }
        await Bun.sleep(POLL_MS);
      }
    }
  }
}

async function deleteTopics(brokers: string, prefix: string): Promise<void> {
  const admin = foreignClient(brokers).admin();
  await admin.connect();
  try {
    const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(prefix));
    await admin.deleteTopics({ topics });
  } finally {
    await admin.disconnect();
  }
}
