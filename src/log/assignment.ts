/**
 * Who is to have which partition of a group.
 *
 *   members, who has what now ──> the owner of each partition
 *
 * Balanced: two members' numbers of partitions differ by one at most. Sticky: what a member has it
 * keeps, as far as its share goes, and where shares are uneven those who have more than the smaller
 * one get the larger ones, so that as few partitions move as can be. It depends on its arguments
 * alone, so that a leader can assign for all, or each member for itself: those that see the same
 * come to the same. Members that act one at a time, and want all, are done after two rounds in any
 * order: what is too much is given back in the first, and the larger shares stay with the same.
 *
 * The aims are those of Kafka's sticky assignor (KIP-54); the deliberate difference is that
 * partitions are only counted, since those of one group all have the same topics.
 */

export interface AssignmentOptions {
  /** How many there are. */
  readonly partitions: number;
  /** Their ids, each once, in any order. */
  readonly members: readonly string[];
  /** Who has each partition now. One of somebody who is not among the members is free. */
  readonly owners: ReadonlyMap<number, string>;
  /** Whether a member has a use for a partition that it does not have. All are, if left out. */
  readonly wants?: (member: string, partition: number) => boolean;
}

/** By partition. Null: there is nobody, or nobody with room who wants it. */
export function assign(options: AssignmentOptions): readonly (string | null)[] {
  const { partitions, owners, wants = () => true } = options;
  const members = inRank(options);
  const share = Math.floor(partitions / members.length);
  const over = partitions % members.length;
  const room = new Map(members.map((member, rank) => [member, share + (rank < over ? 1 : 0)]));
  const take = (member: string | undefined): string | null => {
    const left = member === undefined ? 0 : (room.get(member) ?? 0);
    if (member === undefined || left === 0) return null;
    room.set(member, left - 1);
    return member;
  };
  const all = Array.from({ length: partitions }, (_, partition) => partition);
  const kept = all.map((partition) => take(owners.get(partition)));
  return kept.map((owner, partition) => {
    if (owner !== null) return owner;
    const hasRoom = (member: string) => (room.get(member) as number) > 0;
    return take(members.find((member) => hasRoom(member) && wants(member, partition)));
  });
}

/** Those who can fill a larger share with what they have first, then by id. */
function inRank({ partitions, members, owners }: AssignmentOptions): readonly string[] {
  const counts = new Map(members.map((member) => [member, 0]));
  for (const owner of owners.values()) {
    const count = counts.get(owner);
    if (count !== undefined) counts.set(owner, count + 1);
  }
  const share = Math.floor(partitions / members.length);
  const isOver = (member: string) => Number((counts.get(member) as number) > share);
  return [...members].sort((a, b) => isOver(b) - isOver(a) || (a < b ? -1 : 1));
}
