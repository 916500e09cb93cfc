/**
 * `flag <wallet> [--remove]`: an operator flags a wallet, or takes a flag away.
 *
 *   --remove: settled up to now ──> what is seen, shown ──> flag_wallet ──settled──> flagged still?
 *
 * A removal covers the events up to the one that was seen. A deposit that exceeds meanwhile is a
 * newer event: the wallet then stays flagged, and the command says so with exit code 1.
 */

import { createInterface } from "node:readline/promises";
import type { App } from "../app.ts";
import { DATA_SETTINGS, newCommand, runWith } from "./command.ts";
import { settleBefore, type Settler, withData, withStandIn } from "./data.ts";
import { episodeLines } from "./evidence-text.ts";
import { note, print, printJson } from "./output.ts";
import { tellOfAction } from "./operator-log.ts";
import { systemUser } from "./system-user.ts";
import { CommandError, UsageError } from "./usage-error.ts";

const OPTIONS = {
  name: "flag",
  description: "Flag a wallet by hand, or remove its flag.",
  settings: DATA_SETTINGS,
  examples: [
    'flag alice --reason "asked for by compliance"',
    'flag alice --remove --reason "salary, see case 17" --by ann',
  ],
  remarks:
    "A removal holds for the events that were seen: without --seen all that there are when the\n" +
    "command starts, which it prints; the next deposit over the limit flags again. Exit code 1\n" +
    "when the wallet is not flagged, or stays flagged because of a newer event.",
} as const;

interface Flags {
  readonly remove?: true;
  readonly seen?: string;
  readonly reason?: string;
  readonly by?: string;
  readonly json?: true;
}

export function flagCommand() {
  return newCommand(OPTIONS)
    .argument("<wallet>", "wallet id")
    .option("--remove", "remove the flag")
    .option("--seen <event>", "with --remove: the newest event that you have seen")
    .option("--reason <text>", "why; on a terminal it is asked for when left out")
    .option("--by <name>", "who does it (default: the system's user)")
    .option("--json", "print JSON")
    .action((wallet: string, flags: Flags) =>
      runWith(OPTIONS, flags, ({ settings, stopping }) =>
        withData(settings, async (app) => {
          const walletId = app.wallets.check(wallet);
          const actor = flags.by ?? systemUser();
          const seen = seenOrdinal(flags);
          app.wallets.checkOperator({ walletId, actor, reason: flags.reason ?? "" });
          await withStandIn(app, stopping, (settler) => {
            const operation = { app, settler, stopping, walletId, actor, flags };
            return flags.remove ? remove({ ...operation, seen }) : add(operation);
          });
        }),
      ),
    );
}

interface Operation {
  readonly app: App;
  readonly settler: Settler;
  readonly stopping: AbortSignal;
  readonly walletId: string;
  readonly actor: string;
  readonly flags: Flags;
}

async function add(operation: Operation): Promise<void> {
  const { app, walletId, actor, flags } = operation;
  const isKnown = app.wallets.isKnown(walletId);
  const reason = await reasonOf(operation);
  await act(operation, { kind: "add", actor, reason, atMs: app.nowMs() });
  if (!isKnown) await noteUnlessDeposited(operation);
  const summary = app.wallets.flag(walletId);
  if (flags.json) return printJson(app.wallets.summaryJson(walletId, summary));
  print(`${walletId} is flagged${summary.isFlagged ? "" : " no more: someone removed the flag"}`);
}

/** A wallet may be flagged before its first deposit; but its id may be misspelt. */
async function noteUnlessDeposited({ app, settler, walletId }: Operation): Promise<void> {
  const ends = await app.ends(app.wallets.partitionOf(walletId));
  await settler.settle(ends, "the operator's record");
  if (app.wallets.balance(walletId) !== null) return;
  note(`no deposit of the wallet ${JSON.stringify(walletId)} is known: is its id spelt so?`);
}

async function remove(operation: Operation & { readonly seen: number | null }): Promise<void> {
  const { app, settler, walletId, actor, flags } = operation;
  const ends = await app.ends(app.wallets.partitionOf(walletId));
  await settleBefore(settler.settle, ends, "remove the flag again");
  const evidence = app.wallets.evidence(walletId);
  const removal = { walletId, seenName: "--seen", lookWith: "`flags`" };
  const seen = app.wallets.seenByRemoval(evidence, { ...removal, seenOrdinal: operation.seen });
  if (operation.seen === null) describeCovered(operation, evidence);
  const reason = await reasonOf(operation);
  await act(operation, { kind: "remove", actor, reason, atMs: app.nowMs(), seenOrdinal: seen });
  const after = app.wallets.flag(walletId);
  if (flags.json) printJson({ ...app.wallets.summaryJson(walletId, after), seen_event: seen });
  else if (!after.isFlagged) {
    print(`the flag of ${walletId} is removed${seen === 0 ? "" : `; event ${seen} was seen`}`);
  }
  app.wallets.checkRemoved(after, { ...removal, seenOrdinal: seen });
}

/** What the removal covers, so that the operator answers for what stands there. */
function describeCovered(operation: Operation, evidence: ReturnType<App["wallets"]["evidence"]>) {
  const { walletId, app } = operation;
  const { newestOrdinal, coveredOrdinal, episodes, actions } = evidence;
  if (newestOrdinal <= coveredOrdinal) {
    return note(`${walletId} was flagged by an operator; there is no event to cover`);
  }
  note(`the removal covers the events of ${walletId} up to ${newestOrdinal}:`);
  const isOpen = ({ opening, newestEvents }: (typeof episodes)[number]) =>
    opening?.isCovered === false || newestEvents.some(({ isCovered }) => !isCovered);
  const options = { decimals: app.decimals, isComplete: false };
  for (const episode of episodes.filter(isOpen)) {
    note(episodeLines(episode, actions, options).join("\n"));
  }
}

type Action = Parameters<App["wallets"]["act"]>[0];
type NewAction =
  | Omit<Extract<Action, { kind: "add" }>, "walletId" | "id">
  | Omit<Extract<Action, { kind: "remove" }>, "walletId" | "id">;

async function act({ app, settler, walletId }: Operation, action: NewAction): Promise<void> {
  const position = await app.wallets.act({ ...action, walletId, id: crypto.randomUUID() });
  const { partition, offset } = position;
  const did = action.kind === "add" ? "flagged" : "removed the flag of";
  const place = `${partition}-${offset}`;
  tellOfAction(`${did} {walletId} (record {place})`, { walletId, place }, action.actor);
  await settler.settle([position], `the operator's record ${place}`);
}

/** Throws UsageError. */
function seenOrdinal({ seen, remove: isRemoval }: Flags): number | null {
  if (seen === undefined) return null;
  if (!isRemoval) throw new UsageError("--seen goes with --remove: name what the removal covers");
  const ordinal = /^\d{1,15}$/.test(seen) ? Number(seen) : Number.NaN;
  if (Number.isSafeInteger(ordinal)) return ordinal;
  throw new UsageError(`--seen is "${seen}": it must be an event's number, as \`flags\` prints it`);
}

/** As given; on a terminal asked for, and Enter leaves it empty; elsewhere empty. */
async function reasonOf({ app, walletId, actor, flags, stopping }: Operation): Promise<string> {
  if (flags.reason !== undefined) return flags.reason;
  if (!process.stdin.isTTY || !process.stderr.isTTY) return "";
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    lines.on("SIGINT", () => process.emit("SIGINT"));
    const asked = lines.question("reason (Enter leaves it empty): ", { signal: stopping });
    const answer = await asked.catch((error: unknown) => {
      throw new CommandError("interrupted: nothing was written", { cause: error });
    });
    app.wallets.checkOperator({ walletId, actor, reason: answer.trim() });
    return answer.trim();
  } finally {
    lines.close();
  }
}
