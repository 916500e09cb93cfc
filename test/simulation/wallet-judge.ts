/**
 * Holds what the groups' rules say against the wallets' oracles, message by message: the reference
 * tables run the rules, so that a table that agrees with its reference agrees with the oracle.
 *
 *   taken by balance ──> deposits of a wallet      taken by threshold ──> its verdicts
 *   taken by flagger ──> events, actions
 */

import type { Deposit } from "../../src/gen/depositaja/v1/deposit_pb.ts";
import {
  type FlagWallet,
  OperatorAction_Kind,
} from "../../src/gen/depositaja/v1/flag_wallet_pb.ts";
import type { RuleVersion } from "../../src/gen/depositaja/v1/rule_pb.ts";
import type { RecordInfo } from "../../src/stream/group.ts";
import { Violation } from "./violation.ts";
import { FIRST_RULE, type OracleRule, WalletOracle } from "./wallet-oracle.ts";

type OnTaken = (record: RecordInfo, message: unknown, emitted: readonly unknown[]) => void;

export interface CountedDeposit {
  readonly wallet: string;
  readonly partition: number;
  readonly offset: number;
  readonly id: string | null;
  readonly amountMinor: number;
  /** The how-manieth of the wallet, from 1. */
  readonly ordinal: number;
}

export class WalletJudge {
  readonly wallets = new Map<string, WalletOracle>();
  /** By position, and by wallet and id. */
  readonly counted = new Map<string, CountedDeposit>();
  readonly countedIds = new Map<string, CountedDeposit>();
  /** What the detector must say of a deposit, by position. */
  readonly judged = new Map<string, { readonly ordinal: number; readonly isExceeding: boolean }>();
  /** In force in each partition; where there is none, version 1. */
  private readonly rules = new Map<number, OracleRule & { readonly version: number }>();
  /** As the collector counts, apart from the verdicts. */
  private readonly balances = new Map<string, { count: number; totalMinor: number }>();

  listenerOf(group: string): OnTaken {
    if (group === "balance") return (record, message) => this.count(record, message as Deposit);
    if (group === "threshold") {
      return (record, message, emitted) => {
        if (record.key === "") return this.setRule(record, message as RuleVersion);
        this.judge(record, message as Deposit, emitted as readonly FlagWallet[]);
      };
    }
    return (record, message) => this.flag(record, message as FlagWallet);
  }

  wallet(name: string): WalletOracle {
    let oracle = this.wallets.get(name);
    if (oracle === undefined) {
      oracle = new WalletOracle();
      this.wallets.set(name, oracle);
    }
    return oracle;
  }

  /** In minor units. */
  balanceOf(wallet: string): number {
    return this.balances.get(wallet)?.totalMinor ?? 0;
  }

  private count({ key, partition, offset, id }: RecordInfo, message: Deposit): void {
    this.wallet(key); // known, also where no other group takes the record
    const amountMinor = Number(message.amountMinor);
    const { count, totalMinor } = this.balances.get(key) ?? { count: 0, totalMinor: 0 };
    const ordinal = count + 1;
    this.balances.set(key, { count: ordinal, totalMinor: totalMinor + amountMinor });
    const counted: CountedDeposit = {
      ...{ wallet: key, partition, offset: Number(offset), id, ordinal, amountMinor },
    };
    this.counted.set(`${partition}-${offset}`, counted);
    if (id === null) return;
    const name = `${key}\0${id}`;
    if (this.countedIds.has(name)) throw new Violation("each id once", `${key} ${id}`);
    this.countedIds.set(name, counted);
  }

  /** In the order of each partition: the first record of a number is the rule from there on. */
  private setRule({ partition }: RecordInfo, message: RuleVersion): void {
    const newest = this.rules.get(partition)?.version ?? 1;
    if (message.number <= newest) return;
    const { number: version, windowMs, limitMinor } = message;
    const rule = { version, windowMs: Number(windowMs), limitMinor: Number(limitMinor) };
    this.rules.set(partition, rule);
  }

  private judge(record: RecordInfo, message: Deposit, emitted: readonly FlagWallet[]): void {
    const { key, partition, offset } = record;
    const rule = this.rules.get(partition) ?? { version: 1, ...FIRST_RULE };
    const deposit = {
      timeMs: Number(message.acceptedAtMs),
      amountMinor: Number(message.amountMinor),
    };
    const verdict = this.wallet(key).arrive(deposit, rule);
    const said = emitted.map(({ kind }) => {
      if (kind.case !== "event") return null;
      const { isLate, episode, windowEndMs, totalMinor, opening } = kind.value;
      return {
        ...{ version: kind.value.ruleVersion, limitMinor: Number(kind.value.limitMinor) },
        ...{ ordinal: Number(kind.value.deposit?.ordinal), isLate, episode: Number(episode) },
        ...{ windowEndMs: Number(windowEndMs), totalMinor: Number(totalMinor) },
        opening: opening === undefined ? null : Number(opening.count),
      };
    });
    const { version, limitMinor } = rule;
    const wanted = verdict === null ? [] : [{ version, limitMinor, ...verdict }];
    if (JSON.stringify(said) !== JSON.stringify(wanted)) {
      const text = `${key} at ${partition}-${offset}: ${JSON.stringify(said)}`;
      throw new Violation("flags equal the oracle's", `${text}, must be ${JSON.stringify(wanted)}`);
    }
    const { count } = this.wallet(key);
    const isExceeding = verdict !== null;
    this.judged.set(`${partition}-${offset}`, { ordinal: count, isExceeding });
  }

  private flag({ key }: RecordInfo, { kind }: FlagWallet): void {
    const wallet = this.wallet(key);
    if (kind.case === "event") wallet.event(Number(kind.value.deposit?.ordinal));
    if (kind.case !== "action") return;
    const isAdd = kind.value.kind === OperatorAction_Kind.ADD;
    wallet.act({ isAdd, seenOrdinal: Number(kind.value.seenOrdinal) });
  }
}
