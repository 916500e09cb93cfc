/**
 * `deposit <wallet> <amount>`: one deposit from the shell, counted when the command ends.
 *
 *   arguments ──> submission ──> deposit ──settled──> what it was answered
 */

import type { App } from "../app.ts";
import { formatDecimal, parseAmount } from "../money.ts";
import { DATA_SETTINGS, newCommand, runWith } from "./command.ts";
import { settleBefore, withData, withStandIn } from "./data.ts";
import { print, printJson } from "./output.ts";
import { quote } from "./started-as.ts";
import { CommandError, UsageError } from "./usage-error.ts";

const OPTIONS = {
  name: "deposit",
  description: "Deposit an amount into a wallet.",
  settings: DATA_SETTINGS,
  examples: ["deposit alice 2000 --id invoice-17", "deposit alice 12.50 --at 2026-01-31T12:00:00Z"],
  remarks:
    "With --id the deposit counts once, however often it is sent: the same id and amount answer\n" +
    "with the first one's place, another amount is refused.",
} as const;

interface Flags {
  readonly at?: string;
  readonly id?: string;
  readonly json?: true;
}

export function depositCommand() {
  return newCommand(OPTIONS)
    .argument("<wallet>", "wallet id")
    .argument("<amount>", "decimal number, such as 12.50")
    .option("--at <time>", "when it happened: RFC 3339 or Unix milliseconds (default: now)")
    .option("--id <key>", "your own id of it, unique for the wallet")
    .option("--json", "print JSON")
    .action((wallet: string, amount: string, flags: Flags) =>
      runWith(OPTIONS, flags, ({ settings, stopping }) =>
        withData(settings, async (app) => {
          const walletId = app.wallets.check(wallet);
          const amountMinor = typedAmount(wallet, amount, app.decimals);
          const at = flags.at === undefined ? {} : { acceptedAtMs: app.wallets.timeMs(flags.at) };
          const key = flags.id ?? null;
          const accepted = await withStandIn(app, stopping, async ({ join, settle }) => {
            if (key !== null) {
              // Its answer waits for the collector, which must have come to its place by then.
              const partition = app.wallets.partitionOf(walletId);
              join(partition);
              const again = "send the deposit again with the same --id, it is counted once";
              await settleBefore(settle, await app.ends(partition), again);
            }
            const answer = await app.submissions
              .submit({ walletId, amountMinor, key, ...at })
              .catch((error: unknown) => sayWhoIsMissing(app, walletId, error));
            const { partition, offset } = answer.position;
            const place = { topic: "deposit", partition, offset };
            await settle([place], `deposit ${partition}-${offset}`);
            return answer;
          });
          const { partition, offset } = accepted.position;
          const id = `${partition}-${offset}`;
          const exact = formatDecimal(amountMinor, app.decimals);
          if (flags.json) {
            printJson({ deposit_id: id, wallet_id: walletId, amount: exact, position: id });
          } else if (accepted.isRepeat) {
            print(`deposited before as ${id}: ${exact} into ${walletId}; nothing more is counted`);
          } else {
            print(`deposited as ${id}: ${exact} into ${walletId}`);
          }
        }),
      ),
    );
}

/** Throws MoneyError; UsageError where it is plain what was meant. */
function typedAmount(wallet: string, amount: string, decimals: number): bigint {
  try {
    return parseAmount(amount, decimals);
  } catch (cause) {
    if (/^\d{1,3}(,\d{3})+(\.\d+)?$/.test(amount)) {
      const plain = amount.replaceAll(",", "");
      throw new UsageError(`the amount is "${amount}": leave the comma out, ${plain}`, { cause });
    }
    const isNumber = (text: string) => /^\d+(\.\d+)?$/.test(text);
    if (isNumber(amount) || !isNumber(wallet)) throw cause;
    const right = `deposit ${quote(amount)} ${wallet}`;
    const message = `"${amount}" is no amount: the wallet comes first, \`${right}\``;
    throw new UsageError(message, { cause });
  }
}

/** Throws the error, with what to do when it is undecided because nobody runs the collector. */
async function sayWhoIsMissing(app: App, walletId: string, error: unknown): Promise<never> {
  if ((error as { code?: unknown }).code !== "undecided") throw error;
  const partition = app.wallets.partitionOf(walletId);
  const owners = await app.log.owners("balance").catch(() => null);
  const owner = owners?.find((each) => each.partition === partition)?.owner ?? null;
  if (owners === null || owner !== null) throw error;
  const { message } = error as Error;
  throw new CommandError(`${message}; nobody runs the collector: start \`process\` first`, {
    cause: error,
  });
}
