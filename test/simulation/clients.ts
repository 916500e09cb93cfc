/**
 * The clients: each sends what the plan says, asks again as a careful client does, and remembers
 * what it was told.
 *
 *   operation ──> a process that serves ──> acknowledged, refused, or nobody knows ──> again
 *   acknowledged ──check?──> settled ──> read, and judged
 */

import { create, toBinary } from "@bufbuild/protobuf";
import { DepositError } from "../../src/deposits/deposit-error.ts";
import { depositStream, newDeposit } from "../../src/deposits/deposit.ts";
import type { NewAction } from "../../src/flagger/flag-wallet.ts";
import { ruleControl, versionMessage } from "../../src/detector/rule-versions.ts";
import { submitAction } from "../../src/flagger/operating.ts";
import { DepositSchema } from "../../src/gen/depositaja/v1/deposit_pb.ts";
import { LogError, type NewRecord } from "../../src/log/event-log.ts";
import { controlRecord } from "../../src/stream/control.ts";
import { partitionOf } from "../../src/stream/partitioner.ts";
import type { Position } from "../../src/stream/position.ts";
import type { Chance } from "./chance.ts";
import { type Conditions, latencyUs } from "./conditions.ts";
import { START_MS } from "./log-server.ts";
import type { Operation } from "./plan.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SimulatedProcess } from "./simulated-process.ts";
import { Violation } from "./violation.ts";

/** A client that hears nothing for so long asks again, elsewhere perhaps. */
const PATIENCE_US = 8_000_000;
/** Between two tries, at most. */
const RETRY_US = 300_000;

type DepositOperation = Operation & { kind: "deposit" };

export interface Told {
  readonly operation: Operation;
  /** Of a deposit, and of where it counts, when it repeats another. */
  position: Position | null;
  /** Its amount was refused for another one's. */
  isConflict: boolean;
  isDone: boolean;
  /** How often it may stand in the log: told so, or not told anything. */
  mayBe: number;
}

type Outcome =
  | { readonly kind: "acknowledged"; readonly position: Position }
  | { readonly kind: "conflict" | "refused" | "unknown" };

export interface ClientsOptions {
  readonly operations: readonly Operation[];
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly conditions: Conditions;
  readonly partitions: number;
  /** Those that serve now. */
  readonly serving: () => readonly SimulatedProcess[];
  /** Runs as an event of the process, with what was promised to be settled. */
  readonly onSettled: (told: Told, process: SimulatedProcess) => void;
  readonly onAcknowledged: (told: Told) => void;
  readonly onFailure: (error: Error) => void;
}

export class Clients {
  readonly told: readonly Told[];
  private left: number;
  private checksLeft = 0;

  constructor(private readonly options: ClientsOptions) {
    this.told = options.operations.map((operation) => ({
      ...{ operation, position: null, isConflict: false, isDone: false, mayBe: 0 },
    }));
    this.left = this.told.length;
  }

  start(): void {
    for (const told of this.told) {
      const run = () => this.attempt(told);
      const event = { life: null, kind: "operation", about: told.operation, run };
      this.options.scheduler.at(told.operation.atMs * 1_000, event);
    }
  }

  get areDone(): boolean {
    return this.left === 0 && this.checksLeft === 0;
  }

  private attempt(told: Told): void {
    this.request(told, "request", (process) => this.send(told, process), (outcome) => {
      this.hear(told, outcome);
    });
  }

  /** One message to a process and its answer; unknown when none comes. */
  private request(
    told: Told,
    kind: string,
    ask: (process: SimulatedProcess) => Promise<Outcome>,
    hear: (outcome: Outcome) => void,
  ): void {
    const { scheduler, chance, conditions, serving } = this.options;
    const servers = serving();
    if (servers.length === 0) return this.again(() => this.request(told, kind, ask, hear));
    const process = chance.pick(servers);
    let isHeard = false;
    const finish = (outcome: Outcome) => {
      if (isHeard) return;
      isHeard = true;
      silence.isCancelled = true;
      hear(outcome);
    };
    const silence = scheduler.after(PATIENCE_US, {
      ...{ life: null, kind: "no answer", about: kind },
      run: () => finish({ kind: "unknown" }),
    });
    const { life } = process;
    const run = () => {
      ask(process).then((outcome) => {
        const answered = () => finish(outcome);
        const about = `${kind}: ${outcome.kind}`;
        const event = { life: null, kind: "client hears", about, run: answered };
        scheduler.after(latencyUs(conditions, chance), event);
      }, this.options.onFailure);
    };
    scheduler.after(latencyUs(conditions, chance), { life, kind, about: told.operation, run });
  }

  private async send(told: Told, process: SimulatedProcess): Promise<Outcome> {
    try {
      return { kind: "acknowledged", position: await this.write(told.operation, process) };
    } catch (error) {
      if (error instanceof DepositError) {
        if (error.code === "id_conflict") return { kind: "conflict" };
        if (error.code === "undecided") return { kind: "unknown" };
        if (error.code === "busy") return { kind: "refused" };
      }
      if (error instanceof LogError) {
        if (error.code === "outcome_unknown" || error.code === "closed") return { kind: "unknown" };
        if (error.code === "unavailable" || error.code === "busy") return { kind: "refused" };
      }
      throw error;
    }
  }

  private async write(operation: Operation, process: SimulatedProcess): Promise<Position> {
    const { wallet } = operation;
    if (operation.kind === "deposit") {
      const { amountMinor, id, agoMs } = operation;
      const { position } = await process.submissions.submit({
        ...{ walletId: wallet, amountMinor: BigInt(amountMinor), key: id },
        acceptedAtMs: START_MS - agoMs,
      });
      return position;
    }
    if (operation.kind === "flag") {
      const { seenOrdinal, id } = operation;
      const common = { actor: "operator", reason: id, atMs: START_MS };
      const action = newActionOf(common, seenOrdinal);
      return submitAction(process.flagWallet, { ...action, walletId: wallet, id });
    }
    const record = rawRecord(operation, this.options.partitions);
    const [offset] = await process.log.append([record]);
    return { partition: record.partition, offset: offset as bigint };
  }

  private hear(told: Told, outcome: Outcome): void {
    const { operation } = told;
    const hasId = operation.kind !== "raw" && operation.id !== null;
    if (outcome.kind === "refused") return this.again(() => this.attempt(told));
    told.mayBe += 1;
    if (outcome.kind === "unknown" && hasId) return this.again(() => this.attempt(told));
    told.isDone = true;
    this.left -= 1;
    if (outcome.kind === "conflict") told.isConflict = true;
    if (outcome.kind !== "acknowledged") return;
    told.position = outcome.position;
    this.options.onAcknowledged(told);
    if (operation.kind === "deposit" && operation.checks) {
      this.checksLeft += 1;
      this.check(told, outcome.position);
    }
  }

  private check(told: Told, position: Position): void {
    const ask = async (process: SimulatedProcess): Promise<Outcome> => {
      const isSettled = await process.settled({ topic: depositStream.topic, ...position });
      if (!isSettled) return { kind: "unknown" };
      this.options.onSettled(told, process);
      return { kind: "acknowledged", position };
    };
    this.request(told, "check", ask, ({ kind }) => {
      if (kind !== "acknowledged") return this.again(() => this.check(told, position));
      this.checksLeft -= 1;
    });
  }

  private again(run: () => void): void {
    const { scheduler, chance } = this.options;
    const us = 1_000 + chance.below(RETRY_US);
    scheduler.after(us, { life: null, kind: "client tries again", about: null, run });
  }
}

function newActionOf(
  common: { actor: string; reason: string; atMs: number },
  seenOrdinal: number | null,
): NewAction {
  if (seenOrdinal === null) return { kind: "add", ...common };
  return { kind: "remove", ...common, seenOrdinal };
}

/** As another client of the log writes it. */
function rawRecord(operation: Operation & { kind: "raw" }, partitions: number): NewRecord {
  const { what, wallet, amountMinor } = operation;
  const key = Buffer.from(wallet);
  const home = partitionOf(key, partitions);
  const partition = what === "wrong_partition" ? (home + 1) % partitions : home;
  const place = { topic: depositStream.topic, partition, key };
  if (what === "rule" || what === "rule too far on") return ruleRecord(operation, home);
  if (what === "undecodable") return { ...place, value: Buffer.from(`\xff${amountMinor}`) };
  if (what === "zero") {
    const zero = create(DepositSchema, { amountMinor: 0n, acceptedAtMs: BigInt(START_MS) });
    return { ...place, value: toBinary(DepositSchema, zero) };
  }
  const acceptedAtMs = what === "ahead" ? 2 * START_MS : START_MS;
  const message = newDeposit({ amountMinor: BigInt(amountMinor), acceptedAtMs });
  const headers = [["for-group", Buffer.from("balance")] as const];
  const value = depositStream.codec.encode(message);
  return { ...place, value, ...(what === "for one" ? { headers } : {}) };
}

/** In one partition: each is judged by itself. A number that is there already changes nothing. */
function ruleRecord(
  { what, amountMinor }: Operation & { kind: "raw" },
  partition: number,
): NewRecord {
  const number = what === "rule" ? 2 + (amountMinor % 3) : 9;
  const windowMs = [1_000, 60_000, 180_000, 3_600_000][amountMinor % 4] as number;
  const said = { windowMs, limitMinor: BigInt(amountMinor), actor: "ana", reason: "why", atMs: 0 };
  const message = versionMessage({ number, ...said });
  return controlRecord({ topic: depositStream.topic, partition }, ruleControl, message);
}

/** Every operation stands in the log as often as its client was told it may. */
export function checkCopies(
  told: readonly Told[],
  copies: (operation: DepositOperation) => number,
): void {
  for (const each of told) {
    const { operation } = each;
    if (operation.kind !== "deposit" || operation.id !== null) continue;
    const found = copies(operation);
    const least = each.position === null ? 0 : 1;
    if (found >= least && found <= each.mayBe) continue;
    const text = `${operation.wallet} ${operation.amountMinor}: ${found} times`;
    throw new Violation("written as often as told", `${text}, told ${least} to ${each.mayBe}`);
  }
}
