/** Conformance: processes that die, at any step of what they do. */

import { expect } from "bun:test";
import type { EventLog } from "../../src/log/event-log.ts";
import { inTime } from "../in-time.ts";
import type { ChildTask } from "./crash-child.ts";
import {
  bytes,
  commitOf,
  eventually,
  type Fixture,
  freshName,
  newTopic,
  readAll,
  record,
  texts,
  within,
} from "./fixture.ts";
import { Member, take } from "./member.ts";
import { stepsOf, threeTopics } from "./task.ts";

const ATOMIC = "says that a commit's outcome is unknown, and the log holds all of it or nothing";
const UNSURE = "says that an outcome is unknown when the answer is lost, written or not";

export function crashCases(fixture: Fixture): void {
  const { features } = fixture.adapter;

  fixture.sharedCase(
    "loses no acknowledged append, at whatever step the process dies",
    UNSURE,
    async () => {
      const log = await fixture.open();
      const runs = (await stepsOf("append", fixture)).map(async (diesAt) => {
        const topic = await newTopic(log);
        const { acknowledged, signal } = await runChild({ does: "append", topic, diesAt });
        expect([diesAt, signal]).toEqual([diesAt, "SIGKILL"]);
        expect(acknowledged).toEqual(["first"]);
        const found = texts(await readAll(log, topic));
        const isWritten = found.length > 2;
        expect([diesAt, found]).toEqual([diesAt, isWritten ? ["1", "2", "3", "4"] : ["1", "2"]]);
        await log.append([record(topic, "next")]);
        return isWritten;
      });
      const outcomes = await Promise.all(runs);
      expect(outcomes[0]).toBe(false);
      expect(outcomes.at(-1)).toBe(true);
    },
  );

  for (const keepsChangelogs of features.changelogModes) {
    const mode = keepsChangelogs ? "with changelogs" : "without changelogs";
    fixture.sharedCase(
      `does each input exactly once, at whatever step of a commit the owner dies, ${mode}`,
      ATOMIC,
      async () => {
        const log = await fixture.open({ keepsChangelogs });
        const steps = await stepsOf("commit", fixture);
        await Promise.all(steps.map((diesAt) => killedInCommit(log, keepsChangelogs, diesAt)));
      },
    );
  }

  fixture.sharedCase(
    "gives a killed owner's partitions to a live member",
    "gives a member that is alone every partition, and takes them back when it leaves",
    async () => {
      await inTime(features.deadOwnerWithinMs, async () => {
        const { log, topic } = await fixture.withTopic({ partitions: 4 });
        const group = freshName("group");
        const child = startChild({ does: "hold", topic, group, partitions: 4 });
        await within(child.line("holding 4"), "the child's claims");
        const member = new Member(log, { group, topics: [topic] });
        await within(child.line("wanted 2"), "the wish for a share");
        expect(member.claims).toEqual([]);
        const owners = (await log.owners(group)).flatMap(({ owner }) => owner ?? []);
        expect(new Set(owners).size).toBe(1);
        child.process.kill("SIGKILL");
        const killedMs = performance.now();
        await member.holds(0, 1, 2, 3);
        const tookMs = performance.now() - killedMs;
        for (const { epoch } of member.claims) expect(epoch).toBeGreaterThan(1);
        await member.leave();
        return tookMs;
      });
    },
  );

  fixture.sharedCase(
    "gives a hanging owner's partitions to a live member, and fences it when it goes on",
    "fences an owner whose partition another has taken, and leaves no trace",
    async () => {
      const { log, topic } = await fixture.withTopic({ partitions: 1 });
      const output = await newTopic(log);
      const group = freshName("group");
      await log.append([record(topic, "1"), record(topic, "2")]);
      const child = startChild({ does: "hang", topic, output, group });
      await within(child.line("has read"), "the child's records");
      child.process.kill("SIGSTOP");
      const member = new Member(log, { group, topics: [topic] });
      const claim = await member.claim();
      await claim.commit(doubled(await take(claim, 2), output, false));
      child.process.kill("SIGCONT");
      await child.process.stdin.write("commit\n");
      await child.process.stdin.end();
      await within(child.line("fenced"), "the stale owner's answer");
      await within(child.line("revoked: true"), "the end of its claim");
      await within(child.ended, "the child's end");
      expect(texts(await readAll(log, output))).toEqual(["1", "2"]);
      await member.leave();
    },
  );

  fixture.sharedCase(
    "counts a hanging owner as none for whoever asks, until it goes on",
    "gives a member that is alone every partition, and takes them back when it leaves",
    async () => {
      const { log, topic } = await fixture.withTopic({ partitions: 2 });
      const group = freshName("group");
      const child = startChild({ does: "hold", topic, group, partitions: 2 });
      await within(child.line("holding 2"), "the child's claims");
      const owned = async () => (await log.owners(group)).map(({ owner }) => owner !== null);
      await eventually(owned, [true, true]);
      child.process.kill("SIGSTOP");
      await eventually(owned, [false, false]);
      child.process.kill("SIGCONT");
      await eventually(owned, [true, true]);
      if (features.keepsHangingOwner) expect(child.lines).toEqual(["holding 2"]);
      child.process.kill("SIGKILL");
      await within(child.ended, "the child's end");
      await eventually(owned, [false, false]);
    },
  );

  async function killedInCommit(log: EventLog, keepsChangelogs: boolean, diesAt: string) {
    const { input, output, changelog } = await threeTopics(log);
    const group = freshName("group");
    const values = ["1", "2", "3", "4", "5", "6"];
    await log.append(values.map((value) => record(input, value)));
    const child = {
      does: "commit",
      topic: input,
      output,
      changelog,
      group,
      keepsChangelogs,
      diesAt,
    };
    const { acknowledged, signal } = await runChild(child as ChildTask);
    expect([diesAt, signal, acknowledged]).toEqual([diesAt, "SIGKILL", ["first"]]);
    const next = new Member(log, { group, topics: [input], changelog });
    const claim = await next.claim();
    const nextOffset = claim.progress?.inputs[0]?.nextOffset as bigint;
    const done = (await readAll(log, input, 0, { until: nextOffset })).length;
    expect([2, 4]).toContain(done);
    const expected = values.slice(0, done);
    await eventually(async () => texts(await readAll(log, output)), expected);
    const rows = async () => texts(await readAll(log, changelog));
    await eventually(rows, keepsChangelogs ? expected : []);
    const rest = await take(claim, values.length - done);
    expect(texts(rest)).toEqual(values.slice(done));
    await claim.commit(doubled(rest, output, keepsChangelogs));
    await eventually(async () => texts(await readAll(log, output)), values);
    await eventually(rows, keepsChangelogs ? values : []);
    await next.leave();
  }

  function startChild(task: ChildTask) {
    const lines: string[] = [];
    let changed = () => {};
    const process = Bun.spawn({
      cmd: [
        globalThis.process.execPath,
        `${import.meta.dir}/crash-child.ts`,
        features.childModule as string,
        JSON.stringify({ place: fixture.place, task }),
      ],
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
      env: { ...globalThis.process.env }, // with what was set since the start
    });
    fixture.atEnd(() => process.kill("SIGKILL"));
    const ended = (async () => {
      let rest = "";
      for await (const chunk of process.stdout.pipeThrough(new TextDecoderStream())) {
        const parts = (rest + chunk).split("\n");
        rest = parts.pop() as string;
        lines.push(...parts);
        changed();
      }
      await process.exited;
      changed();
    })();
    const line = async (wanted: string): Promise<void> => {
      while (!lines.includes(wanted)) {
        if (process.exitCode !== null)
          throw new Error(`the child ended after: ${lines.join(", ")}`);
        await new Promise<void>((resolve) => {
          changed = resolve;
        });
      }
    };
    return { process, lines, line, ended };
  }

  async function runChild(task: ChildTask) {
    const child = startChild(task);
    await within(child.ended, `the child's end at ${task.diesAt}`);
    return { acknowledged: child.lines, signal: child.process.signalCode };
  }
}

/** The output and the row for each record, under its own value. */
export function doubled(
  records: Parameters<typeof commitOf>[0],
  output: string,
  keepsChangelogs: boolean,
) {
  const values = texts(records);
  return commitOf(records, {
    outputs: values.map((value) => record(output, value)),
    changelog: keepsChangelogs ? values.map((v) => ({ key: bytes(v), value: bytes(v) })) : [],
  });
}
