/**
 * `check <wallet>`: a wallet's balance, and whether it is above the threshold.
 *
 *   views, settled up to now ──> balance, flag
 */

import { formatDecimal } from "../money.ts";
import { DATA_SETTINGS, newCommand, runWith } from "./command.ts";
import { withData, withStandIn } from "./data.ts";
import { print, printJson } from "./output.ts";

const OPTIONS = {
  name: "check",
  description: "Show a wallet's balance, and whether it is above the threshold.",
  settings: DATA_SETTINGS,
  examples: ["check alice", "check alice --json"],
} as const;

interface Flags {
  readonly json?: true;
}

export function checkCommand() {
  return newCommand(OPTIONS)
    .argument("<wallet>", "wallet id")
    .option("--json", "print JSON")
    .action((wallet: string, flags: Flags) =>
      runWith(OPTIONS, flags, ({ settings, stopping }) =>
        withData(settings, async (app) => {
          const walletId = app.wallets.check(wallet);
          const ends = await app.ends(app.wallets.partitionOf(walletId));
          await withStandIn(app, stopping, ({ settle }) => settle(ends, null));
          const balance = formatDecimal(app.wallets.balanceMinor(walletId), app.decimals);
          const { isFlagged } = app.wallets.flag(walletId);
          if (flags.json) {
            return printJson({ wallet_id: walletId, balance, above_threshold: isFlagged });
          }
          print(`wallet           ${walletId}`);
          print(`balance          ${balance}`);
          print(`above threshold  ${isFlagged ? "yes" : "no"}`);
        }),
      ),
    );
}
