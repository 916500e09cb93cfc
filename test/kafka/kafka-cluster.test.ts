import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { until } from "../end-to-end/program.ts";
import { missingForBroker } from "./java.ts";

/** This starts a broker of its own, which a cluster that is pointed to does not help with. */
const missing = await missingForBroker();
const CLUSTER_MS = 120_000;

// Skipped: without Java 17 and Maven no broker can be started.
test.skipIf(missing !== null)("a broker ends with a starter that was killed", async () => {
  const script = `
    import { KafkaCluster } from "./test/kafka/kafka-cluster.ts";
    const cluster = await KafkaCluster.start();
    cluster.pause(); // a stopped one, too
    console.log(JSON.stringify({ pid: cluster.pid(), folder: cluster.folder }));
    setInterval(() => {}, 1_000);
  `;
  const starter = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
  const reader = starter.stdout.getReader();
  const line = new TextDecoder().decode((await reader.read()).value);
  const { pid, folder } = JSON.parse(line) as { pid: number; folder: string };
  expect(isRunning(pid)).toBe(true);
  starter.kill("SIGKILL");
  await until(() => !isRunning(pid) && !existsSync(folder), () => `${pid} or ${folder} is left`);
}, CLUSTER_MS);

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
