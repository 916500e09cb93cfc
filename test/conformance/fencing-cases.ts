/** Conformance: an owner whose partition belongs to another changes nothing. */

import { expect } from "bun:test";
import type { Claim } from "../../src/log/event-log.ts";
import { codeOf, eventually, type Fixture, readAll, texts, until } from "./fixture.ts";
import { Member, take } from "./member.ts";
import { startTask, stepsOf } from "./task.ts";

export function fencingCases(fixture: Fixture): void {
  const { features } = fixture.adapter;
  const keepsChangelogs = features.changelogModes.includes(true);

  fixture.case(
    "fences an owner whose partition another has taken, and leaves no trace",
    async () => {
      const log = await fixture.open({ keepsChangelogs });
      for (const isReadBefore of [true, false]) {
        const task = await startTask(log);
        const early = isReadBefore ? await take(task.claim, 1) : null;
        expect(await features.usurp(log, fixture.place, task.claim)).toBe(true);
        const records = early ?? (await readAll(log, task.input));
        const commit = task.commitOf(records);
        expect(await codeOf(task.claim.commit(commit))).toBe("fenced");
        expect(await codeOf(task.claim.commit(commit))).toBe("fenced");
        expect(await task.traces()).toEqual(task.noTrace);
        await until("the end of the lost claim", () => task.claim.revoked.aborted);
        await task.claim.release();
        await task.member.leave();
      }
    },
  );

  fixture.case("fences a claim that was given back, and one whose member has left", async () => {
    const log = await fixture.open({ keepsChangelogs });
    for (const how of ["release", "leave"] as const) {
      const task = await startTask(log);
      const commit = task.commitOf(await take(task.claim, 1));
      await (how === "release" ? task.claim.release() : task.member.leave());
      expect(await codeOf(task.claim.commit(commit))).toBe("fenced");
      const hasLeft = how === "leave";
      const next = hasLeft ? new Member(log, task.member.options) : task.member;
      await (await next.claim()).commit(commit);
      expect(await codeOf(task.claim.commit(commit))).toBe("fenced");
      await eventually(async () => texts(await readAll(log, task.output)), ["out"]);
      await next.leave();
    }
  });

  fixture.case(
    "either commits whole or is fenced, at whatever step another takes over",
    async () => {
      for (const at of await stepsOf("commit", fixture)) {
        let attempt: Promise<boolean> | boolean = false;
        let isArmed = false;
        let claim: Claim | null = null;
        const log = await fixture.open({
          keepsChangelogs,
          onStep: (step) => {
            if (!isArmed || step !== at || claim === null) return;
            isArmed = false;
            attempt = features.usurp(log, fixture.place, claim);
          },
        });
        const task = await startTask(log);
        claim = task.claim;
        const records = await take(claim, 1);
        isArmed = true;
        const outcome = await claim.commit(task.commitOf(records)).then(
          (progress) => ({ ...task.oneTrace, progress }),
          (error) => error.code,
        );
        expect(isArmed).toBe(false);
        expect([at, outcome]).toEqual([at, outcome === "fenced" ? "fenced" : expect.anything()]);
        if (outcome === "outcome_unknown") continue; // a slow answer: the crash cases have that
        const traces = outcome === "fenced" ? task.noTrace : outcome;
        await eventually(task.traces, traces);
        if (!(await attempt)) expect(await features.usurp(log, fixture.place, claim)).toBe(true);
        const [next = records[0]] = (await readAll(log, task.input)).slice(1);
        expect(await codeOf(claim.commit(task.commitOf([next as NonNullable<typeof next>])))).toBe(
          "fenced",
        );
        expect(await task.traces()).toEqual(traces);
        await task.member.leave();
      }
    },
  );
}
