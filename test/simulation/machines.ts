/**
 * The machines of a run and the processes on them: started, killed, stopped, paused.
 *
 *   machine (its disk outlives what runs on it) ──start──> process ──kill, stop──> nothing, again
 */

import { LogError } from "../../src/log/event-log.ts";
import type { Topology } from "../../src/stream/topology.ts";
import type { Chance } from "./chance.ts";
import type { Coordinator } from "./coordinator.ts";
import type { EmbeddedSite } from "./embedded-site.ts";
import type { LogConnection, LogSide } from "./log-side.ts";
import type { Plan, ProcessPlan } from "./plan.ts";
import type { Life, Scheduler } from "./scheduler.ts";
import { SimulatedProcess } from "./simulated-process.ts";
import type { SimulatedStores } from "./simulated-stores.ts";

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

export interface MachinesOptions {
  readonly plan: Plan;
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly topology: Topology;
  readonly server: LogSide;
  /** Of a simulated log; null on the embedded one. */
  readonly coordinator: Coordinator | null;
  readonly embedded: EmbeddedSite | null;
  readonly openLog: (process: SimulatedProcess) => LogConnection;
  readonly newStores: (name: string, clockMs?: () => number) => SimulatedStores;
  readonly onFailure: (error: Error) => void;
}

export class Machines {
  readonly all: readonly Machine[];
  private readonly stalls = new Map<SimulatedProcess, () => void>();

  constructor(private readonly options: MachinesOptions) {
    const { plan, server, newStores } = options;
    const { keepsChangelogs } = server;
    const shared = keepsChangelogs ? null : newStores("disk");
    this.all = plan.processes.map((each, index) => {
      const name = `p${index}`;
      return {
        plan: each,
        stores: shared ?? newStores(name, () => this.all[index]?.clockMs ?? 0),
        copies: keepsChangelogs ? newStores(`${name} copy`) : null,
        ...{ clockMs: 0, isBrittle: false, process: null, starts: 0 },
      };
    });
  }

  get serving(): readonly SimulatedProcess[] {
    return this.running.filter(({ serves }) => serves);
  }

  get running(): readonly SimulatedProcess[] {
    return this.all.flatMap(({ process }) => process ?? []);
  }

  /** Each once, though machines may share one. */
  get disks(): readonly SimulatedStores[] {
    const all = this.all.flatMap(({ stores, copies }) => [stores, copies ?? []].flat());
    return [...new Set(all)];
  }

  start(index: number): void {
    const machine = this.machine(index);
    if (machine.process !== null) return;
    // A start would wait for the lock in its sleep, which is real.
    if (this.options.embedded?.isLocked === true) return this.startLater(index);
    machine.starts += 1;
    const { scheduler, topology, openLog, onFailure, plan } = this.options;
    const { partitions, limits } = plan;
    const process = new SimulatedProcess(`p${index}.${machine.starts}`, {
      ...{ scheduler, topology, partitions, limits },
      ...{ openLog, onFailure, isBrittle: machine.isBrittle },
      ...{ plan: machine.plan, stores: machine.stores, copies: machine.copies },
    });
    machine.process = process;
    const ended = (error: Error) => {
      // A program that cannot begin ends, and is started again by whoever looks after it.
      if (error instanceof LogError) this.restartLater(process.life);
      else onFailure(error);
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
    this.options.scheduler.kill(process.life);
    this.expelLater(process);
  }

  /** Now; or, on the embedded log, between two of the next steps of the process's writer. */
  dieSoon(index: number, die: () => void): void {
    const { process } = this.machine(index);
    const { embedded, chance } = this.options;
    if (embedded === null || process === null || chance.is(0.3)) return die();
    embedded.doomAt(process.life, 1 + chance.below(12), die);
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
        this.options.scheduler.kill(process.life);
        this.options.scheduler.after(forUs, {
          ...{ life: null, kind: "started again", about: index },
          run: () => this.start(index),
        });
      };
      process.stop().then(ended, (error: Error) => this.options.onFailure(error));
    };
    this.options.scheduler.after(0, { life: process.life, kind: "told to stop", about: null, run });
  }

  pause(index: number, forUs: number): void {
    const { process } = this.machine(index);
    if (process === null || process.life.isPaused) return;
    this.options.scheduler.pause(process.life);
    this.expelLater(process);
    const run = () => this.options.scheduler.resume(process.life);
    this.options.scheduler.after(forUs, { life: null, kind: "goes on", about: process.name, run });
  }

  /**
   * Paused at its next write: once it has asked the embedded log for it, or once a simulated log
   * has taken a commit and not answered.
   */
  stall(index: number, forUs: number): void {
    const { process } = this.machine(index);
    if (process === null) return;
    const pause = () => {
      const isSame = this.machine(index).process === process;
      if (isSame) this.pause(index, forUs);
    };
    if (this.options.embedded === null) this.stalls.set(process, pause);
    else this.options.embedded.stallAt(process.life, pause);
  }

  /** A simulated log has taken a commit of the process. */
  committed(process: SimulatedProcess): void {
    const stall = this.stalls.get(process);
    if (stall === undefined) return;
    this.stalls.delete(process);
    stall();
  }

  /** Its partitions go to others while it runs on, and knows nothing of it yet. */
  expel(index: number): void {
    const { process } = this.machine(index);
    if (process !== null) this.options.coordinator?.expel(process.life);
  }

  /** Of a folder and all who use it, or of one machine, or of the brokers. */
  powerCut(index: number): void {
    if (!this.options.server.keepsChangelogs) {
      this.all.forEach((_, each) => this.kill(each));
      for (const disk of this.disks) disk.powerCut();
      return this.options.server.powerCut();
    }
    if (this.options.chance.is(0.3)) return this.options.server.powerCut();
    const { stores, copies } = this.machine(index);
    this.kill(index);
    stores.powerCut();
    copies?.powerCut();
  }

  machine(index: number): Machine {
    return this.all[index % this.all.length] as Machine;
  }

  /** Whoever looks after the machine starts it again. */
  restartLater(life: Life): void {
    const index = this.all.findIndex(({ process }) => process?.life === life);
    if (index === -1) return;
    this.options.scheduler.after(1_000 + this.options.chance.below(1_000_000), {
      ...{ life: null, kind: "restarted", about: life.name },
      run: () => {
        if (this.machine(index).process?.life !== life) return;
        this.kill(index);
        this.start(index);
      },
    });
  }

  close(): void {
    for (const { process } of this.all) if (process) this.options.scheduler.kill(process.life);
    for (const disk of this.disks) disk.close();
  }

  private startLater(index: number): void {
    const event = { life: null, kind: "started", about: index, run: () => this.start(index) };
    this.options.scheduler.after(100_000, event);
  }

  private expelLater({ life }: SimulatedProcess): void {
    const { shortest, longest } = SESSION_US;
    const us = this.options.chance.is(0.3) ? shortest : longest;
    const run = () => {
      if (!life.isAlive || life.isPaused) this.options.coordinator?.expel(life);
    };
    this.options.scheduler.after(us, { life: null, kind: "session ends", about: life.name, run });
  }
}
