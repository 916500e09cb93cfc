/**
 * The broker's classes, kept as Java has read and checked them: with it a broker starts in half of
 * the time, and the tests start some twenty.
 *
 *   a broker, started and stopped once ──-XX:ArchiveClassesAtExit──> classes-<key>.jsa
 *
 * Not every Java can do that; brokers start without it, too. See "Class Data Sharing" in Java's
 * documentation (JEP 350).
 */

import { existsSync } from "node:fs";
import { mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type CheckStep, PASSED, skipped } from "../house/check-step.ts";
import { runCommand } from "../house/command.ts";
import { brokerClassPath, classArchivePath, missingForBroker } from "./java.ts";
import { JVM_FOR_TESTS, KafkaCluster } from "./kafka-cluster.ts";

/** Before the tests, beside the steps that wait for a network. */
export const BROKER_STEP: CheckStep = {
  name: "broker",
  run: async () => {
    const missing = await missingForBroker();
    if (missing !== null) return skipped(missing);
    try {
      await archiveClasses();
      return PASSED;
    } catch (error) {
      return skipped(`brokers start slowly: ${(error as Error).message}`);
    }
  },
};

/** Once, with the jars if they are missing, too. Throws when this Java makes none that it takes. */
async function archiveClasses(): Promise<void> {
  const archive = await classArchivePath();
  if (existsSync(archive)) return;
  const folder = await mkdtemp(`${archive}.`);
  try {
    const made = join(folder, "classes.jsa");
    const jvm = [...JVM_FOR_TESTS, `-XX:ArchiveClassesAtExit=${made}`];
    // With a folder of its own it is stopped, not killed: the archive is written at its end.
    await using cluster = await KafkaCluster.start({ folder, jvm });
    await cluster.close();
    const use = ["java", "-Xshare:on", `-XX:SharedArchiveFile=${made}`];
    const { exitCode, everything } = await runCommand(
      [...use, "-cp", await brokerClassPath(), "kafka.tools.StorageTool", "random-uuid"],
    );
    if (exitCode !== 0) throw new Error(`Java does not take its own class archive: ${everything}`);
    await rename(made, archive); // whole or not at all
  } finally {
    await rm(folder, { recursive: true });
  }
}
