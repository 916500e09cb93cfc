/** Whether a group's coordinator takes what a transaction brings along for other tools. */

import { LogError } from "../event-log.ts";
import { passing } from "./brokers.ts";
import type { Connections } from "./connections.ts";
import { OFFSETS_ANSWER_MS } from "./limits.ts";
import { atMost } from "./retry.ts";

/** Null when it answers at once; else why not. */
export async function whySilent(connections: Connections, groupId: string): Promise<unknown> {
  const ask = async () => {
    const coordinator = await connections.coordinator("group", groupId);
    await coordinator.describeGroups({ groupIds: [groupId] });
  };
  let why: unknown = passing(
    "REQUEST_TIMED_OUT",
    `the coordinator of ${groupId} does not answer within ${OFFSETS_ANSWER_MS} ms`,
  );
  try {
    if (await atMost(OFFSETS_ANSWER_MS, ask())) return null;
  } catch (error) {
    why = error;
  }
  connections.forgetCoordinator("group", groupId);
  return why;
}

/** Null when it is done, else what was answered: but a LogError is thrown, and all is over. */
export async function unlessRefused(attempt: () => Promise<unknown>): Promise<unknown> {
  try {
    await attempt();
    return null;
  } catch (error) {
    if (error instanceof LogError) throw error;
    return error;
  }
}
