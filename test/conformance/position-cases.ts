/** Conformance: a claim's place in its inputs, replay, and the order across several inputs. */

import { expect } from "bun:test";
import type { Claim, EventLog, LogRecord, Progress } from "../../src/log/event-log.ts";
import { commitOf, errorOf, type Fixture, freshName, newTopic, record, texts } from "./fixture.ts";
import { claimOne, Member, take } from "./member.ts";

export function positionCases(fixture: Fixture): void {
  const hasReplay = fixture.adapter.features.changelogModes.includes(false);

  fixture.case("refuses to go on where the last done record is another one now", async () => {
    const { log, topic } = await fixture.withTopic();
    await log.append(["a", "b"].map((value) => record(topic, value)));
    const { member, claim, group } = await claimOne(log, [topic]);
    const [first] = await take(claim, 1);
    const { offset, checksum } = first as LogRecord;
    const inputs = [{ topic, nextOffset: offset + 1n, checksum: (checksum ^ 1) >>> 0 }];
    await claim.commit({ outputs: [], changelog: [], inputs });
    await member.leave();
    await refusesToRead(log, { group, topic, code: "topic_changed" });
  });

  fixture.case("refuses to go on beyond the end of a topic that has become shorter", async () => {
    const { log, topic } = await fixture.withTopic();
    await log.append([record(topic, "a")]);
    const { member, claim, group } = await claimOne(log, [topic]);
    const [first] = await take(claim, 1);
    const inputs = [{ topic, nextOffset: 100n, checksum: (first as LogRecord).checksum }];
    await claim.commit({ outputs: [], changelog: [], inputs });
    await member.leave();
    await refusesToRead(log, { group, topic, code: "position_out_of_range" });
  });

  fixture.case("hands records of several inputs out in each one's own order", async () => {
    const { log, topics } = await twoInputs(fixture);
    const { member, claim } = await claimOne(log, topics);
    const records = await take(claim, ORDER.length, 3);
    for (const topic of topics) {
      expect(texts(records.filter((each) => each.topic === topic))).toEqual(
        ORDER.filter(([of]) => topics[of] === topic).map(([, value]) => value),
      );
    }
    await member.leave();
  });

  if (!hasReplay) {
    const why = {
      reason: "this log keeps changelogs and never replays",
      instead: "hands records of several inputs out in each one's own order",
    };
    fixture.skip("replays inputs in the order in which the task took them", why);
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

/** Which of two inputs, and the value; appended one by one, so that the log's order is this. */
const ORDER = [
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

async function twoInputs(fixture: Fixture) {
  const log = await fixture.open({ keepsChangelogs: false });
  const topics = [await newTopic(log), await newTopic(log)] as const;
  const unread = await newTopic(log);
  for (const [of, value] of ORDER) {
    await log.append([record(unread, "noise"), record(topics[of], value)]);
  }
  return { log, topics };
}

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

async function refusesToRead(
  log: EventLog,
  of: { readonly group: string; readonly topic: string; readonly code: string },
): Promise<void> {
  const member = new Member(log, { group: of.group, topics: [of.topic] });
  const error = await errorOf((await member.claim()).read(10));
  expect(error.code).toBe(of.code as typeof error.code);
  expect(error.message).toContain(of.topic);
  expect(error.message).toContain(of.group);
  const healthy = new Member(log, { group: freshName("healthy"), topics: [of.topic] });
  expect((await take(await healthy.claim(), 1)).length).toBe(1);
  await healthy.leave();
  await member.leave();
}
