/** Conformance: a claim's place in its inputs. */

import { expect } from "bun:test";
import type { EventLog, LogRecord } from "../../src/log/event-log.ts";
import { errorOf, type Fixture, freshName, record, texts } from "./fixture.ts";
import { claimOne, Member, take } from "./member.ts";
import { ORDER, twoInputs } from "./two-inputs.ts";

export function positionCases(fixture: Fixture): void {
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
