/**
 * How far a server's groups are behind, as GET /readyz says it.
 */

import type { Server } from "./children.ts";

/** A minute of work is caught up with in less. */
const SETTLES_WITHIN_MS = 120_000;
const POLL_MS = 10;

/** Records, of the group that is furthest behind. */
export async function lagOf({ port }: Server): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`);
  const { groups } = (await response.json()) as { groups: readonly { lag: number }[] };
  return Math.max(...groups.map(({ lag }) => lag));
}

/** Until no group is behind. */
export async function settleServer(server: Server): Promise<void> {
  const deadlineMs = performance.now() + SETTLES_WITHIN_MS;
  while ((await lagOf(server)) > 0) {
    if (performance.now() > deadlineMs) throw new Error("the groups do not catch up");
    await Bun.sleep(POLL_MS);
  }
}
