/** What goes wrong, each at its step, and how it ends. */

import type { Conditions } from "./conditions.ts";
import type { Fault } from "./plan.ts";
import { tableName } from "../../src/stream/group.ts";
import type { World } from "./world.ts";

/** A clock that jumps this far makes stores look as if they had missed dropped tombstones. */
const CLOCK_JUMP_MS = 4 * 24 * 60 * 60 * 1_000;

/**
 * Only what was superseded for so long is dropped (an hour on Kafka): longer than it takes anybody
 * to read a changelog up to the progress that he has looked at before.
 */
const COMPACTION_LAG_US = 40_000_000;

/** Longer than a member may be silent. */
const HANG_US = 8_000_000;

/** Of another program that holds the write lock; longer than a writer waits for it. */
const LONGEST_LOCK_US = 3_000_000;

/** While the fault lasts; then as the plan has it. */
const WORSE: Partial<Record<Fault["kind"], Partial<Conditions>>> = {
  down: { isDown: true },
  "unknown outcomes": { unknownChance: 0.3 },
  refusals: { refusedChance: 0.5 },
  "slow disk": { fsyncUs: 500_000 },
  "slow messages": { slowChance: 0.5, slowUs: 2_000_000 },
  "full disk": { storeFaultChance: 0.5 },
};

export function strike(world: World, fault: Fault): void {
  const { kind, process: index, forMs } = fault;
  const { scheduler, machines } = world;
  const later = (what: string, run: () => void) =>
    scheduler.after(forMs * 1_000, { life: null, kind: what, about: index, run });
  // A step of its own, so that the trace shows it.
  scheduler.after(0, { life: null, kind: `fault: ${kind}`, about: fault, run: () => {} });
  const worse = WORSE[kind];
  if (kind === "down" && world.embedded !== null) {
    world.embedded.holdLock();
    const us = Math.min(forMs * 1_000, LONGEST_LOCK_US); // who waits for it looks every 2 ms
    const run = () => world.embedded?.releaseLock();
    scheduler.after(us, { life: null, kind: "lock given up", about: null, run });
    return;
  }
  if (worse !== undefined) {
    Object.assign(world.conditions, worse);
    later(`${kind} ends`, () => restore(world, Object.keys(worse) as (keyof Conditions)[]));
    return;
  }
  switch (kind) {
    case "kill":
      machines.dieSoon(index, () => machines.kill(index));
      later("started again", () => machines.start(index));
      return;
    case "power cut":
      machines.dieSoon(index, () => machines.powerCut(index));
      machines.all.forEach((_, each) => later("started again", () => machines.start(each)));
      return;
    case "stop":
      machines.stop(index, forMs * 1_000);
      return;
    case "broken rules":
      restartWith(world, index, true);
      later("rules mended", () => restartWith(world, index, false));
      return;
    case "pause":
      machines.pause(index, forMs * 1_000);
      return;
    case "expel":
      // Nobody can be sent away from the embedded log: one that falls silent is.
      if (world.embedded === null) machines.expel(index);
      else machines.stall(index, HANG_US);
      return;
    case "stall":
      machines.stall(index, HANG_US);
      return;
    case "compaction":
      for (const log of world.server.partitions()) {
        if (!world.topology.groups.some((group) => tableName(group) === log.topic)) continue;
        const { visibleEnd } = log;
        const run = () => log.compact(visibleEnd);
        scheduler.after(COMPACTION_LAG_US, { life: null, kind, about: log.topic, run });
      }
      return;
    default:
      machines.machine(index).clockMs += forMs % 2 === 0 ? CLOCK_JUMP_MS : -forMs;
  }
}

/** All is well, and everybody runs. */
export function heal(world: World): void {
  restore(world, Object.keys(world.conditions) as (keyof Conditions)[]);
  const { conditions, machines } = world;
  Object.assign(conditions, { unknownChance: 0, refusedChance: 0, storeFaultChance: 0 });
  Object.assign(conditions, { slowChance: 0, fsyncUs: 400 });
  machines.all.forEach(({ process, isBrittle }, index) => {
    if (isBrittle) restartWith(world, index, false);
    else if (process === null) machines.start(index);
    else if (process.life.isPaused) world.scheduler.resume(process.life);
  });
}

/** Another version of the program is started in the place of the one that runs. */
function restartWith(world: World, index: number, isBrittle: boolean): void {
  const { machines } = world;
  machines.kill(index);
  machines.machine(index).isBrittle = isBrittle;
  machines.start(index);
}

function restore(world: World, names: readonly (keyof Conditions)[]): void {
  const planned: Conditions = { ...world.plan.conditions, isDown: false };
  const { conditions } = world;
  Object.assign(conditions, Object.fromEntries(names.map((name) => [name, planned[name]])));
}
