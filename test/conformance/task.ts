/** One task's attempt at a commit, for tests: what it would leave, and what it left. */

import { expect } from "bun:test";
import type { EventLog, Progress } from "../../src/log/event-log.ts";
import { bytes, commitOf, type Fixture, newTopic, readAll, record, texts } from "./fixture.ts";
import { claimOne, take } from "./member.ts";

/** A member with a claim and two records to do; each commit would leave one output and one row. */
export async function startTask(log: EventLog, changelogName?: string) {
  const { keepsChangelogs } = log;
  const { input, output, changelog } = await threeTopics(log);
  await log.append([record(input, "a"), record(input, "b")]);
  const started = await claimOne(log, [input], changelogName ?? changelog);
  const places = { input, output, changelog, group: started.group };
  return {
    ...started,
    ...places,
    commitOf: (records: Parameters<typeof commitOf>[0]) =>
      commitOf(records, {
        outputs: [record(output, "out"), record(output, "out 1", { partition: 1 })],
        changelog: keepsChangelogs ? [{ key: bytes("row"), value: bytes("new") }] : [],
      }),
    traces: () => tracesOf(log, places),
    noTrace: { outputs: [], outputs1: [], rows: [], progress: null } as Traces,
    oneTrace: { outputs: ["out"], outputs1: ["out 1"], rows: keepsChangelogs ? ["new"] : [] },
  };
}

export async function threeTopics(log: EventLog) {
  return {
    input: await newTopic(log),
    output: await newTopic(log),
    changelog: await newTopic(log, { cleanup: "compact" }),
  };
}

interface Traces {
  readonly outputs: string[];
  readonly outputs1: string[];
  readonly rows: string[];
  readonly progress: Progress | null;
}

export async function tracesOf(
  log: EventLog,
  of: { readonly output: string; readonly changelog: string; readonly group: string },
): Promise<Traces> {
  return {
    outputs: texts(await readAll(log, of.output)),
    outputs1: texts(await readAll(log, of.output, 1)),
    rows: texts(await readAll(log, of.changelog)),
    progress: await log.progress(of.group, 0),
  };
}

/** The names that `onStep` is called with while one append or commit runs, in their order. */
export async function stepsOf(of: "append" | "commit", fixture: Fixture): Promise<string[]> {
  const steps = new Set<string>();
  let isListening = false;
  const log = await fixture.open({
    onStep: (step) => {
      if (isListening) steps.add(step);
    },
  });
  const { input } = await threeTopics(log);
  await log.append([record(input, "a")]);
  const { member, claim } = await claimOne(log, [input]);
  const records = await take(claim, 1);
  isListening = true;
  if (of === "append") await log.append([record(input, "b")]);
  else await claim.commit(commitOf(records));
  isListening = false;
  await member.leave();
  await log.close();
  expect(steps.size).toBeGreaterThan(1);
  return [...steps];
}
