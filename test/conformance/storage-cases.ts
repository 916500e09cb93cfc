/** Conformance: compaction, retention, and bytes that are not what was written. */

import { expect } from "bun:test";
import type { EventLog } from "../../src/log/event-log.ts";
import {
  bytes,
  commitOf,
  errorOf,
  type Fixture,
  freshName,
  newTopic,
  readAll,
  record,
  text,
  texts,
} from "./fixture.ts";
import { claimOne, Member, take } from "./member.ts";

const DAY_MS = 86_400_000;

export function storageCases(fixture: Fixture): void {
  const { clean, damage } = fixture.adapter.features;

  fixture.case("keeps every record of a topic that keeps, newer ones of a key or not", async () => {
    const { log, topic, nowMs } = await atTime();
    await log.append([record(topic, "1"), record(topic, "2"), record(topic, null)]);
    nowMs.value += 10_000 * DAY_MS;
    await clean?.(log);
    expect(texts(await readAll(log, topic))).toEqual(["1", "2", "(tombstone)"]);
  });

  if (clean !== null) compactionCases(clean);
  else {
    const why = {
      reason: "this log cannot be told to clean now",
      instead: "keeps every record of a topic that keeps, newer ones of a key or not",
    };
    fixture.skip("compacts to the newest record of each key and moves none", why);
    fixture.skip("drops tombstones after the retention time, not before", why);
    fixture.skip("drops old records, moves the start, and never jumps over what is gone", why);
  }

  const hurt = "finds a flipped bit in key, value or header before the record is handed out";
  if (damage === null) {
    fixture.skip(hurt, {
      reason: "nothing of this log outlives it",
      instead: "keeps every record of a topic that keeps, newer ones of a key or not",
    });
    return;
  }
  for (const part of ["key", "value", "header"] as const) {
    fixture.case(`${hurt}: ${part}`, async () => {
      const place = fixture.adapter.newPlace();
      const { log, topic } = await fixture.withTopic({}, { place });
      const marks = { key: freshName("key"), value: freshName("val"), header: freshName("hdr") };
      const headers = [["id", bytes(marks.header)]] as const;
      await log.append([record(topic, "good")]);
      const [hurtOffset] = await log.append([
        record(topic, marks.value, { key: marks.key, headers }),
      ]);
      await log.append([record(topic, "good, too")]);
      await log.close();
      damage(place, bytes(marks[part]));
      const again = await fixture.open({ place });
      const error = await errorOf(readAll(again, topic));
      expect(error.code).toBe("corrupt");
      expect(error.message).toContain(topic);
      expect(error.message).toContain(`${hurtOffset}`);
      const until = hurtOffset as bigint;
      expect(texts(await readAll(again, topic, 0, { until }))).toEqual(["good"]);
      expect(texts(await readAll(again, topic, 0, { from: until + 1n }))).toEqual(["good, too"]);
      const { member, claim } = await claimOne(again, [topic]);
      expect(texts(await take(claim, 1, 1))).toEqual(["good"]);
      expect((await errorOf(claim.read(10))).code).toBe("corrupt");
      await member.leave();
    });
  }

  async function atTime(spec: Parameters<typeof newTopic>[1] = {}) {
    const nowMs = { value: 1_700_000_000_000 };
    const log = await fixture.open({ nowMs: () => nowMs.value });
    return { log, topic: await newTopic(log, spec), nowMs };
  }

  function compactionCases(cleanNow: (log: EventLog) => Promise<unknown>): void {
    fixture.case("compacts to the newest record of each key and moves none", async () => {
      const { log, topic } = await atTime({ cleanup: "compact" });
      const rows = "a1 b1 a2 c1 b2 a3 d1".split(" ");
      const offsets = await log.append(
        rows.map((row) => record(topic, row, { key: row.slice(0, 1) })),
      );
      const kept = ["c1", "b2", "a3", "d1"];
      for (const _ of [1, 2]) {
        const { end } = await log.bounds(topic, 0);
        await cleanNow(log);
        expect(await log.bounds(topic, 0)).toMatchObject({ end });
        const records = await readAll(log, topic);
        expect(texts(records)).toEqual(kept);
        expect(records.map(({ offset }) => offset)).toEqual(
          kept.map((row) => offsets[rows.indexOf(row)] as bigint),
        );
      }
      await log.append([record(topic, "c2", { key: "c" }), record(topic, null, { key: "d" })]);
      await log.append([record(topic, "a4", { key: "a" })]);
      await cleanNow(log);
      expect(texts(await readAll(log, topic))).toEqual(["b2", "c2", "(tombstone)", "a4"]);
      const { start } = await log.bounds(topic, 0);
      expect(texts(await readAll(log, topic, 0, { from: start, maxRecords: 1 }))).toHaveLength(4);
      const other = await readAll(log, topic, 0, { from: offsets[1] as bigint });
      expect(texts(other)).toEqual(["b2", "c2", "(tombstone)", "a4"]);
    });

    fixture.case("drops tombstones after the retention time, not before", async () => {
      const { log, topic, nowMs } = await atTime({ cleanup: "compact", retentionMs: DAY_MS });
      await log.append([record(topic, "old", { key: "a" }), record(topic, null, { key: "a" })]);
      nowMs.value += DAY_MS / 2;
      await log.append([record(topic, null, { key: "b" }), record(topic, "live", { key: "c" })]);
      await cleanNow(log);
      const keys = async () => (await readAll(log, topic)).map(({ key }) => text(key));
      expect(await keys()).toEqual(["a", "b", "c"]);
      nowMs.value += DAY_MS / 2 + 1;
      await cleanNow(log);
      expect(await keys()).toEqual(["b", "c"]);
      nowMs.value += 100 * DAY_MS;
      await cleanNow(log);
      expect(await keys()).toEqual(["c"]);
    });

    fixture.case(
      "drops old records, moves the start, and never jumps over what is gone",
      async () => {
        const { log, topic, nowMs } = await atTime({ retentionMs: DAY_MS });
        const { member, claim, group } = await claimOne(log, [topic]);
        const [first] = await log.append(["a", "b", "c"].map((value) => record(topic, value)));
        await claim.commit(commitOf(await take(claim, 1)));
        const slow = log.read({ topic, partition: 0, from: first as bigint, maxRecords: 1 });
        const reader = slow[Symbol.asyncIterator]();
        expect(texts((await reader.next()).value)).toEqual(["a"]);
        nowMs.value += DAY_MS + 1;
        const [fresh] = await log.append([record(topic, "d"), record(topic, "e")]);
        await cleanNow(log);
        expect((await log.bounds(topic, 0)).start).toBe(fresh as bigint);
        expect(texts(await readAll(log, topic))).toEqual(["d", "e"]);
        const until = (fresh as bigint) + 1n;
        const gone = await errorOf(readAll(log, topic, 0, { from: first as bigint, until }));
        expect(gone.code).toBe("position_out_of_range");
        expect((await errorOf(reader.next())).code).toBe("position_out_of_range");
        expect((await errorOf(claim.read(10))).code).toBe("position_out_of_range");
        await member.leave();
        const next = new Member(log, { group, topics: [topic] });
        expect((await errorOf((await next.claim()).read(10))).code).toBe("position_out_of_range");
        await next.leave();
      },
    );
  }
}
