/** A member and its coordinator, which the test plays: what a member keeps, and what it loses. */

import { expect, test } from "bun:test";
import type { KafkaClaim } from "../../../src/log/kafka/claim.ts";
import type { Connections } from "../../../src/log/kafka/connections.ts";
import { decodeOwned, encodeAssigned } from "../../../src/log/kafka/group-assignment.ts";
import { HEARTBEAT_EVERY_MS } from "../../../src/log/kafka/limits.ts";
import { Membership } from "../../../src/log/kafka/membership.ts";
import { until } from "../../end-to-end/program.ts";

const TOPICS = ["events"];
const PARTITIONS = [0, 1];
const AWAY_TRIES = 3;

test("a coordinator that goes away and comes back finds its members as they were", async () => {
  await using scene = await Scene.start();
  let tries = 0;
  scene.coordinator.fault = (request) => {
    if (request !== "heartbeat") return null;
    tries += 1;
    return "NOT_COORDINATOR_FOR_GROUP";
  };
  await until(() => tries > AWAY_TRIES, () => `${tries}`);
  scene.coordinator.fault = () => null;
  const { heartbeats } = scene.coordinator;
  await until(() => scene.coordinator.heartbeats > heartbeats + 1, () => "no heartbeat comes");
  expect(scene.coordinator.joins).toEqual([{ memberId: "", owned: [] }]);
  expect(scene.coordinator.forgotten).toBeGreaterThan(AWAY_TRIES - 1); // it is looked for anew
  expect(scene.revoked).toEqual([]);
});

test("a round that its coordinator did not write down costs neither id nor claim", async () => {
  await using scene = await Scene.start();
  scene.coordinator.failOnce("heartbeat", "ILLEGAL_GENERATION");
  await until(() => scene.coordinator.joins.length > 1, () => "it does not join again");
  expect(scene.coordinator.joins[1]).toEqual({ memberId: "member-1", owned: PARTITIONS });
  expect(scene.revoked).toEqual([]);
});

test("a member that the group knows no more lets go of all, and comes as a new one", async () => {
  await using scene = await Scene.start();
  scene.coordinator.failOnce("heartbeat", "UNKNOWN_MEMBER_ID");
  await until(() => scene.coordinator.joins.length > 1, () => "it does not join again");
  expect(scene.coordinator.joins[1]?.memberId).toBe("");
  expect(scene.revoked).toEqual(PARTITIONS);
});

test("a member that leaves says so to the coordinator that there is now", async () => {
  const scene = await Scene.start();
  scene.coordinator.failOnce("leave", "NOT_COORDINATOR_FOR_GROUP");
  await scene[Symbol.asyncDispose]();
  expect(scene.coordinator.left).toEqual(["member-1"]);
});

test("a claim that is opened while the coordinator is away waits for its word", async () => {
  const coordinator = new Coordinator();
  let asked = 0;
  coordinator.fault = (request) => {
    if (request !== "heartbeat") return null;
    asked += 1;
    return asked > AWAY_TRIES ? null : "GROUP_LOAD_IN_PROGRESS";
  };
  await using scene = await Scene.start(coordinator);
  expect(asked).toBeGreaterThan(AWAY_TRIES);
  expect(scene.opened).toEqual(PARTITIONS); // once each
});

test("a member tells its group at once what it has let go of, and of all in one word", async () => {
  await using scene = await Scene.start();
  const { coordinator } = scene;
  scene.slow.add(1);
  coordinator.assigned = [];
  coordinator.failOnce("heartbeat", "REBALANCE_IN_PROGRESS");
  await until(() => scene.revoked.length === PARTITIONS.length, () => "nothing is revoked");
  const { heartbeats } = coordinator;
  await until(() => coordinator.heartbeats > heartbeats + 1, () => "no heartbeat comes");
  expect(coordinator.joins.map(({ owned }) => owned)).toEqual([[], PARTITIONS]);
  const startMs = performance.now();
  scene.letGo();
  await until(() => coordinator.joins.length > 2, () => "it does not join again");
  expect(performance.now() - startMs).toBeLessThan(HEARTBEAT_EVERY_MS / 2);
  expect(coordinator.joins[2]).toEqual({ memberId: "member-1", owned: [] });
});

type Request = "join" | "heartbeat" | "leave";

/** Of a group with one member. */
class Coordinator {
  readonly joins: { readonly memberId: string; readonly owned: readonly number[] }[] = [];
  readonly left: string[] = [];
  assigned: readonly number[] = PARTITIONS;
  heartbeats = 0;
  forgotten = 0;
  /** What a request is refused with; null: it is not. */
  fault: (request: Request) => string | null = () => null;

  failOnce(request: Request, type: string): void {
    this.fault = (each) => {
      if (each !== request) return null;
      this.fault = () => null;
      return type;
    };
  }

  connections(): Connections {
    const broker = {
      joinGroup: async (asked: {
        readonly memberId: string;
        readonly groupProtocols: readonly { readonly metadata: Buffer }[];
      }) => {
        this.refuse("join");
        const [{ metadata } = { metadata: Buffer.alloc(0) }] = asked.groupProtocols;
        const memberId = asked.memberId === "" ? `member-${this.joins.length + 1}` : asked.memberId;
        this.joins.push({ memberId: asked.memberId, owned: decodeOwned(metadata) });
        const members = [{ memberId, memberMetadata: metadata }];
        return { memberId, leaderId: memberId, generationId: this.joins.length, members };
      },
      syncGroup: async () => ({ memberAssignment: encodeAssigned(TOPICS, this.assigned) }),
      heartbeat: async () => {
        this.refuse("heartbeat");
        this.heartbeats += 1;
      },
      leaveGroup: async ({ memberId }: { readonly memberId: string }) => {
        this.refuse("leave");
        this.left.push(memberId);
      },
    };
    const forgetCoordinator = () => {
      this.forgotten += 1;
    };
    return { coordinator: async () => broker, forgetCoordinator } as unknown as Connections;
  }

  private refuse(request: Request): void {
    const type = this.fault(request);
    if (type !== null) throw Object.assign(new Error(type), { type });
  }
}

/** A membership with claims that do nothing. */
class Scene implements AsyncDisposable {
  readonly opened: number[] = [];
  readonly revoked: number[] = [];
  /** Partitions whose holder takes its time. */
  readonly slow = new Set<number>();
  letGo: () => void = () => {};
  private readonly yielded: number[] = [];
  private readonly ending = new AbortController();
  private readonly running: Promise<void>;

  private constructor(readonly coordinator: Coordinator) {
    const connections = coordinator.connections();
    const membership: Membership = new Membership({
      ...{ connections, quickConnections: connections },
      ...{ groupId: "counters", topics: TOPICS, partitions: PARTITIONS.length },
      ...{ signal: this.ending.signal, formerMemberId: null, onMemberId: () => {} },
      open: async (partition, { confirm }) => {
        await confirm(); // as where another has to be fenced
        this.opened.push(partition);
        return this.claim(partition, (claim) => membership.released(claim));
      },
      yield: ({ partition }) => void this.yielded.push(partition),
    });
    this.running = membership.run();
  }

  /** Resolves once it runs all partitions. */
  static async start(coordinator = new Coordinator()): Promise<Scene> {
    const scene = new Scene(coordinator);
    const isRunning = () => scene.yielded.length === PARTITIONS.length;
    await until(isRunning, () => `${scene.yielded}`);
    return scene;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ending.abort();
    await this.running;
  }

  private claim(partition: number, released: (claim: KafkaClaim) => void): KafkaClaim {
    const gone = Promise.withResolvers<void>();
    const claim = {
      partition,
      released: gone.promise,
      revoke: () => {
        if (!this.ending.signal.aborted) this.revoked.push(partition);
        if (this.slow.has(partition)) this.letGo = () => void claim.release();
        else void claim.release();
      },
      release: async () => {
        gone.resolve();
        released(claim);
      },
    } as unknown as KafkaClaim;
    return claim;
  }
}
