/**
 * `load <url>`: sends deposits and checks to a running service, and tells how it answers.
 *
 *   arguments ──plan──> run ──report──> table or JSON
 */

import type { LoadReport } from "../proof/load/load-plan.ts";
import { newPlainCommand } from "./command.ts";
import { newLoadBar } from "./load-bar.ts";
import { type LoadFlags, loadPlan } from "./load-options.ts";
import { loadJson, loadText } from "./load-text.ts";
import { print, printJson } from "./output.ts";
import { stopSignal } from "./stopping.ts";
import { CommandError } from "./usage-error.ts";

const OPTIONS = {
  name: "load",
  description: "Send deposits and checks to a running service, and tell how fast it answers.",
  examples: [
    "load http://127.0.0.1:8080 --workers 64",
    "load http://127.0.0.1:8080 --rate 5000 --mix deposit=8,check=2 --keys --verify",
    "load https://deposits.example.org --key-file ./key --ca ./ca.crt",
  ],
  remarks:
    "Without --rate each worker asks again when it is answered. With it, requests fall due by\n" +
    "the clock, and their time counts from then, however long they wait for a free worker. It\n" +
    "deposits for good: into wallets of its own, by their prefix. Exit code 1 when nothing was\n" +
    "answered with success, or --verify finds a wallet wrong.",
} as const;

export function loadCommand() {
  return newPlainCommand(OPTIONS)
    .argument("<url>", "the service, such as http://127.0.0.1:8080")
    .option("--key-file <file>", "send the API key that stands there, as `keys create` prints it")
    .option("--ca <file>", "trust this PEM authority's certificate (default: the system's)")
    .option("--workers <count>", "connections, each with one request at a time", "64")
    .option("--rate <count>", "requests that fall due each second (default: as fast as answered)")
    .option("--mix <shares>", "what is asked: deposit, check, settle (until settled)", "deposit=1")
    .option("--wallets <count>", "how many wallets", "1000")
    .option("--wallet-prefix <text>", "before their numbers", "load-")
    .option("--skew <number>", "0: all alike; 1: the k-th gets a k-th of the first's", "0")
    .option("--amount <range>", "of a deposit", "0.01..99.99")
    .option("--keys", "send each deposit with an Idempotency-Key of its own")
    .option("--duration <time>", "how long is measured", "30s")
    .option("--warm-up <time>", "how long before that", "3s")
    .option("--timeout <time>", "for an answer", "30s")
    .option("--seed <number>", "the same wallets and amounts again")
    .option("--verify", "check afterwards that each acknowledged deposit is counted")
    .option("--json", "print JSON")
    .action(async (url: string, flags: LoadFlags) => {
      const plan = loadPlan(url, flags);
      const { runLoad } = await import("../proof/load/run-load.ts");
      const bar = newLoadBar();
      let report: LoadReport;
      try {
        const onProgress = bar.show;
        report = await runLoad(plan, { onProgress, signal: stopSignal() });
      } finally {
        bar.clear();
      }
      if (flags.json === true) printJson(loadJson(plan, report));
      else print(loadText(plan, report));
      const wrong = report.verified?.wrong.length ?? 0;
      if (wrong > 0) throw new CommandError(`${wrong} wallets have another balance than they must`);
      const { requests, failures, unsent } = report;
      if (requests > 0 || failures + unsent === 0) return; // or it was stopped before it measured
      throw new CommandError("no request of the measured time was answered with success");
    });
}
