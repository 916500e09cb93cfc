/**
 * The world of one run: the log, the machines with their disks, the processes on them, and the
 * judge that watches them.
 *
 *   plan ──> log server, coordinator, disks ──> processes start, die, stand still, come again
 */

import { balanceGroup } from "../../src/collector/collector.ts";
import { thresholdGroup } from "../../src/detector/detector.ts";
import { flaggerGroup } from "../../src/flagger/flagger.ts";
import { LogError } from "../../src/log/event-log.ts";
import { defineTopology, type Topology } from "../../src/stream/topology.ts";
import type { Chance } from "./chance.ts";
import type { Conditions } from "./conditions.ts";
import { Connection } from "./connection.ts";
import { Coordinator } from "./coordinator.ts";
import { EmbeddedSite } from "./embedded-site.ts";
import { type Applied, Judge } from "./judge.ts";
import { LogServer, START_MS } from "./log-server.ts";
import type { LogConnection, LogSide } from "./log-side.ts";
import type { Plan, ProcessPlan } from "./plan.ts";
import type { Life, Scheduler } from "./scheduler.ts";
import { SimulatedProcess } from "./simulated-process.ts";
import { SimulatedStores } from "./simulated-stores.ts";
import { Violation } from "./violation.ts";

/** A member that is silent for so long counts as gone; as short where its death can be seen. */
const SESSION_US = { shortest: 10_000, longest: 6_000_000 };

/** A machine: its disk outlives the processes that run on it. */
interface Machine {
  readonly plan: ProcessPlan;
  readonly stores: SimulatedStores;
  readonly copies: SimulatedStores | null;
  /** Milliseconds that its clock is ahead. */
  clockMs: number;
  /** Whether what is started there next has broken rules. */
  isBrittle: boolean;
  process: SimulatedProcess | null;
  starts: number;
}

export class World {
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly conditions: Conditions;
  readonly topology: Topology;
  readonly judge: Judge;
  readonly server: LogSide;
  readonly machines: Machine[];
  /** The first promise that was broken, wherever it was noticed. */
  violation: Violation | null = null;
  /** Of a simulated log. */
  private readonly coordinator: Coordinator | null = null;
  /** The embedded log itself. */
  readonly embedded: EmbeddedSite | null = null;

  constructor(
    readonly plan: Plan,
    { scheduler, chance }: { readonly scheduler: Scheduler; readonly chance: Chance },
  ) {
    const { partitions, limits } = plan;
    const keepsChangelogs = plan.log === "changelogs";
    this.chance = chance;
    this.scheduler = scheduler;
    this.conditions = { ...plan.conditions, isDown: false };
    const { conditions } = this;
    const { maxBlockEntries } = limits;
    const thresholds = thresholdGroup({ decimals: 2, maxBlockEntries });
    this.topology = defineTopology([balanceGroup, thresholds, flaggerGroup]);
    this.judge = new Judge({ topology: this.topology, partitions, keepsChangelogs });
    const guard = (check: () => void) => this.guard(check);
    const judge: Pick<Judge, "durable" | "committing"> = {
      durable: (transaction) => guard(() => this.judge.durable(transaction)),
      committing: (commit) => guard(() => this.judge.committing(commit)),
    };
    if (plan.log === "embedded") {
      this.embedded = new EmbeddedSite({
        ...{ scheduler, chance, conditions, partitions, judge, guard },
        onSyncFailed: (life) => this.restartLater(life),
      });
      this.server = this.embedded;
    } else {
      const own = { scheduler, chance, conditions, keepsChangelogs, observer: judge };
      const server = new LogServer(own);
      const coordinator = new Coordinator(scheduler, server);
      server.onChange = () => {
        for (const { process } of this.machines) process?.log.ring();
      };
      this.openSimulated = (process) => {
        const announce = () => this.announce(process);
        const { life } = process;
        return new Connection({
          ...{ server, coordinator, scheduler, chance, conditions, life, judge, announce },
        });
      };
      this.server = server;
      this.coordinator = coordinator;
    }
    this.judge.server = this.server;
    const shared = keepsChangelogs ? null : this.newStores("disk");
    this.machines = plan.processes.map((each, index) => {
      const name = `p${index}`;
      return {
        plan: each,
        stores: shared ?? this.newStores(name, () => this.machines[index]?.clockMs ?? 0),
        copies: keepsChangelogs ? this.newStores(`${name} copy`) : null,
        ...{ clockMs: 0, isBrittle: false, process: null, starts: 0 },
      };
    });
  }

  get serving(): readonly SimulatedProcess[] {
    return this.running.filter(({ serves }) => serves);
  }

  get running(): readonly SimulatedProcess[] {
    return this.machines.flatMap(({ process }) => process ?? []);
  }

  /** Each once, though machines may share one. */
  get disks(): readonly SimulatedStores[] {
    const all = this.machines.flatMap(({ stores, copies }) => [stores, copies ?? []].flat());
    return [...new Set(all)];
  }

  start(index: number): void {
    const machine = this.machine(index);
    if (machine.process !== null) return;
    if (this.embedded?.isLocked === true) return this.startLater(index); // a start would sleep
    machine.starts += 1;
    const { scheduler, topology } = this;
    const { partitions, limits } = this.plan;
    const process = new SimulatedProcess(`p${index}.${machine.starts}`, {
      ...{ scheduler, topology, partitions, limits },
      openLog: (own) => this.embedded?.open(own.life) ?? this.openSimulated(own),
      isBrittle: machine.isBrittle,
      ...{ plan: machine.plan, stores: machine.stores, copies: machine.copies },
      onFailure: (error) => this.fail(error),
    });
    machine.process = process;
    const ended = (error: Error) => {
      // A program that cannot begin ends, and is started again by whoever looks after it.
      if (error instanceof LogError) this.restartLater(process.life);
      else this.fail(error);
    };
    const run = () => void process.start().catch(ended);
    scheduler.after(0, { life: process.life, kind: "process starts", about: process.name, run });
  }

  /** Everything in its memory is lost; its disk is as it is. */
  kill(index: number): void {
    const machine = this.machine(index);
    const { process } = machine;
    if (process === null) return;
    machine.process = null;
    this.scheduler.kill(process.life);
    this.expelLater(process);
  }

  /** Now; or, on the embedded log, between two of the next steps of the process's writer. */
  dieSoon(index: number, die: () => void): void {
    const { process } = this.machine(index);
    if (this.embedded === null || process === null || this.chance.is(0.3)) return die();
    this.embedded.doomAt(process.life, 1 + this.chance.below(12), die);
  }

  /** It gives back what it has, and ends; and comes again. */
  stop(index: number, forUs: number): void {
    const machine = this.machine(index);
    const { process } = machine;
    if (process === null || process.life.isPaused) return;
    const run = () => {
      const ended = () => {
        if (machine.process !== process) return;
        machine.process = null;
        this.scheduler.kill(process.life);
        this.scheduler.after(forUs, {
          ...{ life: null, kind: "started again", about: index },
          run: () => this.start(index),
        });
      };
      process.stop().then(ended, (error: Error) => this.fail(error));
    };
    this.scheduler.after(0, { life: process.life, kind: "told to stop", about: null, run });
  }

  pause(index: number, forUs: number): void {
    const { process } = this.machine(index);
    if (process === null || process.life.isPaused) return;
    this.scheduler.pause(process.life);
    this.expelLater(process);
    const run = () => this.scheduler.resume(process.life);
    this.scheduler.after(forUs, { life: null, kind: "goes on", about: process.name, run });
  }

  /** Paused with its next write asked for and not done. */
  stall(index: number, forUs: number): void {
    const { process } = this.machine(index);
    if (process === null) return;
    this.embedded?.stallAt(process.life, () => {
      const isSame = this.machine(index).process === process;
      if (isSame) this.pause(index, forUs);
    });
  }

  /** Its partitions go to others while it runs on, and knows nothing of it yet. */
  expel(index: number): void {
    const { process } = this.machine(index);
    if (process !== null) this.coordinator?.expel(process.life);
  }

  /** Of a folder and all who use it, or of one machine, or of the brokers. */
  powerCut(index: number): void {
    if (!this.server.keepsChangelogs) {
      this.machines.forEach((_, each) => this.kill(each));
      for (const disk of this.disks) disk.powerCut();
      return this.server.powerCut();
    }
    if (this.chance.is(0.3)) return this.server.powerCut();
    const { stores, copies } = this.machine(index);
    this.kill(index);
    stores.powerCut();
    copies?.powerCut();
  }

  machine(index: number): Machine {
    return this.machines[index % this.machines.length] as Machine;
  }

  /** Runs a check; what it finds ends the run, wherever it is thrown to. */
  guard(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.fail(error as Error);
      throw error;
    }
  }

  fail(error: Error): void {
    if (this.violation !== null) return;
    if (error instanceof Violation) this.violation = error;
    else {
      const text = `${error.name} ${(error as { code?: string }).code ?? ""}: ${error.message}`;
      this.violation = new Violation("no unexpected error", `${text}\n${error.stack ?? ""}`);
    }
  }

  /** Gives everything back. */
  close(): void {
    for (const { process } of this.machines) if (process) this.scheduler.kill(process.life);
    for (const disk of this.disks) disk.close();
    this.embedded?.close();
  }

  private openSimulated: (process: SimulatedProcess) => LogConnection = () => {
    throw new Error("the log is not a simulated one");
  };

  /** Whoever looks after the machine starts it again. */
  private restartLater(life: Life): void {
    const index = this.machines.findIndex(({ process }) => process?.life === life);
    if (index === -1) return;
    this.scheduler.after(1_000 + this.chance.below(1_000_000), {
      ...{ life: null, kind: "restarted", about: life.name },
      run: () => {
        if (this.machine(index).process?.life !== life) return;
        this.kill(index);
        this.start(index);
      },
    });
  }

  private startLater(index: number): void {
    const event = { life: null, kind: "started", about: index, run: () => this.start(index) };
    this.scheduler.after(100_000, event);
  }

  private announce(from: SimulatedProcess): void {
    const others = this.server.keepsChangelogs ? [from] : this.running;
    for (const process of others) process.log.ring();
  }

  private expelLater({ life }: SimulatedProcess): void {
    const { shortest, longest } = SESSION_US;
    const us = this.chance.is(0.3) ? shortest : longest;
    const run = () => {
      if (!life.isAlive || life.isPaused) this.coordinator?.expel(life);
    };
    this.scheduler.after(us, { life: null, kind: "session ends", about: life.name, run });
  }

  private newStores(name: string, clockMs: () => number = () => 0): SimulatedStores {
    const { scheduler, chance, conditions } = this;
    return new SimulatedStores({
      ...{ name, incarnation: this.server.incarnation, scheduler, chance, conditions },
      nowMs: () => START_MS + Math.floor(scheduler.nowUs / 1_000) + clockMs(),
      onApplied: (applied: Applied) => this.guard(() => this.judge.applied(applied)),
    });
  }
}
