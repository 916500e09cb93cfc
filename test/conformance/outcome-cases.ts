/** Conformance: the three outcomes of a commit, and that a refused one leaves no trace. */

import { expect } from "bun:test";
import { type Commit, MAX_RECORD_BYTES } from "../../src/log/event-log.ts";
import { codeOf, eventually, type Fixture, readAll, record, until } from "./fixture.ts";
import { take } from "./member.ts";
import { startTask, tracesOf } from "./task.ts";

export function outcomeCases(fixture: Fixture): void {
  const { features } = fixture.adapter;
  const keepsChangelogs = features.changelogModes.includes(true);

  fixture.case(
    "leaves nothing of a commit that cannot be written, and takes the same one again",
    async () => {
      for (const bad of features.stepsBeforeWritten.commit) {
        let isBroken = false;
        const log = await fixture.open({
          keepsChangelogs,
          onStep: (step) => {
            if (isBroken && step === bad) throw new Error("no disk");
          },
        });
        const task = await startTask(log);
        const commit = task.commitOf(await take(task.claim, 1));
        isBroken = true;
        const code = await codeOf(task.claim.commit(commit));
        isBroken = false;
        expect(`${bad}: ${code}`).toBe(`${bad}: unavailable`);
        expect(await task.traces()).toEqual(task.noTrace);
        if (!task.claim.revoked.aborted) {
          const progress = await task.claim.commit(commit);
          await eventually(task.traces, { ...task.oneTrace, progress });
        }
        await task.member.leave();
      }
    },
  );

  fixture.case(
    "refuses what cannot stand in an output or the changelog, and leaves no trace",
    async () => {
      const log = await fixture.open({ keepsChangelogs });
      const task = await startTask(log);
      const good = task.commitOf(await take(task.claim, 1));
      const large = new Uint8Array(MAX_RECORD_BYTES + 1);
      const bad: [string, Partial<Commit>][] = [
        ["unknown_topic", { outputs: [...good.outputs, record("never-declared", "x")] }],
        [
          "unknown_topic",
          { outputs: [...good.outputs, record(task.output, "x", { partition: 2 })] },
        ],
        [
          "record_too_large",
          { outputs: [...good.outputs, { ...record(task.output, ""), value: large }] },
        ],
      ];
      if (keepsChangelogs) {
        bad.push([
          "record_too_large",
          { changelog: [...good.changelog, { key: large, value: null }] },
        ]);
      }
      for (const [code, more] of bad) {
        expect(await codeOf(task.claim.commit({ ...good, ...more }))).toBe(code);
        expect(await task.traces()).toEqual(task.noTrace);
      }
      await task.claim.commit(good);
      await task.member.leave();
    },
  );

  if (keepsChangelogs) {
    fixture.case(
      "refuses a commit whose changelog was never declared, and leaves no trace",
      async () => {
        const log = await fixture.open({ keepsChangelogs });
        const task = await startTask(log, "never-declared");
        const commit = task.commitOf(await take(task.claim, 1));
        expect(await codeOf(task.claim.commit(commit))).toBe("unknown_topic");
        expect(await readAll(log, task.output)).toEqual([]);
        expect(await log.progress(task.group, 0)).toBeNull();
        await task.member.leave();
      },
    );
  }

  fixture.case(
    "says that a commit's outcome is unknown, and the log holds all of it or nothing",
    async () => {
      for (const isWritten of [true, false]) {
        const place = fixture.adapter.newPlace();
        const log = await fixture.open({ place, keepsChangelogs });
        const task = await startTask(log);
        const commit = task.commitOf(await take(task.claim, 1));
        features.loseNextAnswer(log, isWritten);
        expect(await codeOf(task.claim.commit(commit))).toBe("outcome_unknown");
        await until("the end of the claim", () => task.claim.revoked.aborted);
        const isKept = features.childModule !== null;
        if (isKept) await log.close();
        const after = isKept ? await fixture.open({ place, keepsChangelogs }) : log;
        const { outputs, outputs1, rows } = isWritten ? task.oneTrace : task.noTrace;
        await eventually(async () => {
          const found = await tracesOf(after, task);
          return { ...found, progress: found.progress !== null };
        }, { outputs, outputs1, rows, progress: isWritten });
      }
    },
  );
}
