/** Two inputs of one group whose records came in turns, for tests of the order across them. */

import { type Fixture, newTopic, record } from "./fixture.ts";

/** Which of two inputs, and the value; appended one by one, so that the log's order is this. */
export const ORDER = [
  [0, "a"],
  [0, "b"],
  [1, "c"],
  [0, "d"],
  [1, "e"],
  [1, "f"],
  [1, "g"],
  [0, "h"],
  [1, "i"],
  [0, "j"],
] as const;

export async function twoInputs(fixture: Fixture) {
  const keepsChangelogs = !fixture.adapter.features.changelogModes.includes(false);
  const log = await fixture.open({ keepsChangelogs });
  const topics = [await newTopic(log), await newTopic(log)] as const;
  const unread = await newTopic(log);
  for (const [of, value] of ORDER) {
    await log.append([record(unread, "noise"), record(topics[of], value)]);
  }
  return { log, topics };
}
