/**
 * `join` on Kafka: claims as partitions come, from a membership or, for a stand-in, while no
 * member serves the group.
 */

import { getLogger } from "@logtape/logtape";
import type { Claim, JoinOptions } from "../event-log.ts";
import type { KafkaClaim } from "./claim.ts";
import type { ClaimHost } from "./claim-host.ts";
import { openClaim } from "./claim-opening.ts";
import type { Connections } from "./connections.ts";
import { RELEASE_WITHIN_MS, STAND_IN_LOOKS_EVERY_MS } from "./limits.ts";
import { Membership } from "./membership.ts";
import { atMost, pause, unavailable } from "./retry.ts";

const logger = getLogger(["log", "kafka"]);
const SERVED = new Error("a member has come to serve the group");

export interface GroupJoinOptions extends JoinOptions {
  readonly host: ClaimHost;
  /** Of this membership alone. */
  readonly connections: Connections;
  readonly partitions: number;
  readonly formerMemberId: string | null;
  onMemberId(id: string | null): void;
  /** Whether a member serves the group. */
  isServed(): Promise<boolean>;
}

export async function* joinGroup(options: GroupJoinOptions): AsyncGenerator<Claim> {
  const queue = new ClaimQueue();
  const ending = new AbortController();
  const end = () => {
    ending.abort();
    queue.refuse();
  };
  options.signal.addEventListener("abort", end, { once: true });
  if (options.signal.aborted) end();
  const running = (options.standIn === true ? standIn : belong)(options, queue, ending.signal);
  running.then(() => queue.end()).catch((error: unknown) => queue.fail(error));
  try {
    yield* queue.claims();
  } finally {
    end();
    options.signal.removeEventListener("abort", end);
    await running.catch(() => {}); // the queue has thrown it
  }
}

async function belong(
  options: GroupJoinOptions,
  queue: ClaimQueue,
  signal: AbortSignal,
): Promise<void> {
  const { host, connections, partitions, topics, group } = options;
  const membership: Membership = new Membership({
    connections,
    quickConnections: host.connections,
    groupId: host.names.group(group),
    topics: topics.map((topic) => host.names.topic(topic)),
    partitions,
    signal,
    formerMemberId: options.formerMemberId,
    onMemberId: options.onMemberId,
    open: (partition, right) =>
      openClaim(host, placeOf(options, partition), {
        ...right,
        released: (claim) => membership.released(claim),
        fenced: (claim) => membership.fenced(claim),
      }),
    yield: (claim) => queue.push(claim),
  });
  await membership.run();
}

/** All partitions while the group has no members; they are given back when one comes. */
async function standIn(
  options: GroupJoinOptions,
  queue: ClaimQueue,
  signal: AbortSignal,
): Promise<void> {
  const held = new Map<number, KafkaClaim>();
  while (!signal.aborted) {
    try {
      if (await options.isServed()) revokeAll(held);
      else await claimAll(options, { held, queue, signal });
    } catch (error) {
      logger.debug("{group}: not stood in for yet: {error}", { group: options.group, error });
    }
    await pause(STAND_IN_LOOKS_EVERY_MS, signal);
  }
  revokeAll(held);
  await atMost(RELEASE_WITHIN_MS, Promise.all([...held.values()].map((each) => each.released)));
}

async function claimAll(
  options: GroupJoinOptions,
  own: {
    readonly held: Map<number, KafkaClaim>;
    readonly queue: ClaimQueue;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { held, queue, signal } = own;
  for (let partition = 0; partition < options.partitions; partition += 1) {
    const isWanted = options.wants?.(partition) ?? true;
    if (signal.aborted || held.has(partition) || !isWanted) continue;
    try {
      const claim = await openClaim(options.host, placeOf(options, partition), {
        signal,
        confirm: async () => {
          if (await options.isServed()) throw unavailable(`stand in for ${options.group}`, SERVED);
        },
        released: () => held.delete(partition),
        fenced: () => {}, // a member has come, or another stand-in
      });
      held.set(partition, claim);
      queue.push(claim);
    } catch (error) {
      // It holds up no other.
      logger.debug("{group} partition {partition}: not stood in for yet: {error}", {
        group: options.group,
        partition,
        error,
      });
    }
  }
}

function revokeAll(held: ReadonlyMap<number, KafkaClaim>): void {
  for (const claim of held.values()) claim.revoke();
}

function placeOf(options: GroupJoinOptions, partition: number) {
  const { group, topics, changelog } = options;
  return { group, partition, topics, changelog };
}

/** Claims that came and were not pulled yet. */
class ClaimQueue {
  private readonly waiting: KafkaClaim[] = [];
  private wake: () => void = () => {};
  private isEnded = false;
  private isRefused = false;
  private failure: unknown = null;

  push(claim: KafkaClaim): void {
    if (this.isRefused) return void claim.release();
    this.waiting.push(claim);
    this.wake();
  }

  /** Nobody will pull them any more. */
  refuse(): void {
    this.isRefused = true;
    for (const claim of this.waiting.splice(0)) void claim.release();
  }

  end(): void {
    this.isEnded = true;
    this.wake();
  }

  fail(error: unknown): void {
    this.failure = error;
    this.end();
  }

  async *claims(): AsyncGenerator<KafkaClaim> {
    for (;;) {
      const claim = this.waiting.shift();
      if (claim !== undefined) yield claim;
      else if (this.isEnded) break;
      else {
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
      }
    }
    if (this.failure !== null) throw this.failure;
  }
}
