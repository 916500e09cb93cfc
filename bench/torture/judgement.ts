/**
 * The judgement: what the witness was told, what stands in the log and what the tables and the
 * services say, held against one another and against the oracle.
 *
 *   witness, log ──> what must be ──against──> tables, answers ──> faults, one sentence each
 */

import { OperatorAction_Kind } from "../../src/gen/depositaja/v1/flag_wallet_pb.ts";
import { oracleVerdicts, type OracleVerdict } from "../../test/detector/oracle.ts";
import type { DepositLog, LoggedDeposit, WalletLog } from "./deposit-log.ts";
import { keyOf, type Witness } from "./witness.ts";

/** The published rule: more than 10,000.00 within 120 s. */
const RULE = { windowMs: 120_000, limitMinor: 1_000_000n };

/** What a wallet must look like. */
export interface ExpectedWallet {
  readonly wallet: string;
  readonly totalMinor: bigint;
  readonly count: number;
  readonly isFlagged: boolean;
  /** Ordinals of the deposits that exceeded. */
  readonly exceeding: readonly number[];
  readonly episodes: number;
}

/** What the tables say of it. */
export interface FoundWallet {
  readonly totalMinor: bigint;
  readonly count: number;
  readonly isFlagged: boolean;
  readonly eventCount: number;
  /** Episodes whose opening is there, with its list of deposits. */
  readonly episodes: number;
}

export function expectedWallets(log: DepositLog): ExpectedWallet[] {
  return [...log.wallets].map(([wallet, { counted, actions }]) => {
    const verdicts = oracleVerdicts(counted, RULE);
    const exceeding = verdicts.filter((each) => each.exceeding !== null);
    const highest = exceeding.at(-1)?.ordinal ?? 0;
    const removals = actions.filter(({ kind }) => kind === OperatorAction_Kind.REMOVE);
    const covered = removals.reduce((most, each) => Math.max(most, Number(each.seenOrdinal)), 0);
    const isAdded = actions.at(-1)?.kind === OperatorAction_Kind.ADD;
    return {
      wallet,
      totalMinor: sum(counted),
      count: counted.length,
      isFlagged: isAdded || highest > covered,
      exceeding: exceeding.map(({ ordinal }) => ordinal),
      episodes: verdicts.reduce((most, { episode }) => Math.max(most, episode), 0),
    };
  });
}

/** Whether the log is what the clients asked for and were told. */
export function judgeLog(log: DepositLog, witness: Witness): string[] {
  return [
    ...witness.problems,
    ...judgeKeyed(log, witness),
    ...judgeUnkeyed(log, witness),
    ...judgeRefused(log, witness),
    ...judgeOperators(log, witness),
    ...[...log.wallets].flatMap(([wallet, held]) => judgeEvents(wallet, held)),
  ];
}

/** Whether a table, or a service, says what must be. */
export function judgeWallet(
  { wallet, ...expected }: ExpectedWallet,
  found: Partial<FoundWallet>,
  where: string,
): string[] {
  const wanted: FoundWallet = { ...expected, eventCount: expected.exceeding.length };
  const names = Object.keys(found) as (keyof FoundWallet)[];
  return names
    .filter((name) => found[name] !== wanted[name])
    .map((name) => `${wallet}: ${name} is ${found[name]} in ${where}, must be ${wanted[name]}`);
}

function judgeKeyed(log: DepositLog, witness: Witness): string[] {
  const faults: string[] = [];
  const acknowledged = [...witness.keyed.values()];
  for (const { wallet, key, amountMinor, position, isAcknowledged } of acknowledged) {
    const first = log.firstOfId.get(keyOf(wallet, key));
    if (!isAcknowledged) faults.push(`${key}: no answer to the end`);
    else if (first === undefined) faults.push(`${key}: acknowledged, and not in the log`);
    else if (first.amountMinor !== amountMinor) faults.push(`${key}: counted with another amount`);
    else if (position !== null && position !== first.position) {
      faults.push(`${key}: acknowledged as ${position}, counted at ${first.position}`);
    }
  }
  for (const [key, { position }] of log.firstOfId) {
    if (!witness.keyed.has(key)) faults.push(`${key}: nobody sent what stands at ${position}`);
  }
  return faults;
}

function judgeUnkeyed(log: DepositLog, witness: Witness): string[] {
  const faults: string[] = [];
  const seen = new Set<string>();
  for (const { wallet, amountMinor, position } of witness.unkeyed) {
    const found = log.byPosition.get(position);
    const isIt = found?.wallet === wallet && found.amountMinor === amountMinor && found.id === null;
    if (!isIt) faults.push(`${wallet}: the acknowledged ${position} is not in the log`);
    if (seen.has(position)) faults.push(`${wallet}: ${position} was acknowledged twice`);
    seen.add(position);
  }
  const left = new Map(witness.unkeyedAttempts);
  for (const { id, wallet, amountMinor, position } of log.byPosition.values()) {
    if (id !== null) continue;
    const attempt = keyOf(wallet, String(amountMinor));
    const attempts = left.get(attempt) ?? 0;
    if (attempts === 0) faults.push(`${wallet}: ${position} was written more often than sent`);
    left.set(attempt, attempts - 1);
  }
  return faults;
}

function judgeRefused(log: DepositLog, witness: Witness): string[] {
  const refused = witness.refused
    .filter(({ wallet, key }) => log.firstOfId.has(keyOf(wallet, key)))
    .map(({ key }) => `${key}: refused, and in the log`);
  const ids = new Map<string, bigint>();
  for (const { wallet, counted } of walletsOf(log)) {
    for (const { id, amountMinor } of counted) {
      if (id !== null) ids.set(keyOf(wallet, id), amountMinor);
    }
  }
  const contradicted = witness.conflicts
    .filter(({ wallet, key, amountMinor }) => ids.get(keyOf(wallet, key)) === amountMinor)
    .map(({ key }) => `${key}: answered 409, and counted with that amount`);
  return [...refused, ...contradicted];
}

function judgeOperators(log: DepositLog, witness: Witness): string[] {
  return [...witness.operatorReasons].flatMap(([wallet, reasons]) => {
    const actions = log.wallets.get(wallet)?.actions ?? [];
    return reasons.flatMap((reason) => {
      const times = actions.filter((action) => action.reason === reason).length;
      return times === 1 ? [] : [`${wallet}: the operator's "${reason}" stands ${times} times`];
    });
  });
}

/** Each exceeding deposit has one event with the oracle's window, and the evidence is there. */
function judgeEvents(wallet: string, { counted, events }: WalletLog): string[] {
  const found = events.map((event) => ({
    ordinal: Number(event.deposit?.ordinal),
    text:
      `(${event.windowStartMs}, ${event.windowEndMs}] of ${event.totalMinor}, ` +
      `episode ${event.episode}, ${event.opening === undefined ? "" : event.opening.count}`,
  }));
  const wanted = oracleVerdicts(counted, RULE)
    .filter(({ exceeding }) => exceeding !== null)
    .map((verdict) => ({ ordinal: verdict.ordinal, text: eventText(verdict) }));
  const shown = (all: readonly { ordinal: number; text: string }[]) =>
    all.map(({ ordinal, text }) => `${ordinal}: ${text}`);
  const surplus = difference(shown(found), shown(wanted));
  const missing = difference(shown(wanted), shown(found));
  return [
    ...surplus.map((each) => `${wallet}: an event that must not be, deposit ${each}`),
    ...missing.map((each) => `${wallet}: no event for deposit ${each}`),
  ];
}

function eventText({ exceeding, episode, opening }: OracleVerdict): string {
  return (
    `(${exceeding?.startMs}, ${exceeding?.endMs}] of ${exceeding?.totalMinor}, ` +
    `episode ${episode}, ${opening === null ? "" : opening.length}`
  );
}

/** What `all` has more of than `others`; each counts as often as it is there. */
function difference(all: readonly string[], others: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const each of others) left.set(each, (left.get(each) ?? 0) + 1);
  return all.filter((each) => {
    const count = left.get(each) ?? 0;
    left.set(each, count - 1);
    return count <= 0;
  });
}

function walletsOf(log: DepositLog) {
  return [...log.wallets].map(([wallet, held]) => ({ wallet, ...held }));
}

function sum(deposits: readonly LoggedDeposit[]): bigint {
  return deposits.reduce((total, { amountMinor }) => total + amountMinor, 0n);
}
