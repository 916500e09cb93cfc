/**
 * A process that runs the real groups on a cluster and kills or stops itself at a named step of one
 * group's first commit, so that nothing of it, no handler and no buffer, gets to run.
 *
 *   bun crash-child.ts <JSON of the task>
 */

import { join } from "node:path";
import { balanceGroup } from "../../../src/collector/collector.ts";
import { thresholdGroup } from "../../../src/detector/detector.ts";
import { flaggerGroup } from "../../../src/flagger/flagger.ts";
import { type KafkaLog, openKafkaLog } from "../../../src/log/kafka/kafka-log.ts";
import { takePlace } from "../../../src/log/kafka/place.ts";
import { delay } from "../../../src/cli/stopping.ts";
import { startProcessor } from "../../../src/stream/processor.ts";
import { Store } from "../../../src/stream/store.ts";
import { Stores } from "../../../src/stream/stores.ts";

export interface CrashTask {
  readonly brokers: string;
  readonly prefix: string;
  /** Of places and stores, as under --data. */
  readonly folder: string;
  readonly partitions: number;
  /** Of which group's commits. */
  readonly group: string;
  readonly diesAt: (typeof CRASH_STEPS)[number];
  /** SIGSTOP: it goes on there when it is told to. */
  readonly signal: "SIGKILL" | "SIGSTOP";
}

/** As the log's adapter and the store below call them, in their order. */
export const CRASH_STEPS = [
  "transaction begun",
  "records written",
  "before commit",
  "committed",
  "store written",
] as const;

export const CRASH_GROUPS = [balanceGroup, thresholdGroup({ decimals: 2 }), flaggerGroup];

if (import.meta.main) await run(JSON.parse(process.argv[2] ?? "") as CrashTask);

async function run(task: CrashTask): Promise<void> {
  const { brokers, prefix, folder, partitions } = task;
  let hasCommitted = false;
  let hasDied = false;
  const die = (group: string, step: string) => {
    if (group !== task.group || hasDied) return;
    hasDied = step === task.diesAt;
    if (hasDied) process.kill(process.pid, task.signal);
    if (step === "committed") hasCommitted = true;
  };
  const logs = await Promise.all(
    CRASH_GROUPS.map(({ name }) =>
      openKafkaLog({
        ...{ brokers: brokers.split(","), clientId: `${prefix}crash`, tls: null, sasl: null },
        ...{ prefix, create: false, defaults: {}, settings: {}, nowMs: Date.now },
        onStep: (step) => die(name, step),
      }),
    ),
  );
  const [{ clusterId, incarnation }] = logs as [KafkaLog];
  const place = takePlace({ folder, clusterId, prefix, purpose: "process" });
  const apply = Store.prototype.apply;
  Store.prototype.apply = function (this: Store, change) {
    apply.call(this, change);
    const isOfGroup = this.path.includes(`${task.group}-table`);
    if (isOfGroup && hasCommitted) die(task.group, "store written");
  };
  CRASH_GROUPS.forEach((group, index) => {
    const log = logs[index] as KafkaLog;
    log.keepMemberIds(place);
    const stores = new Stores(join(place.folder, "stores"), incarnation, Date.now);
    const monotonicMs = () => performance.now();
    startProcessor({ log, group, stores, partitions, delay, monotonicMs });
  });
}
