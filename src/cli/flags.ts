/**
 * `flags [wallet]`: who is flagged, or why one wallet is.
 *
 *   flagger's view, settled up to now ──> list, or evidence
 */

import type { App } from "../app.ts";
import { DATA_SETTINGS, newCommand, runWith } from "./command.ts";
import { withData, withStandIn } from "./data.ts";
import { evidenceLines, statusText } from "./evidence-text.ts";
import { print, printJson } from "./output.ts";

const OPTIONS = {
  name: "flags",
  description: "List flagged wallets, or show one wallet's evidence and history.",
  settings: DATA_SETTINGS,
  examples: ["flags", "flags alice", "flags --json | head", "flags alice --json"],
  remarks:
    "A window begins after its start and ends with its end. An event is a deposit that lay in a\n" +
    "window over the limit; it is named by the how-manieth deposit of the wallet it is (nr).\n" +
    "--json prints one object for a wallet; for the list one object a line.",
} as const;

interface Flags {
  readonly all?: true;
  readonly json?: true;
}

export function flagsCommand() {
  return newCommand(OPTIONS)
    .argument("[wallet]", "wallet id")
    .option("--all", "show all of its history, not just the newest")
    .option("--json", "print JSON, always complete")
    .action((wallet: string | undefined, flags: Flags) =>
      runWith(OPTIONS, flags, ({ settings, stopping }) =>
        withData(settings, async (app) => {
          const walletId = wallet === undefined ? null : app.wallets.check(wallet);
          const partition = walletId === null ? undefined : app.wallets.partitionOf(walletId);
          const ends = await app.ends(partition);
          await withStandIn(app, stopping, ({ settle }) => settle(ends, null));
          if (walletId === null) printList(app, flags);
          else printWallet(app, walletId, flags);
        }),
      ),
    );
}

function printWallet(app: App, walletId: string, flags: Flags): void {
  const { decimals } = app;
  const evidence = app.wallets.evidence(walletId);
  if (flags.json) return printJson(app.wallets.evidenceJson(walletId, evidence, decimals));
  const isComplete = flags.all === true;
  print(evidenceLines(walletId, evidence, { decimals, isComplete }).join("\n"));
}

/** Line by line, however many there are. */
function printList(app: App, flags: Flags): void {
  let count = 0;
  for (let partition = 0; partition < app.partitions; partition++) {
    for (const { walletId, ...summary } of app.wallets.flagged(partition)) {
      count += 1;
      if (flags.json) printJson(app.wallets.summaryJson(walletId, summary));
      else print(`${walletId}  ${statusText(summary).replace(/^yes: /, "")}`);
    }
  }
  if (!flags.json && count === 0) print("no wallet is flagged");
}
