/**
 * What a member should take and give, in each group that it has joined.
 *
 *   members and claims as they are ──assign──> whose each partition should be ──> take, give
 */

import { assign } from "../assignment.ts";
import type { Grants } from "./grants.ts";
import type { AllRows, MemberRow } from "./member-rows.ts";

/** A group that the member has joined. */
export interface WishingGroup {
  readonly group: string;
  readonly partitions: number;
  readonly isStandIn: boolean;
  /** What the member has of it. */
  readonly grants: Grants;
  wants(partition: number): boolean;
}

export interface Wish<G extends WishingGroup> {
  readonly joined: G;
  readonly partition: number;
}

/** `own` is the member's id; the members that are gone have nothing and get nothing. */
export function wishesOf<G extends WishingGroup>(
  rows: AllRows,
  options: {
    readonly gone: readonly MemberRow[];
    readonly own: string;
    readonly joined: Iterable<G>;
  },
): { readonly take: readonly Wish<G>[]; readonly give: readonly Wish<G>[] } {
  const { gone, own } = options;
  const take: Wish<G>[] = [];
  const give: Wish<G>[] = [];
  const live = new Set(rows.members.map(({ id }) => id));
  for (const { id } of gone) live.delete(id);
  for (const joined of options.joined) {
    const owners = new Map<number, string>();
    for (const { group_name, partition, member } of rows.claims) {
      if (group_name !== joined.group || member === null || !live.has(member)) continue;
      owners.set(partition, member);
    }
    const members = regulars(rows, joined.group, live);
    const targets = targetsOf(joined, { own, owners, members });
    const isOurs = (partition: number) => targets[partition] === own;
    const mine = new Set(joined.grants.all().map(({ partition }) => partition));
    for (const partition of mine) if (!isOurs(partition)) give.push({ joined, partition });
    for (const partition of targets.keys()) {
      const isFree = !owners.has(partition) && !mine.has(partition);
      if (isFree && isOurs(partition)) take.push({ joined, partition });
    }
  }
  return { take, give };
}

/** Who should have each partition; a stand-in is nobody while a regular member is there. */
function targetsOf(
  joined: WishingGroup,
  known: {
    readonly own: string;
    readonly owners: ReadonlyMap<number, string>;
    readonly members: readonly string[];
  },
): readonly (string | null)[] {
  const { own, owners, members } = known;
  const others = [...owners].filter(([, member]) => member !== own);
  const mine = joined.grants.all().map(({ partition }) => [partition, own] as const);
  return assign({
    partitions: joined.partitions,
    members: joined.isStandIn && members.length === 0 ? [own] : members,
    owners: new Map([...others, ...mine]),
    wants: (member, partition) => member !== own || joined.wants(partition),
  });
}

/** Live members of the group, those aside that only stand in. */
function regulars(rows: AllRows, group: string, live: ReadonlySet<string>): readonly string[] {
  return rows.memberships
    .filter((row) => row.group_name === group && row.stand_in === 0)
    .map(({ member }) => member)
    .filter((id) => live.has(id));
}
