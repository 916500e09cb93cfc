/**
 * A member of a group on the simulated log: claims as they come, until the signal fires.
 *
 *   join ──registered──> granted ──> claim yielded ──> given back     expelled ──> registered anew
 */

import type { Claim, JoinOptions } from "../../src/log/event-log.ts";
import type { GroupMember } from "./coordinator.ts";
import type { Messages } from "./messages.ts";
import { SimulatedClaim } from "./simulated-claim.ts";

/** A member that leaves waits so long for its running batches, then lets them be fenced. */
const RELEASE_WITHIN_MS = 3_000;

export async function* joinSimulated(
  messages: Messages,
  options: JoinOptions,
): AsyncGenerator<Claim> {
  const { signal, group } = options;
  const { coordinator, server, life } = messages.options;
    const held = new Set<SimulatedClaim>();
  const offered: SimulatedClaim[] = [];
  let wake = () => {};
  let joins = 0;
  let member: GroupMember | null = null;

  const register = () =>
    messages.ask("join", group, () => {
      if (signal.aborted || !life.isAlive) return; // its session would end, some time later
      joins += 1;
      const partitions = server.partitionsOf(options.topics[0] ?? "");
      const registered: GroupMember = {
        ...{ id: `${life.name}#${joins}`, life, partitions },
        wants: (partition) => !signal.aborted && (options.wants?.(partition) ?? true),
        granted: (partition, epoch, progress) => {
          const about = `${group}/${partition} epoch ${epoch}`;
          messages.answer("granted", about, () => {
            const onRelease = (claim: SimulatedClaim) => {
              held.delete(claim);
              wake();
            };
            const place = { group, partition, epoch, progress, topics: options.topics };
            const claim = new SimulatedClaim(messages, {
              ...{ ...place, changelog: options.changelog, onRelease },
            });
            held.add(claim);
            offered.push(claim);
            wake();
          });
        },
        revoke: (partition, epoch) => {
          messages.answer("revoked", `${group}/${partition} epoch ${epoch}`, () => {
            for (const claim of held) {
              if (claim.partition === partition && claim.epoch === epoch) claim.revoke();
            }
          });
        },
        expelled: () => {
          messages.answer("expelled", group, () => {
            for (const claim of held) claim.revoke();
            if (signal.aborted) return;
            register().catch(() => {}); // asked of a log that always answers
          });
        },
      };
      member = registered;
      coordinator.register(group, registered);
    });

  await register();
  const stopped = () => wake();
  signal.addEventListener("abort", stopped, { once: true });
  try {
    while (!signal.aborted) {
      const claim = offered.shift();
      if (claim !== undefined) yield claim;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
    for (const claim of held) claim.revoke();
    for (const claim of offered) void claim.release();
    const late = new AbortController();
    const timer = messages.options.scheduler.delayOf(life)(RELEASE_WITHIN_MS, late.signal);
    const isLate = timer.then(() => true);
    while (held.size > 0) {
      const given = new Promise<boolean>((resolve) => (wake = () => resolve(false)));
      if (await Promise.race([given, isLate])) break;
    }
    late.abort();
  } finally {
    for (const claim of held) claim.revoke();
    const leaving = member as GroupMember | null;
    await messages.ask("leave", group, () => {
      if (leaving !== null) coordinator.leave(group, leaving);
    });
  }
}
