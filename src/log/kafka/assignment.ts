/**
 * Which member runs which partitions of a group: partition p of every input goes to one member.
 *
 *   members with what they run now ──assign──> partitions of each
 *
 * Balanced to within one, and a member keeps what it runs as far as that allows. A partition that
 * moves is given to nobody until its owner has let go of it and joined again, so that a batch
 * under way is finished and not fenced (Kafka's cooperative rebalancing, KIP-429).
 */

export interface GroupMember {
  readonly id: string;
  /** What it runs now. */
  readonly owned: readonly number[];
}

export interface Assignment {
  /** By member; each one is named. */
  readonly byMember: ReadonlyMap<string, readonly number[]>;
  /** Partitions are withheld from members that are to get them when their owners let go. */
  readonly isUnfinished: boolean;
}

/** The same for the same members in whatever order. */
export function assign(members: readonly GroupMember[], partitions: number): Assignment {
  const sorted = members.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const owner = ownersOf(sorted, partitions);
  const target = targetOf(sorted, partitions, owner);
  const byMember = new Map<string, number[]>(sorted.map(({ id }) => [id, []]));
  let isUnfinished = false;
  target.forEach((id, partition) => {
    const current = owner.get(partition);
    if (current === undefined || current === id) byMember.get(id)?.push(partition);
    else isUnfinished = true;
  });
  return { byMember, isUnfinished };
}

/** A partition that two claim to run is run by neither for sure. */
function ownersOf(members: readonly GroupMember[], partitions: number): Map<number, string> {
  const owner = new Map<number, string>();
  const disputed = new Set<number>();
  for (const { id, owned } of members) {
    for (const partition of owned) {
      if (partition >= partitions) continue;
      if (owner.has(partition)) disputed.add(partition);
      owner.set(partition, id);
    }
  }
  for (const partition of disputed) owner.delete(partition);
  return owner;
}

/** The member of each partition once all have let go of what they lose. */
function targetOf(
  members: readonly GroupMember[],
  partitions: number,
  owner: ReadonlyMap<number, string>,
): readonly string[] {
  const target = new Array<string>(partitions);
  const count = new Map(members.map(({ id }) => [id, 0]));
  const most = Math.ceil(partitions / members.length);
  let mayHaveMost = partitions - (most - 1) * members.length;
  const give = (partition: number, id: string) => {
    target[partition] = id;
    count.set(id, (count.get(id) as number) + 1);
    if (count.get(id) === most) mayHaveMost -= 1;
  };
  const hasRoom = (id: string) => {
    const has = count.get(id) as number;
    return has < most - 1 || (has === most - 1 && mayHaveMost > 0);
  };
  for (let partition = 0; partition < partitions; partition += 1) {
    const id = owner.get(partition);
    if (id !== undefined && hasRoom(id)) give(partition, id);
  }
  for (let partition = 0; partition < partitions; partition += 1) {
    if (target[partition] !== undefined) continue;
    const [next] = members.toSorted(
      (a, b) => (count.get(a.id) as number) - (count.get(b.id) as number),
    );
    give(partition, (next as GroupMember).id);
  }
  return target;
}
