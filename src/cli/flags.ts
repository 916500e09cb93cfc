/**
 * `flags [wallet]`: who is flagged, or why one wallet is.
 *
 *   flagger's view, settled up to now ──> list, or evidence
 */

import { resolve } from "node:path";
import type { App } from "../app.ts";
import { DATA_SETTINGS, newCommand, runWith } from "./command.ts";
import { withData, withStandIn } from "./data.ts";
import { evidenceLines } from "./evidence-text.ts";
import { FlagPages } from "./flag-pages.ts";
import { print, printJson } from "./output.ts";
import { dataOption } from "./serving.ts";
import { DEFAULT_DATA } from "./settings.ts";
import { noteUnknown } from "./unknown-wallet.ts";

const OPTIONS = {
  name: "flags",
  description: "List flagged wallets, or show one wallet's evidence and history.",
  settings: DATA_SETTINGS,
  examples: ["flags", "flags alice", "flags --json | head", "flags alice --json"],
  remarks:
    "A window begins after its start and ends with its end. An event is a deposit that lay in a\n" +
    "window over the limit; it is named by the how-manieth deposit of the wallet it is (nr).\n" +
    "The list has the window that opened a wallet's newest episode: its total, how many\n" +
    "deposits it holds, and its end. --json prints one object for a wallet; for the list one a\n" +
    "line.",
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
          if (walletId !== null) {
            noteUnknown(app, walletId);
            return printWallet(app, walletId, flags);
          }
          const data = dataOption({ ...settings, defaultData: resolve(DEFAULT_DATA) });
          printList(app, flags, data);
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

/** However many there are, a page at a time. */
function printList(app: App, flags: Flags, data: string): void {
  const { wallets, decimals } = app;
  const pages = new FlagPages(decimals);
  for (let partition = 0; partition < app.partitions; partition++) {
    for (const { walletId } of wallets.flagged(partition)) {
      const evidence = wallets.evidence(walletId, NEWEST_EPISODE);
      if (!evidence.isFlagged) continue; // an operator was faster
      if (flags.json) printJson(listedJson(app, walletId, evidence));
      else pages.add(walletId, evidence);
    }
  }
  if (!flags.json) pages.end(data);
}

const NEWEST_EPISODE = { before: null, limit: 1 };

function listedJson(
  { wallets, decimals }: App,
  walletId: string,
  evidence: ReturnType<App["wallets"]["evidence"]>,
): object {
  const { episodes } = wallets.evidenceJson(walletId, evidence, decimals);
  return { ...wallets.summaryJson(walletId, evidence), newest_episode: episodes.at(-1) ?? null };
}
