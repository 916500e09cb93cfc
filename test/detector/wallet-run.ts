/**
 * Deposits of one wallet through the detector's own callback, over rows in memory: given deposits
 * in order of arrival, what was emitted for each and what the wallet row says.
 */

import { thresholdGroup } from "../../src/detector/detector.ts";
import { type WalletRow, walletRow } from "../../src/detector/window-rows.ts";
import { versionMessage } from "../../src/detector/rule-versions.ts";
import { newDeposit } from "../../src/deposits/deposit.ts";
import type { FlagEvent, FlagWallet } from "../../src/gen/depositaja/v1/flag_wallet_pb.ts";
import { type MemoryContext, memoryContext } from "../stream/memory-context.ts";

export interface Arrival {
  readonly timeMs: number;
  readonly amountMinor: bigint;
  readonly id?: string;
}

export interface WalletRun {
  readonly context: MemoryContext;
  /** Counts a deposit; the event that it emitted, or null. */
  deposit(arrival: Arrival): FlagEvent | null;
  row(): WalletRow;
  /** From the next deposit on. */
  setRule(rule: { readonly windowMs: number; readonly limitMinor: bigint }): void;
}

export function walletRun(
  options: { maxBlockEntries?: number; decimals?: number } = {},
): WalletRun {
  const { decimals = 2, ...rest } = options;
  const group = thresholdGroup({ decimals, ...rest });
  const [depositInput] = group.inputs;
  if (depositInput === undefined) throw new Error("the group has no input");
  const context = memoryContext("wallet");
  const own = memoryContext("");
  context.own = own;
  let offset = 100n;
  let version = 1;
  return {
    context,
    deposit({ timeMs, amountMinor, id }) {
      const record = { key: "wallet", topic: "deposit", partition: 3, offset: offset++ };
      context.record = { ...record, timestampMs: timeMs, id: id ?? null };
      const before = context.emitted.length;
      depositInput.callback(context, newDeposit({ amountMinor, acceptedAtMs: timeMs }));
      const emitted = context.emitted.slice(before);
      const [only] = emitted;
      if (only === undefined) return null;
      if (emitted.length > 1) throw new Error("more than one event for one deposit");
      const { kind } = only.message as FlagWallet;
      if (kind.case !== "event") throw new Error("the detector emitted no event");
      return kind.value;
    },
    setRule({ windowMs, limitMinor }) {
      const record = { key: "", topic: "deposit", partition: 3, offset: offset++ };
      own.record = { ...record, timestampMs: 0, id: null };
      version += 1;
      const said = { number: version, windowMs, limitMinor, actor: "ana", reason: "why", atMs: 0 };
      const problem = depositInput.control?.apply(own, versionMessage(said));
      if (problem !== null) throw new Error(`the version was refused: ${problem}`);
    },
    row() {
      const row = context.get(walletRow);
      if (row === null) throw new Error("no wallet row");
      return row;
    },
  };
}
