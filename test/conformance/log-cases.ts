/** Conformance: the log as a whole, from open to close: settings, small values, change. */

import { expect } from "bun:test";
import type { EventLog, LogError, LogRecord } from "../../src/log/event-log.ts";
import {
  codeOf,
  commitOf,
  errorOf,
  type Fixture,
  freshName,
  newTopic,
  readAll,
  record,
  texts,
  until,
  within,
} from "./fixture.ts";
import { claimOne, Member, take } from "./member.ts";

export function logCases(fixture: Fixture): void {
  fixture.case("keeps small values of the log as a whole, the last one set", async () => {
    const log = await fixture.open();
    const key = freshName("meta");
    expect(await log.meta(key)).toBeNull();
    await log.setMeta(key, "one");
    await log.setMeta(key, "two");
    expect(await log.meta(key)).toBe("two");
    expect(await log.meta(`${key}x`)).toBeNull();
  });

  fixture.sharedCase(
    "shows topics, records, progress and small values to every instance",
    "keeps small values of the log as a whole, the last one set",
    async () => {
      const [log, other] = [await fixture.open(), await fixture.open()];
      const topic = await newTopic(log);
      await log.append([record(topic, "seen")]);
      await log.setMeta(topic, "value");
      await until("the record in the other instance", async () => {
        return texts(await readAll(other, topic)).join() === "seen";
      });
      expect(await other.meta(topic)).toBe("value");
      expect(other.incarnation).toBe(log.incarnation);
    },
  );

  fixture.case("has an incarnation and settings of its own, fixed when it is created", async () => {
    const settings = { partitions: "4", decimals: "2" };
    const place = fixture.adapter.newPlace();
    const log = await fixture.open({ place, settings });
    const another = await fixture.open({ place: fixture.adapter.newPlace() });
    expect(log.settings).toMatchObject(settings);
    expect(log.incarnation).not.toBe(another.incarnation);
    expect(log.incarnation.length).toBeGreaterThan(8);
  });

  fixture.sharedCase(
    "keeps records, progress, settings and incarnation when closed and opened again",
    "has an incarnation and settings of its own, fixed when it is created",
    async () => {
      const place = fixture.adapter.newPlace();
      const first = await fixture.open({ place, settings: { decimals: "3" } });
      const topic = await newTopic(first);
      const offsets = await first.append([record(topic, "a"), record(topic, "b")]);
      await first.setMeta("ledger", "done");
      await first.close();
      const again = await fixture.open({ place, create: false });
      expect(again.incarnation).toBe(first.incarnation);
      expect(again.settings["decimals"]).toBe("3");
      expect(await again.meta("ledger")).toBe("done");
      const records = await readAll(again, topic);
      expect(texts(records)).toEqual(["a", "b"]);
      expect(records.map(({ offset }) => offset)).toEqual([...offsets]);
      const [next] = await again.append([record(topic, "c")]);
      expect(next).toBeGreaterThan(offsets[1] as bigint);
    },
  );

  fixture.sharedCase(
    "refuses to open with another setting, and where no log is, and creates nothing",
    "has an incarnation and settings of its own, fixed when it is created",
    async () => {
      const place = fixture.adapter.newPlace();
      expect(await codeOf(fixture.open({ place, create: false }))).toBe("not_found");
      expect(await codeOf(fixture.open({ place, create: false }))).toBe("not_found");
      const log = await fixture.open({ place, settings: { decimals: "2" } });
      await log.close();
      const error = await errorOf(fixture.open({ place, settings: { decimals: "3" } }));
      expect(error.code).toBe("settings_mismatch");
      expect(error.message).toContain("decimals");
      expect((await fixture.open({ place, settings: { decimals: "2" } })).settings).toMatchObject({
        decimals: "2",
      });
    },
  );

  fixture.case("calls back after a commit and after notify, until told to stop", async () => {
    const { log, topic } = await fixture.withTopic();
    const { commitNext, member } = await committer(log, topic);
    let calls = 0;
    const stop = log.onChange(() => {
      calls += 1;
    });
    await commitNext();
    await until("the call after a commit", () => calls > 0);
    calls = 0;
    log.notify();
    await until("the call after notify", () => calls > 0);
    stop();
    calls = 0;
    let heardByAnother = false;
    log.onChange(() => {
      heardByAnother = true;
    });
    await commitNext();
    await until("the other listener's call", () => heardByAnother);
    expect(calls).toBe(0);
    await member.leave();
  });

  fixture.sharedCase(
    "calls back in every instance after a commit in one, and after notify where stores are shared",
    "calls back after a commit and after notify, until told to stop",
    async () => {
      const [log, other] = [await fixture.open(), await fixture.open()];
      const topic = await newTopic(log);
      const { commitNext, group, member } = await committer(log, topic);
      await other.progress(group, 0);
      let calls = 0;
      other.onChange(() => {
        calls += 1;
      });
      await commitNext();
      await until("the call after a commit elsewhere", () => calls > 0);
      await member.leave();
      if (!fixture.adapter.features.sharesStores) return;
      await until("no call that is still on its way", async () => {
        const before = calls;
        await new Promise((resolve) => setTimeout(resolve, 20));
        return calls === before;
      });
      calls = 0;
      log.notify();
      await until("the call after notify elsewhere", () => calls > 0);
    },
  );

  fixture.sharedCase(
    "tells of a group's first commit whoever has asked for its progress before it ever ran",
    "calls back after a commit and after notify, until told to stop",
    async () => {
      const [log, other] = [await fixture.open(), await fixture.open()];
      const topic = await newTopic(log);
      const group = freshName("group");
      expect(await other.progress(group, 0)).toBeNull();
      let wasMoved = false;
      other.onChange(async () => {
        if ((await other.progress(group, 0)) !== null) wasMoved = true;
      });
      const { commitNext, member } = await committer(log, topic, group);
      await commitNext();
      await until("the call that shows the progress", () => wasMoved);
      await member.leave();
    },
  );

  fixture.case(
    "closes more than once, writes what was queued, and then refuses everything",
    async () => {
      const place = fixture.adapter.newPlace();
      const { log, topic } = await fixture.withTopic({}, { place });
      const { member, claim } = await claimOne(log, [topic]);
      const waiting = claim.read(1);
      const reading = readToItsEnd(log.read({ topic, partition: 0, from: 0n }));
      const queued = log.append([record(topic, "queued")]).then(
        () => "done",
        (error: LogError) => error.code,
      );
      await Promise.all([log.close(), log.close()]);
      await log.close();
      const outcome = await queued;
      expect(["done", "closed", "unavailable", "outcome_unknown"]).toContain(outcome);
      expect((await waiting).length).toBeLessThanOrEqual(1);
      await member.ended();
      await within(reading, "the reader's end");
      expect(claim.revoked.aborted).toBe(true);
      await claim.release();
      const inputs = [{ topic, nextOffset: 1n, checksum: 1 }];
      const refused: [string, Promise<unknown>][] = [
        ["append", log.append([record(topic, "late")])],
        ["bounds", log.bounds(topic, 0)],
        ["read", readToItsEnd(log.read({ topic, partition: 0, from: 0n }))],
        ["progress", log.progress("group", 0)],
        ["owners", log.owners("group")],
        ["meta", log.meta("key")],
        ["setMeta", log.setMeta("key", "value")],
        ["ensureTopics", log.ensureTopics([])],
        ["join", new Member(log, { group: freshName("g"), topics: [topic] }).ended()],
      ];
      for (const [what, promise] of refused) {
        expect(`${what}: ${await codeOf(promise)}`).toBe(`${what}: closed`);
      }
      const commit = errorOf(claim.commit({ outputs: [], changelog: [], inputs }));
      expect(["closed", "fenced"]).toContain((await commit).code);
      log.notify();
      if (fixture.adapter.features.childModule === null) return;
      const again = await fixture.open({ place });
      const kept = texts(await readAll(again, topic));
      const ifDone = ["queued"];
      if (outcome === "outcome_unknown") expect([[], ifDone]).toContainEqual(kept);
      else expect(kept).toEqual(outcome === "done" ? ifDone : []);
    },
  );
}

/** A member that does one record at a time, and is asked for its progress. */
async function committer(log: EventLog, topic: string, group = freshName("group")) {
  const member = new Member(log, { group, topics: [topic] });
  const claim = await member.claim();
  await log.progress(group, 0);
  const commitNext = async () => {
    await log.append([record(topic, "x")]);
    await claim.commit(commitOf(await take(claim, 1)));
  };
  return { member, group, commitNext };
}

async function readToItsEnd(batches: AsyncIterable<readonly LogRecord[]>): Promise<number> {
  let count = 0;
  for await (const batch of batches) count += batch.length;
  return count;
}
