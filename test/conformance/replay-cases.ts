/** Conformance: replay of inputs, and the order across several of them. */

import { expect } from "bun:test";
import type { Claim, LogRecord, Progress } from "../../src/log/event-log.ts";
import { commitOf, errorOf, type Fixture, newTopic, record, texts } from "./fixture.ts";
import { claimOne, Member, take } from "./member.ts";
import { ORDER, twoInputs } from "./two-inputs.ts";

export function replayCases(fixture: Fixture): void {
  if (!fixture.adapter.features.changelogModes.includes(false)) {
    const why = {
      reason: "this log keeps changelogs and never replays",
      instead: "hands records of several inputs out in each one's own order",
    };
    fixture.skip("replays inputs in the order in which the task took them", why);
    fixture.skip("keeps that order over long runs of one input and records of any size", why);
    fixture.skip(
      "replays from the progress of an older store, and nothing when it is in step",
      why,
    );
    fixture.skip("refuses to replay from a place outside the log or of another topic", why);
    return;
  }

  fixture.case("replays inputs in the order in which the task took them", async () => {
    const { log, topics } = await twoInputs(fixture);
    const { member, claim, group } = await claimOne(log, topics);
    const records = await take(claim, ORDER.length, 2);
    expect(texts(records)).toEqual(ORDER.map(([, value]) => value));
    await claim.commit(commitOf(records.slice(0, 3)));
    await claim.commit(commitOf(records.slice(3, 7)));
    await member.leave();
    const next = new Member(log, { group, topics });
    const heir = await next.claim();
    for (const maxRecords of [1, 2, 3, 100]) {
      expect(texts(await replayed(heir, null, { maxRecords }))).toEqual(texts(records.slice(0, 7)));
    }
    expect(texts(await take(heir, ORDER.length - 7))).toEqual(texts(records.slice(7)));
    await next.leave();
  });

  fixture.case("keeps that order over long runs of one input and records of any size", async () => {
    const log = await fixture.open({ keepsChangelogs: false });
    const topics = [await newTopic(log), await newTopic(log)] as const;
    const expected: string[] = [];
    for (const [of, count, bytesEach] of RUNS) {
      const values = Array.from({ length: count }, (_, i) =>
        `${expected.length + i}`.padEnd(bytesEach),
      );
      await log.append(values.map((value) => record(topics[of], value)));
      expected.push(...values.map((value) => value.trim()));
    }
    const { member, claim, group } = await claimOne(log, topics);
    const records = await take(claim, expected.length, 2_000);
    expect(texts(records).map((value) => value.trim())).toEqual(expected);
    await claim.commit(commitOf(records));
    await member.leave();
    const next = new Member(log, { group, topics });
    const again = await replayed(await next.claim(), null, { maxRecords: 700 });
    expect(texts(again).map((value) => value.trim())).toEqual(expected);
    await next.leave();
  });

  fixture.case(
    "replays from the progress of an older store, and nothing when it is in step",
    async () => {
      const { log, topics } = await twoInputs(fixture);
      const { member, claim, group } = await claimOne(log, topics);
      const records = await take(claim, ORDER.length);
      const older: Progress[] = [];
      for (const each of records) older.push(await claim.commit(commitOf([each])));
      await member.leave();
      const next = new Member(log, { group, topics });
      const heir = await next.claim();
      for (const [done, from] of older.entries()) {
        const rest = texts(records.slice(done + 1));
        expect(texts(await replayed(heir, from, { maxRecords: 2 }))).toEqual(rest);
        const to = older[done + 2] ?? from;
        expect(texts(await replayed(heir, from, { to }))).toEqual(
          rest.slice(0, to === from ? 0 : 2),
        );
      }
      await next.leave();
    },
  );

  fixture.case("refuses to replay from a place outside the log or of another topic", async () => {
    const { log, topic } = await fixture.withTopic();
    await log.append(["a", "b", "c"].map((value) => record(topic, value)));
    const { member, claim, group } = await claimOne(log, [topic]);
    const first = await claim.commit(commitOf(await take(claim, 1)));
    await claim.commit(commitOf(await take(claim, 2)));
    await member.leave();
    const next = new Member(log, { group, topics: [topic] });
    const heir = await next.claim();
    const at = (change: object): Progress => ({
      ...first,
      inputs: first.inputs.map((each) => ({ ...each, ...change })),
    });
    expect((await errorOf(replayed(heir, at({ checksum: 1 })))).code).toBe("topic_changed");
    const beyond = await errorOf(replayed(heir, at({ nextOffset: 100n })));
    expect(beyond.code).toBe("position_out_of_range");
    await next.leave();
  });
}

/** Which input, how many records one after another, and how large: pages end at any of them. */
const RUNS = [
  [0, 300, 1],
  [1, 300, 1],
  [0, 10, 100_000],
  [1, 400, 1],
  [1, 10, 100_000],
  [0, 400, 1],
] as const;

async function replayed(
  claim: Claim,
  from: Progress | null,
  { maxRecords = 10, to = claim.progress as Progress } = {},
) {
  const all: LogRecord[] = [];
  for await (const batch of claim.replay({ from, to, maxRecords })) {
    expect(batch.length).toBeGreaterThan(0);
    expect(batch.length).toBeLessThanOrEqual(maxRecords);
    all.push(...batch);
  }
  return all;
}
