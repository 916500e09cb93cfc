/** `verify` of a million deposits of a million wallets on a cluster, after `process --all`. */

import { appendHistory, DAY } from "../history.ts";
import type { Benchmark } from "../measurement.ts";
import { verifying } from "../rows/proof.ts";
import { startProcess, whenDone, withDeployment } from "./deployment.ts";

/** Of deposits: what the flagger has still to do is no difference. */
const GROUPS = ["balance", "threshold"];
const DEPOSITS = 1_000_000;
const QUICK_DEPOSITS = 500;

export function verify(brokers: string): Benchmark {
  return {
    name: "verify",
    run: (options) =>
      withDeployment(brokers, async (deployment) => {
        const { app, folder, args } = deployment;
        const deposits = options.isQuick ? QUICK_DEPOSITS : DEPOSITS;
        await appendHistory(app, { ...DAY, deposits, wallets: deposits, hasIds: false });
        const processors = startProcess(deployment, "--all");
        await whenDone(deployment, GROUPS);
        await processors.stop();
        return [await verifying(options, ["--data", folder, ...args])];
      }),
  };
}
