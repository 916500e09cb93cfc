/** Conformance: who runs which partition. */

import { expect } from "bun:test";
import { inTime } from "../in-time.ts";
import { codeOf, eventually, type Fixture, freshName, newTopic, until } from "./fixture.ts";
import { Member } from "./member.ts";

const ALONE = "gives a member that is alone every partition, and takes them back when it leaves";

export function memberCases(fixture: Fixture): void {
  fixture.case(ALONE, async () => {
    const { log, topic } = await fixture.withTopic({ partitions: 5 });
    const group = freshName("group");
    expect(await log.owners(group)).toEqual([]);
    const member = new Member(log, { group, topics: [topic] });
    await member.holds(0, 1, 2, 3, 4);
    const owners = await log.owners(group);
    expect(owners.map(({ partition }) => partition)).toEqual([0, 1, 2, 3, 4]);
    for (const { owner } of owners) expect(owner?.length).toBeGreaterThan(2);
    expect(new Set(owners.map(({ owner }) => owner)).size).toBe(1);
    const claims = [...member.claims];
    await member.leave();
    expect(claims.map(({ revoked }) => revoked.aborted)).toEqual([true, true, true, true, true]);
    await eventually(
      async () => (await log.owners(group)).map(({ owner }) => owner),
      [null, null, null, null, null],
    );
  });

  fixture.case("keeps groups apart, and a member of several in each of them", async () => {
    const { log, topic } = await fixture.withTopic();
    const other = await newTopic(log, { partitions: 3 });
    const one = new Member(log, { group: freshName("group"), topics: [topic] });
    const two = new Member(log, { group: freshName("group"), topics: [other] });
    await Promise.all([one.holds(0, 1), two.holds(0, 1, 2)]);
    await one.leave();
    await two.holds(0, 1, 2);
    await two.leave();
  });

  fixture.case(
    "claims a released partition again, with a higher epoch; release may be repeated",
    async () => {
      const { log, topic } = await fixture.withTopic({ partitions: 1 });
      const member = new Member(log, { group: freshName("group"), topics: [topic] });
      const first = await member.claim();
      await Promise.all([first.release(), first.release()]);
      await first.release();
      expect(first.revoked.aborted).toBe(true);
      const second = await member.claim();
      expect(second.epoch).toBeGreaterThan(first.epoch);
      await first.release();
      expect(second.revoked.aborted).toBe(false);
      await member.holds(0);
      await member.leave();
      await second.release();
    },
  );

  fixture.case(
    "waits out a log that cannot be written: joins, releases and leaves later",
    async () => {
      let isBroken = false;
      const log = await fixture.open({
        onStep: () => {
          if (isBroken) throw new Error("no disk");
        },
      });
      const topic = await newTopic(log);
      const group = freshName("group");
      isBroken = true;
      // A release that takes long costs the member its other claims, too: it gives them back.
      const member = new Member(log, { group, topics: [topic], isGenerous: true });
      expect(await codeOf(log.setMeta(group, "x"))).toBe("unavailable");
      expect(member.claims).toEqual([]);
      isBroken = false;
      await member.holds(0, 1);
      const first = await member.claim();
      isBroken = true;
      await first.release();
      isBroken = false;
      expect((await member.claim()).epoch).toBeGreaterThan(first.epoch);
      await member.holds(0, 1);
      const other = new Member(log, { group: freshName("group"), topics: [topic] });
      await other.holds(0, 1);
      isBroken = true;
      await member.leave();
      isBroken = false;
      await eventually(
        async () => (await log.owners(group)).map(({ owner }) => owner),
        [null, null],
      );
      await other.leave();
    },
  );

  fixture.case("ends at once when the signal has fired before it joins", async () => {
    const { log, topic } = await fixture.withTopic();
    const group = freshName("group");
    const member = new Member(log, { group, topics: [topic] });
    await member.leave();
    expect(member.held).toEqual([]);
    await eventually(
      async () => (await log.owners(group)).filter(({ owner }) => owner !== null),
      [],
    );
  });

  fixture.case("refuses to join topics of different partition counts", async () => {
    const { log, topic } = await fixture.withTopic();
    const topics = [topic, await newTopic(log, { partitions: 3 })];
    expect(await codeOf(new Member(log, { group: freshName("group"), topics }).ended())).toBe(
      "topic_mismatch",
    );
  });

  fixture.sharedCase(
    "shares the partitions between two members, each owned by one, and gives them back",
    ALONE,
    async () => {
      const { log, other, topic, group } = await fixture.twoInstances(4);
      const one = new Member(log, { group, topics: [topic], isGenerous: true });
      await one.holds(0, 1, 2, 3);
      const before = new Map(one.claims.map(({ partition, epoch }) => [partition, epoch]));
      const two = new Member(other, { group, topics: [topic], isGenerous: true });
      await until("two for each", () => one.held.length === 2 && two.held.length === 2);
      expect([...one.held, ...two.held].sort()).toEqual([0, 1, 2, 3]);
      for (const { partition, epoch } of two.claims) {
        expect(epoch).toBeGreaterThan(before.get(partition) as number);
      }
      expect((await log.owners(group)).every(({ owner }) => owner !== null)).toBe(true);
      await two.leave();
      await one.holds(0, 1, 2, 3);
      await one.leave();
    },
  );

  fixture.sharedCase(
    "waits for a revoked claim to be released before the next member gets it",
    "claims a released partition again, with a higher epoch; release may be repeated",
    async () => {
      const { log, other, topic, group } = await fixture.twoInstances(2);
      const one = new Member(log, { group, topics: [topic] });
      await one.holds(0, 1);
      const two = new Member(other, { group, topics: [topic] });
      await until("a revoked claim", () => one.held.length === 1);
      const revoked = one.claims.find((claim) => claim.revoked.aborted);
      expect(two.claims).toEqual([]);
      await revoked?.release();
      await until("the claim of the other", () => two.held.length === 1);
      expect(two.claims[0]?.partition).toBe(revoked?.partition as number);
      await Promise.all([one.leave(), two.leave()]);
    },
  );

  fixture.sharedCase(
    "lets more members join than there are partitions, and one of the idle take over",
    ALONE,
    async () => {
      const { log, other, topic, group } = await fixture.twoInstances(1);
      const one = new Member(log, { group, topics: [topic], isGenerous: true });
      await one.holds(0);
      const two = new Member(other, { group, topics: [topic], isGenerous: true });
      await until("one owner", () => one.held.length + two.held.length === 1);
      const [owner, idle] = one.held.length === 1 ? [one, two] : [two, one];
      await owner.leave();
      await idle.holds(0);
      await idle.leave();
    },
  );

  fixture.sharedCase(
    "frees the partitions of an instance that is closed at once",
    ALONE,
    async () => {
      await inTime(SOON_MS, async () => {
        const { log, other, topic, group } = await fixture.twoInstances(2);
        const one = new Member(log, { group, topics: [topic] });
        await one.holds(0, 1);
        await log.close();
        await one.ended();
        const closedMs = performance.now();
        const two = new Member(other, { group, topics: [topic] });
        await two.holds(0, 1);
        const tookMs = performance.now() - closedMs;
        await two.leave();
        return tookMs;
      });
    },
  );
}

/** Well below the time after which a silent owner counts as hung. */
const SOON_MS = 1_500;
