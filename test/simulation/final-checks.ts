/**
 * What readers and clients were promised, held against the log and the oracles: when a client is
 * answered, when a read is settled, now and then, and at the end.
 */

import { balanceRow } from "../../src/collector/balance-row.ts";
import { depositStream } from "../../src/deposits/deposit.ts";
import { walletRow } from "../../src/detector/window-rows.ts";
import { flagRow, isFlagged } from "../../src/flagger/flag-rows.ts";
import type { RowKind } from "../../src/stream/group.ts";
import { formatPosition } from "../../src/stream/position.ts";
import { keyPrefix, rowKey } from "../../src/stream/row-key.ts";
import { checkCopies, type Told } from "./clients.ts";
import type { SimulatedProcess } from "./simulated-process.ts";
import { Violation } from "./violation.ts";
import type { World } from "./world.ts";

const WALLET_ROWS: Readonly<Record<string, RowKind<unknown>>> = {
  balance: balanceRow as RowKind<unknown>,
  threshold: walletRow as RowKind<unknown>,
  flagger: flagRow as RowKind<unknown>,
};

/** What is acknowledged is in the log, durable, and is what was sent. */
export function checkAcknowledged(world: World, { operation, position }: Told): void {
  if (position === null || operation.kind !== "deposit") return;
  const { partition, offset } = position;
  const log = world.server.partition(depositStream.topic, partition);
  const place = `${operation.wallet} ${operation.amountMinor} at ${formatPosition(position)}`;
  const record = Number(offset) < log.durableEnd ? log.at(Number(offset)) : null;
  const amount = record?.value ? depositStream.codec.decode(record.value).amountMinor : null;
  const isIt =
    record !== null &&
    Buffer.from(record.key).toString() === operation.wallet &&
    Number(amount) === operation.amountMinor;
  if (!isIt) throw new Violation("what is acknowledged is in the log", place);
  if (operation.id === null) return;
  const counted = world.judge.wallets.countedIds.get(`${operation.wallet}\0${operation.id}`);
  if (counted?.offset === Number(offset)) return;
  throw new Violation("an id is answered with where it counts", `${place}, at ${counted?.offset}`);
}

/** Runs in the process that said "settled". */
export function checkSettledRead(
  world: World,
  { told, process }: { readonly told: Told; readonly process: SimulatedProcess },
): void {
  const { operation, position } = told;
  if (position === null) return;
  world.judge.seen.settledReads += 1;
  const place = formatPosition(position);
  const counted = world.judge.wallets.counted.get(place);
  const { wallet } = operation;
  if (counted === undefined) throw new Violation("settled means visible", `${place} not counted`);
  const balance = process.view("balance").get(wallet, balanceRow)?.count ?? 0;
  const judged = process.view("threshold").get(wallet, walletRow)?.count ?? 0;
  const flags = process.view("flagger").get(wallet, flagRow)?.highestOrdinal ?? 0;
  // Records for one group alone are counted by it and by no other.
  const verdict = world.judge.wallets.judged.get(place) ?? { ordinal: 0, isExceeding: false };
  const isMissing =
    balance < counted.ordinal ||
    judged < verdict.ordinal ||
    (verdict.isExceeding && flags < verdict.ordinal);
  if (!isMissing) return;
  const text = `${process.name}: ${wallet} ${place}: count ${balance}, judged ${judged}`;
  const wanted = `${counted.ordinal}, ${JSON.stringify(verdict)}`;
  throw new Violation("settled means visible", `${text}, event ${flags}; must be ${wanted}`);
}

/** A view shows rows as they were, at the progress that it names or later. */
export function checkReads(world: World): void {
  const process = pick(world, world.machines.serving);
  const wallet = pick(world, [...world.judge.wallets.wallets.keys()]);
  if (process === null || wallet === null || process.life.isPaused) return;
  world.scheduler.runAs(process.life, () => {
    for (const { name } of world.topology.groups) checkRow(world, { process, wallet, name });
  });
}

/** Everything is settled: all there is must be as it must be. */
export function checkEnd(world: World, told: readonly Told[]): void {
  for (const disk of world.machines.disks) {
    for (const { name: store, table, partition, ...found } of disk.contents()) {
      const group = table.replace(/-table$/, "");
      world.judge.checkStore({ store, group, partition }, found);
    }
  }
  for (const process of world.machines.serving) {
    world.scheduler.runAs(process.life, () => checkViews(world, process));
  }
  checkCopies(told, ({ wallet, amountMinor }) => {
    const isIt = (each: { wallet: string; amountMinor: number }) =>
      each.wallet === wallet && each.amountMinor === amountMinor;
    return [...world.judge.wallets.counted.values()].filter(isIt).length;
  });
  for (const each of told) {
    checkAcknowledged(world, each);
    const { operation, isConflict } = each;
    if (operation.kind !== "deposit" || operation.id === null) continue;
    const counted = world.judge.wallets.countedIds.get(`${operation.wallet}\0${operation.id}`);
    if ((counted?.amountMinor === operation.amountMinor) === !isConflict) continue;
    const text = `${operation.wallet} ${operation.id}: conflict ${isConflict}, counted with`;
    throw new Violation("each id once", `${text} ${counted?.amountMinor}`);
  }
}

function checkViews(world: World, process: SimulatedProcess): void {
  const { wallets } = world.judge.wallets;
  const { partitions } = world.plan;
  for (const [wallet, oracle] of wallets) {
    const balance = process.view("balance").get(wallet, balanceRow)?.totalMinor ?? 0n;
    const flag = isFlagged(process.view("flagger").get(wallet, flagRow));
    if (flag !== oracle.isFlagged) {
      throw new Violation("flags equal the oracle's", `${wallet}: ${flag} at the end`);
    }
    const wanted = world.judge.wallets.balanceOf(wallet);
    if (Number(balance) !== wanted) {
      throw new Violation("balances equal the oracle's", `${wallet}: ${balance}, not ${wanted}`);
    }
  }
  for (const [name, kind] of Object.entries(WALLET_ROWS)) {
    const found = Array.from({ length: partitions }, (_, partition) => [
      ...process.view(name).scan(partition, kind),
    ]).flat();
    const keys = found.map(({ key }) => key).sort();
    const wanted = [...wallets.keys()].filter((wallet) => {
      const partition = process.view(name).partitionOf(wallet);
      return world.judge.table(name, partition).row(wallet, kind) !== null;
    });
    if (keys.join() === wanted.sort().join()) continue;
    throw new Violation("a scan gives every row", `${name}: ${keys.join()}, not ${wanted.join()}`);
  }
}

function checkRow(
  world: World,
  { process, wallet, name }: { process: SimulatedProcess; wallet: string; name: string },
): void {
  const view = process.view(name);
  const kind = WALLET_ROWS[name] as RowKind<unknown>;
  const partition = view.partitionOf(wallet);
  const since = view.progress(partition);
  const row = view.get(wallet, kind);
  const key = rowKey(keyPrefix(Buffer.from(wallet)), kind.tag, undefined);
  const value = row === null ? null : kind.codec.encode(row);
  world.guard(() => world.judge.checkRead({ group: name, partition, since }, { key, value }));
}

function pick<T>(world: World, from: readonly T[]): T | null {
  return from.length === 0 ? null : world.chance.pick(from);
}
