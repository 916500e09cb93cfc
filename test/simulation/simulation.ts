/**
 * One run of a plan: steps with faults until all operations are done, then without faults until
 * all is settled, then a look at everything.
 *
 *   plan ──> world, clients ──steps, faults──> healed ──steps──> settled ──> result
 */

import { Chance } from "./chance.ts";
import { Clients } from "./clients.ts";
import type { EmbeddedSite } from "./embedded-site.ts";
import { heal, strike } from "./faults.ts";
import { checkAcknowledged, checkEnd, checkReads, checkSettledRead } from "./final-checks.ts";
import { nextOf } from "./judge.ts";
import type { Plan } from "./plan.ts";
import { Scheduler } from "./scheduler.ts";
import { withSimulatedGlobals } from "./simulated-globals.ts";
import { Violation } from "./violation.ts";
import { World } from "./world.ts";

/** With faults; then the world is healed, whatever is left to do. */
const STEPS_WITH_FAULTS = 20_000;
/** All that is left takes a few hundred steps, or some ten thousand after a long standstill. */
const STEPS_TO_SETTLE = 100_000;
/** Longer than any wait of the engine or of a client. */
const TIME_TO_SETTLE_US = 120_000_000;
/** Longer than sessions last, and far less than timers of idle partitions. */
const IDLE_US = 60_000_000;
const IDLE_STEPS = 300;
/** Longer than a member may be silent; and so often, until who is gone is known to all. */
const CALM_US = 6_000_000;
const CALM_WINDOWS = 10;
/** Between two looks at what is not looked at with every step. */
const LOOK_EVERY_STEPS = 32;
const REMEMBER_EVERY_STEPS = 256;

export interface Result {
  readonly plan: Plan;
  readonly steps: number;
  readonly simulatedMs: number;
  /** Two runs with the same digest went the same way. */
  readonly digest: number;
  readonly violation: Violation | null;
  /** The last steps, oldest first. */
  readonly trace: readonly string[];
  /** What the judge looked at. */
  readonly seen: Readonly<Record<string, number>>;
}

export interface RunOptions {
  /** Ends the run there, whatever is left. */
  readonly maxSteps?: number;
  readonly traceSteps?: number;
}

export function simulate(plan: Plan, options: RunOptions = {}): Result {
  const { maxSteps = Number.POSITIVE_INFINITY, traceSteps = 60 } = options;
  const scheduler = new Scheduler(traceSteps);
  const chance = new Chance(plan.seed ^ 0x5eed);
  return withSimulatedGlobals(scheduler, chance, () => {
    const world = new World(plan, { scheduler, chance });
    try {
      new Run(world, maxSteps).run();
    } catch (error) {
      world.fail(error as Error);
    }
    const { violation } = world;
    const trace = scheduler.lastSteps();
    world.close();
    return {
      ...{ plan, steps: scheduler.steps, digest: scheduler.digest, violation, trace },
      simulatedMs: scheduler.nowUs / 1_000,
      seen: world.judge.seen,
    };
  });
}

class Run {
  private readonly clients: Clients;
  private nextFault = 0;
  /** The step of the last fault. */
  private struckAt = 0;

  constructor(
    private readonly world: World,
    private readonly maxSteps: number,
  ) {
    const { scheduler, chance, conditions, plan } = world;
    this.clients = new Clients({
      ...{ scheduler, chance, conditions, operations: plan.operations },
      partitions: plan.partitions,
      serving: () => world.machines.serving,
      onSettled: (told, process) =>
        world.guard(() => checkSettledRead(world, { told, process })),
      onAcknowledged: (told) => world.guard(() => checkAcknowledged(world, told)),
      onFailure: (error) => world.fail(error),
    });
  }

  run(): void {
    const { world, clients } = this;
    const { scheduler, plan } = world;
    plan.processes.forEach((_, index) => world.machines.start(index));
    clients.start();
    const isOver = () =>
      (clients.areDone && this.nextFault === plan.faults.length) ||
      scheduler.steps >= STEPS_WITH_FAULTS;
    while (!isOver() && this.step()) {
      for (
        let fault = plan.faults[this.nextFault];
        fault !== undefined && (fault.atStep <= scheduler.steps || this.isIdle());
        fault = plan.faults[this.nextFault]
      ) {
        this.nextFault += 1;
        this.struckAt = scheduler.steps;
        strike(world, fault);
      }
    }
    heal(world);
    const endUs = scheduler.nowUs + TIME_TO_SETTLE_US;
    const endSteps = scheduler.steps + STEPS_TO_SETTLE;
    while (!this.isSettled()) {
      const isLate = scheduler.nowUs > endUs || scheduler.steps > endSteps;
      this.steps(LOOK_EVERY_STEPS);
      if (scheduler.steps >= this.maxSteps) return;
      // Faults that were under way end by themselves, and processes start again: one that was to
      // die may do so now alone, and nothing happens any more until it is started.
      heal(world);
      const isQuiet = scheduler.nextUs === null;
      if ((isLate || isQuiet) && !this.isSettled()) throw this.unsettled();
    }
    checkEnd(world, clients.told);
    if (world.embedded !== null) this.checkCalm(world.embedded);
  }

  /** Members that all live leave each other's partitions alone. */
  private checkCalm(embedded: EmbeddedSite): void {
    const { scheduler } = this.world;
    const pass = (us: number) => {
      const endUs = scheduler.nowUs + us;
      let goesOn = true;
      while (goesOn && scheduler.nowUs < endUs) goesOn = this.step();
    };
    // Faults may still end in the first ones: a member is gone, or comes again.
    for (let window = 0; window < CALM_WINDOWS; window += 1) {
      const before = embedded.takeovers;
      pass(CALM_US);
      if (embedded.takeovers === before) return;
    }
    const text = `takeovers in each of ${CALM_WINDOWS} times ${CALM_US / 1e6} s without a fault`;
    throw new Violation("members that live keep what they have", text);
  }

  /** Nothing is to be done for a while: what is still to go wrong goes wrong now. */
  private isIdle(): boolean {
    const { embedded, scheduler } = this.world;
    const { nextUs, nowUs, steps } = scheduler;
    // Members of the embedded log are never idle: they show each other that they live.
    if (embedded !== null && this.clients.areDone) return steps - this.struckAt > IDLE_STEPS;
    return nextUs === null || nextUs - nowUs > IDLE_US;
  }

  private steps(count: number): boolean {
    for (let left = count; left > 0; left -= 1) if (!this.step()) return false;
    return true;
  }

  private step(): boolean {
    const { world } = this;
    const { scheduler } = world;
    if (scheduler.steps >= this.maxSteps || !scheduler.step()) return false;
    if (world.violation !== null) throw world.violation;
    if (scheduler.steps % LOOK_EVERY_STEPS === 0) this.look();
    if (scheduler.steps % REMEMBER_EVERY_STEPS === 0) {
      for (const disk of world.machines.disks) disk.remember();
    }
    return true;
  }

  /** What every partition and reader must be like at any time. */
  private look(): void {
    const { world } = this;
    for (const process of world.machines.running) {
      const { failure } = process;
      if (failure !== null) {
        throw new Violation("no partition stands still", `${process.name}: ${failure.stack}`);
      }
    }
    checkReads(world);
  }

  private isSettled(): boolean {
    const { world, clients } = this;
    if (!clients.areDone || !world.server.isIdle) return false;
    return this.behind() === null;
  }

  /** The first group, or copy, that has not done what it can do. */
  private behind(): string | null {
    const { server, topology, plan, machines } = this.world;
    for (const { name, inputs } of topology.groups) {
      const topic = inputs[0]?.stream.topic ?? "";
      for (let partition = 0; partition < plan.partitions; partition += 1) {
        const end = server.partition(topic, partition).lastDurable;
        const at = nextOf(server.progressShown(name, partition));
        if (at < end) return `${name} partition ${partition} at ${at} of ${end}`;
        const table = `${name}-table`;
        const stands = machines.disks.flatMap((disk) => [...disk.places(table, partition)]);
        const furthest = Math.max(0, ...stands.map(nextOf));
        if (furthest < end) return `the store of ${name} ${partition} at ${furthest} of ${end}`;
        for (const process of this.world.machines.serving) {
          const next = nextOf(process.view(name).progress(partition));
          const where = `${process.name}: view of ${name} ${partition}`;
          if (next < end) return `${where} at ${next} of ${end}`;
        }
      }
    }
    return null;
  }

  private unsettled(): Violation {
    const left = this.clients.told.filter(({ isDone }) => !isDone);
    const what = this.behind() ?? (left.length > 0 ? JSON.stringify(left[0]?.operation) : "checks");
    return new Violation("all settles in the end", `${what} (${left.length} operations left)`);
  }
}
