/**
 * A process that works on a log and kills itself at a named step, so that nothing of it, no
 * handler and no buffer, gets to run. Prints a line for whatever it was acknowledged.
 *
 *   bun crash-child.ts <module that exports logUnderTest> <JSON of place and task>
 */

import { writeSync } from "node:fs";
import type { EventLog } from "../../src/log/event-log.ts";
import { doubled } from "./crash-cases.ts";
import { record } from "./fixture.ts";
import type { LogUnderTest } from "./log-under-test.ts";
import { Member, take } from "./member.ts";

export interface ChildTask {
  readonly does: "append" | "commit" | "hold" | "hang";
  readonly topic: string;
  readonly group?: string;
  readonly output?: string;
  readonly changelog?: string;
  readonly partitions?: number;
  readonly keepsChangelogs?: boolean;
  /** The step of the second append or commit at which the process dies. */
  readonly diesAt?: string;
}

if (import.meta.main) await run();

async function run(): Promise<void> {
  const [module, json] = process.argv.slice(2) as [string, string];
  const { logUnderTest } = (await import(module)) as { logUnderTest: LogUnderTest };
  const { place, task } = JSON.parse(json) as { place: string; task: ChildTask };
  let isArmed = false;
  const log = await logUnderTest.open(place, {
    create: false,
    keepsChangelogs: task.keepsChangelogs ?? false,
    onStep: (step) => {
      if (isArmed && step === task.diesAt) process.kill(process.pid, "SIGKILL");
    },
  });
  const arm = () => {
    isArmed = true;
  };
  if (task.does === "append") await append(log, task, arm);
  else if (task.does === "commit") await commit(log, task, arm);
  else if (task.does === "hang") await hang(log, task);
  else await hold(log, task);
  await log.close();
}

async function append(log: EventLog, { topic }: ChildTask, arm: () => void): Promise<void> {
  await log.append([record(topic, "1"), record(topic, "2")]);
  print("first");
  arm();
  await log.append([record(topic, "3"), record(topic, "4")]);
  print("second");
}

async function commit(log: EventLog, task: ChildTask, arm: () => void): Promise<void> {
  const { group, topic, changelog, output, keepsChangelogs } = task as Required<ChildTask>;
  const claim = await new Member(log, { group, topics: [topic], changelog }).claim();
  const [first, second] = [await take(claim, 2), await take(claim, 2)];
  await claim.commit(doubled(first, output, keepsChangelogs));
  print("first");
  arm();
  await claim.commit(doubled(second, output, keepsChangelogs));
  print("second");
}

/** Holds every partition and gives none back. */
async function hold(log: EventLog, { group, topic, partitions }: ChildTask): Promise<void> {
  const member = new Member(log, { group: group as string, topics: [topic] });
  await member.holds(...Array.from({ length: partitions as number }, (_, i) => i));
  let wanted = 0;
  for (const { revoked } of member.claims) {
    revoked.addEventListener("abort", () => {
      wanted += 1;
      print(`wanted ${wanted}`);
    });
  }
  print(`holding ${partitions}`);
  for await (const _ of process.stdin);
  process.exit(1); // whoever started it is gone
}

/** Reads, says so, and commits when it is told to, as an owner does that was stopped meanwhile. */
async function hang(log: EventLog, task: ChildTask): Promise<void> {
  const { group, topic, output } = task as Required<ChildTask>;
  const member = new Member(log, { group, topics: [topic] });
  const claim = await member.claim();
  const records = await take(claim, 2);
  print("has read");
  for await (const _ of process.stdin) {
    const outcome = await claim.commit(doubled(records, output, false)).then(
      () => "done",
      (error) => error.code,
    );
    print(outcome);
    print(`revoked: ${claim.revoked.aborted}`);
    return member.leave();
  }
}

function print(line: string): void {
  writeSync(1, `${line}\n`);
}
