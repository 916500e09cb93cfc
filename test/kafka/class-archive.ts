/**
 * The broker's classes, kept as Java has read and checked them: with it a broker starts in half of
 * the time, and the tests start some twenty.
 *
 *   a broker, started and stopped once ──-XX:ArchiveClassesAtExit──> classes-<key>.jsa
 *
 * Java checks for itself that an archive is of its own build and of these jars, and does without
 * if not. See "Class Data Sharing" in the Java documentation (JEP 350).
 */

import { existsSync } from "node:fs";
import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CheckStep, PASSED, skipped } from "../house/check-step.ts";
import { classArchivePath, missingForBroker } from "./java.ts";
import { JVM_FOR_TESTS, KafkaCluster } from "./kafka-cluster.ts";

/** Before the tests, beside the steps that wait for a network. */
export const BROKER_STEP: CheckStep = {
  name: "broker",
  run: async () => {
    const missing = await missingForBroker();
    if (missing !== null) return skipped(missing);
    await archiveClasses();
    return PASSED;
  },
};

/** Once, with the jars if they are missing, too. */
async function archiveClasses(): Promise<void> {
  const archive = await classArchivePath();
  if (existsSync(archive)) return;
  const folder = await mkdtemp(join(tmpdir(), "kafka-classes-"));
  try {
    const unfinished = `${archive}.${process.pid}`;
    const jvm = [...JVM_FOR_TESTS, `-XX:ArchiveClassesAtExit=${unfinished}`];
    // With a folder of its own it is stopped, not killed: the archive is written at its end.
    await using cluster = await KafkaCluster.start({ folder, jvm });
    await cluster.close();
    await rename(unfinished, archive); // whole or not at all
  } finally {
    await rm(folder, { recursive: true });
  }
}
