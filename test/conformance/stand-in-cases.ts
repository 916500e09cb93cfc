/** Conformance: a stand-in, who serves a group only while nobody else does. */

import { expect } from "bun:test";
import { type Fixture, freshName } from "./fixture.ts";
import { Member } from "./member.ts";

export function standInCases(fixture: Fixture): void {
  fixture.sharedCase(
    "a stand-in claims nothing beside a live member, and all when it is gone",
    "a stand-in claims everything where nobody serves",
    async () => {
      const { log, other, topic, group } = await fixture.twoInstances(2);
      const regular = new Member(log, { group, topics: [topic] });
      await regular.holds(0, 1);
      const standIn = new Member(other, { group, topics: [topic], isStandIn: true });
      const onlooker = new Member(other, { group: freshName("g"), topics: [topic] });
      await onlooker.holds(0, 1); // by now the stand-in has been served, too
      expect(standIn.claims).toEqual([]);
      expect(regular.held).toEqual([0, 1]);
      await regular.leave();
      await standIn.holds(0, 1);
      await Promise.all([standIn.leave(), onlooker.leave()]);
    },
  );

  fixture.case("a stand-in claims everything where nobody serves", async () => {
    const { log, topic } = await fixture.withTopic({ partitions: 3 });
    const group = freshName("group");
    const standIn = new Member(log, { group, topics: [topic], isStandIn: true });
    await standIn.holds(0, 1, 2);
    await standIn.leave();
    const regular = new Member(log, { group, topics: [topic] });
    await regular.holds(0, 1, 2);
    await regular.leave();
  });

  fixture.case(
    "gives a member the partitions that it wants, and more once it wants them",
    async () => {
      const { log, topic } = await fixture.withTopic({ partitions: 3 });
      const wanted = new Set([1]);
      const wants = (partition: number) => wanted.has(partition);
      const options = { group: freshName("group"), topics: [topic], isStandIn: true, wants };
      const standIn = new Member(log, options);
      await standIn.claim(1);
      wanted.add(2);
      await standIn.claim(2);
      expect(standIn.held).toContain(1); // the rest is a hint: a log may give it all the same
      await standIn.leave();
    },
  );

  fixture.sharedCase(
    "a stand-in yields to a member that comes",
    "a stand-in claims everything where nobody serves",
    async () => {
      const { log, other, topic, group } = await fixture.twoInstances(2);
      const standIn = new Member(log, {
        group,
        topics: [topic],
        isStandIn: true,
        isGenerous: true,
      });
      await standIn.holds(0, 1);
      const regular = new Member(other, { group, topics: [topic] });
      await regular.holds(0, 1);
      await standIn.holds();
      await Promise.all([standIn.leave(), regular.leave()]);
    },
  );
}
