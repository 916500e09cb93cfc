/**
 * The followers of all groups, one each; none where views read the owners' stores themselves.
 *
 *   partition asked for ──> each group's follower ──> how far copies are, and which stand still
 */

import type { Progress } from "../log/event-log.ts";
import type { Follower, NotFollowed } from "./follower.ts";

export interface GroupNotFollowed extends NotFollowed {
  readonly group: string;
}

export class Followers {
  constructor(private readonly all: readonly Follower[]) {}

  follow(partition: number): void {
    for (const each of this.all) each.follow(partition);
  }

  followAll(): void {
    for (const each of this.all) each.followAll();
  }

  /** Where a copy stands; undefined while it is not open, or where there are no copies. */
  progress(group: string, partition: number): Progress | null | undefined {
    return this.all.find((each) => each.group.name === group)?.progress(partition);
  }

  /** Why views cannot answer yet; null where each has been in step. Asked with every request. */
  get problem(): string | null {
    for (const follower of this.all) {
      const { behind, group } = follower;
      if (behind === null) continue;
      const stalled = follower.notFollowed.find(({ partition }) => partition === behind);
      const where = `partition ${behind}${stalled === undefined ? "" : `: ${stalled.reason}`}`;
      return `the view of ${group.name} is still being brought up to date (${where})`;
    }
    return null;
  }

  get notFollowed(): readonly GroupNotFollowed[] {
    return this.all.flatMap(({ group, notFollowed }) =>
      notFollowed.map((each) => ({ group: group.name, ...each })),
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.all.map((each) => each.stop()));
  }
}
