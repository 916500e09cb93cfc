/**
 * The world of one run: the log, the machines with their disks and processes, and the judge that
 * watches them.
 *
 *   plan ──> log, machines ──what they do──> judge ──> the first violation
 */

import { balanceGroup } from "../../src/collector/collector.ts";
import { thresholdGroup } from "../../src/detector/detector.ts";
import { flaggerGroup } from "../../src/flagger/flagger.ts";
import { defineTopology, type Topology } from "../../src/stream/topology.ts";
import type { Chance } from "./chance.ts";
import type { Conditions } from "./conditions.ts";
import { Connection } from "./connection.ts";
import { Coordinator } from "./coordinator.ts";
import { EmbeddedSite } from "./embedded-site.ts";
import { type Applied, Judge } from "./judge.ts";
import { LogServer, START_MS } from "./log-server.ts";
import type { LogConnection, LogSide } from "./log-side.ts";
import { Machines } from "./machines.ts";
import type { Plan } from "./plan.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SimulatedProcess } from "./simulated-process.ts";
import { SimulatedStores } from "./simulated-stores.ts";
import { Violation } from "./violation.ts";

export class World {
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly conditions: Conditions;
  readonly topology: Topology;
  readonly judge: Judge;
  readonly server: LogSide;
  readonly machines: Machines;
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
        onSyncFailed: (life) => this.machines.restartLater(life),
      });
      this.server = this.embedded;
    } else {
      const own = { scheduler, chance, conditions, keepsChangelogs, observer: judge };
      const server = new LogServer(own);
      const coordinator = new Coordinator(scheduler, server);
      server.onChange = () => {
        for (const { log } of this.machines.running) log.ring();
      };
      this.openSimulated = (process) => {
        const announce = () => this.announce(process);
        const { life } = process;
        const committing: Judge["committing"] = (commit) => {
          judge.committing(commit);
          this.machines.committed(process);
        };
        return new Connection({
          ...{ server, coordinator, scheduler, chance, conditions, life, announce },
          judge: { committing },
        });
      };
      this.server = server;
      this.coordinator = coordinator;
    }
    this.judge.server = this.server;
    const fail = (error: Error) => this.fail(error);
    this.machines = new Machines({
      ...{ plan, scheduler, chance, topology: this.topology, server: this.server },
      ...{ coordinator: this.coordinator, embedded: this.embedded, onFailure: fail },
      openLog: (process) => this.embedded?.open(process.life) ?? this.openSimulated(process),
      newStores: (...of) => this.newStores(...of),
    });
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
    this.machines.close();
    this.embedded?.close();
  }

  private openSimulated: (process: SimulatedProcess) => LogConnection = () => {
    throw new Error("the log is not a simulated one");
  };

  private announce(from: SimulatedProcess): void {
    const others = this.server.keepsChangelogs ? [from] : this.machines.running;
    for (const process of others) process.log.ring();
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
