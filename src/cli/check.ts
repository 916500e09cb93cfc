/**
 * `check <wallet>`: a wallet's balance, whether it is above the threshold, its last deposits.
 *
 *   views, settled up to now ──> balance with the last deposits, flag
 *
 * The last deposits are those that the collector keeps beside the balance.
 */

import type { App } from "../app.ts";
import { formatDecimal } from "../money.ts";
import { DATA_SETTINGS, newCommand, runWith } from "./command.ts";
import { withData, withStandIn } from "./data.ts";
import { statusText } from "./evidence-text.ts";
import { print, printJson } from "./output.ts";
import { table } from "./table.ts";
import { localText } from "./time-text.ts";
import { noteUnknown } from "./unknown-wallet.ts";

const OPTIONS = {
  name: "check",
  description: "Show a wallet's balance, whether it is above the threshold, and its last deposits.",
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
          noteUnknown(app, walletId);
          if (flags.json) printJson(checkJson(app, walletId));
          else print(checkLines(app, walletId).join("\n"));
        }),
      ),
    );
}

function checkJson({ wallets, decimals }: App, walletId: string): object {
  const { position, ...balance } = wallets.balanceJson(
    walletId,
    wallets.balance(walletId),
    decimals,
  );
  return { ...balance, above_threshold: wallets.flag(walletId).isFlagged, position };
}

function checkLines({ wallets, decimals }: App, walletId: string): string[] {
  const row = wallets.balance(walletId);
  const last = row?.last ?? [];
  const count = row?.count ?? 0;
  const lines = [
    `wallet           ${walletId}`,
    `balance          ${formatDecimal(row?.totalMinor ?? 0n, decimals)}`,
    `above threshold  ${statusText(wallets.flag(walletId))}`,
    `deposits         ${count.toLocaleString("en")}`,
  ];
  if (last.length === 0) return lines;
  const rows = wallets.balanceJson(walletId, row, decimals).last_deposits.map((deposit) => [
    deposit.deposit_id,
    deposit.amount,
    localText(deposit.accepted_at_ms),
    deposit.accepted_at,
    deposit.client_id ?? "-",
  ]);
  const which = count > last.length ? `the last ${last.length}` : "all";
  lines.push("", `${which}, the newest at the end`);
  return [...lines, ...table(HEAD, rows).map((line) => `  ${line}`)];
}

const HEAD = ["deposit", "amount", "time", "UTC", "client id"];
