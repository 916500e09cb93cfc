/**
 * Who has which partition of a group on the simulated log.
 *
 *   members come, go, fall silent ──> who is to have what ──> revoked, given back, taken ──> epoch
 *
 * A partition has one owner at a time in the log's eyes; what a former owner believes, only its
 * next commit tells it.
 */

import { assign } from "../../src/log/assignment.ts";
import type { Owner, Progress } from "../../src/log/event-log.ts";
import type { LogServer } from "./log-server.ts";
import type { Life, Scheduler } from "./scheduler.ts";

/** A holder that does not give back what is revoked has it taken away after so long. */
const TAKEN_AFTER_US = 3_000_000;

export interface GroupMember {
  readonly id: string;
  readonly life: Life;
  readonly partitions: number;
  wants(partition: number): boolean;
  /** All three are told by messages. */
  granted(partition: number, epoch: number, progress: Progress | null): void;
  revoke(partition: number, epoch: number): void;
  expelled(): void;
}

interface Ownership {
  readonly member: GroupMember;
  readonly epoch: number;
  isRevoked: boolean;
}

interface GroupState {
  readonly members: Map<string, GroupMember>;
  readonly owners: Map<number, Ownership>;
  readonly epochs: Map<number, number>;
  partitions: number;
}

export class Coordinator {
  private readonly groups = new Map<string, GroupState>();

  constructor(
    private readonly scheduler: Scheduler,
    private readonly server: LogServer,
  ) {}

  register(group: string, member: GroupMember): void {
    const state = this.state(group);
    state.partitions = member.partitions;
    state.members.set(member.id, member);
    this.balance(group);
  }

  leave(group: string, member: GroupMember): void {
    const state = this.state(group);
    if (!state.members.delete(member.id)) return;
    for (const [partition, owner] of state.owners) {
      if (owner.member === member) state.owners.delete(partition);
    }
    this.balance(group);
  }

  /** Whatever it has can be taken by others; it is told when its messages come through. */
  expel(life: Life): void {
    for (const [group, state] of this.groups) {
      for (const member of [...state.members.values()]) {
        if (member.life !== life) continue;
        this.leave(group, member);
        member.expelled();
      }
    }
  }

  release(group: string, claim: { partition: number; epoch: number }): void {
    if (!this.isCurrent(group, claim)) return;
    this.state(group).owners.delete(claim.partition);
    this.balance(group);
  }

  isCurrent(group: string, claim: { partition: number; epoch: number }): boolean {
    return this.state(group).owners.get(claim.partition)?.epoch === claim.epoch;
  }

  owners(group: string): Owner[] {
    const { owners, partitions } = this.state(group);
    return Array.from({ length: partitions }, (_, partition) => {
      const owner = owners.get(partition);
      return { partition, owner: owner?.member.life.name ?? null };
    });
  }

  /** Everybody gets what is theirs; again after each change. */
  balance(group: string): void {
    const state = this.state(group);
    const members = [...state.members.keys()];
    if (members.length === 0) return;
    const owners = new Map([...state.owners].map(([each, { member }]) => [each, member.id]));
    const target = assign({
      ...{ partitions: state.partitions, members, owners },
      wants: (id, partition) => state.members.get(id)?.wants(partition) ?? false,
    });
    target.forEach((id, partition) => {
      const owner = state.owners.get(partition);
      if (owner === undefined) {
        const member = id === null ? undefined : state.members.get(id);
        if (member !== undefined) this.grant(group, { partition, member });
      } else if (owner.member.id !== id && !owner.isRevoked) this.revoke(group, partition, owner);
    });
  }

  private revoke(group: string, partition: number, owner: Ownership): void {
    owner.isRevoked = true;
    const { member, epoch } = owner;
    member.revoke(partition, epoch);
    this.scheduler.after(TAKEN_AFTER_US, {
      ...{ life: null, kind: "taken away", about: `${group}/${partition} from ${member.id}` },
      run: () => this.release(group, { partition, epoch }),
    });
  }

  /** Told once what it builds on is durable. */
  private grant(
    group: string,
    { partition, member }: { partition: number; member: GroupMember },
  ): void {
    const state = this.state(group);
    const epoch = (state.epochs.get(partition) ?? 0) + 1;
    state.epochs.set(partition, epoch);
    state.owners.set(partition, { member, epoch, isRevoked: false });
    const progress = this.server.writtenProgress(group, partition);
    this.server.enqueue({
      ...{ records: [], progress: null, committed: null },
      onDurable: () => member.granted(partition, epoch, progress),
      onLost: () => this.release(group, { partition, epoch }),
    });
  }

  private state(group: string): GroupState {
    let state = this.groups.get(group);
    if (state === undefined) {
      state = { members: new Map(), owners: new Map(), epochs: new Map(), partitions: 0 };
      this.groups.set(group, state);
    }
    return state;
  }
}
