/**
 * A migration that is killed half-way, as a program of its own.
 *
 *   arguments ──> migrate ──so many records done──> kill -9 of itself, requests under way
 */

import { migrate } from "../../src/administration/migration.ts";

const [folder, brokers, prefix, killAt] = process.argv.slice(2) as [string, string, string, string];

await migrate({
  folder,
  kafka: { brokers: brokers.split(","), clientId: "migration", prefix, tls: null, sasl: null },
  signal: new AbortController().signal,
  nowMs: Date.now,
  onProgress: ({ done }) => {
    if (done >= BigInt(killAt)) process.kill(process.pid, "SIGKILL");
  },
});
