/** Conformance: append, its order and its three outcomes. */

import { expect } from "bun:test";
import { type Headers, type LogRecord, MAX_RECORD_BYTES } from "../../src/log/event-log.ts";
import { recordChecksum } from "../../src/log/record-checksum.ts";
import {
  bytes,
  codeOf,
  errorOf,
  type Fixture,
  newTopic,
  readAll,
  record,
  text,
  texts,
} from "./fixture.ts";

/** Megabytes: more than any adapter's queue takes at once. */
const MORE_THAN_QUEUED = 80;

export function appendCases(fixture: Fixture): void {
  const { features } = fixture.adapter;

  fixture.case(
    "answers with each record's offset, in the order given, over partitions",
    async () => {
      const { log, topic } = await fixture.withTopic();
      const other = await newTopic(log);
      const places = [
        [topic, 1],
        [topic, 0],
        [other, 1],
        [topic, 1],
        [topic, 0],
      ] as const;
      const offsets = await log.append(
        places.map(([name, partition], i) => record(name, `value ${i}`, { partition })),
      );
      expect(offsets).toHaveLength(places.length);
      for (const [i, [name, partition]] of places.entries()) {
        const found = (await readAll(log, name, partition)).find(
          ({ offset }) => offset === offsets[i],
        );
        expect(text(found?.value)).toBe(`value ${i}`);
      }
      expect(offsets[3]).toBeGreaterThan(offsets[0] as bigint);
      expect(offsets[4]).toBeGreaterThan(offsets[1] as bigint);
    },
  );

  fixture.case(
    "keeps the order of one key, in one call and over calls that do not wait",
    async () => {
      const { log, topic } = await fixture.withTopic();
      const calls: Promise<readonly bigint[]>[] = [];
      for (let call = 0; call < 50; call += 1) {
        calls.push(log.append([0, 1, 2].map((i) => record(topic, `${call * 3 + i}`))));
      }
      const offsets = (await Promise.all(calls)).flat();
      const records = await readAll(log, topic);
      expect(texts(records)).toEqual(Array.from({ length: 150 }, (_, i) => `${i}`));
      expect(records.map(({ offset }) => offset)).toEqual(offsets);
    },
  );

  fixture.case(
    "hands back key, value, headers, time and checksum as they were written",
    async () => {
      let nowMs = 1_700_000_000_123;
      const { log, topic } = await fixture.withTopic({}, { nowMs: () => nowMs });
      const headers: Headers = [
        ["b", bytes("1")],
        ["a", bytes("")],
        ["b", new Uint8Array([0, 255])],
      ];
      const allBytes = Uint8Array.from({ length: 256 }, (_, i) => i);
      await log.append([
        { topic, partition: 0, key: allBytes, value: allBytes, headers },
        { topic, partition: 0, key: bytes(""), value: bytes("") },
        record(topic, null),
      ]);
      nowMs += 5;
      await log.append([record(topic, "later")]);
      const records = await readAll(log, topic);
      const [full, empty, tombstone, later] = records as [
        LogRecord,
        LogRecord,
        LogRecord,
        LogRecord,
      ];
      expect(new Uint8Array(full.key)).toEqual(allBytes);
      expect(new Uint8Array(full.value as Uint8Array)).toEqual(allBytes);
      expect(valuesOf(full.headers, "b")).toEqual([[49], [0, 255]]);
      expect(valuesOf(full.headers, "a")).toEqual([[]]);
      expect([empty.key.length, empty.value?.length, empty.headers.length]).toEqual([0, 0, 0]);
      expect(tombstone.value).toBeNull();
      const passedMs = later.timestampMs - full.timestampMs;
      if (fixture.adapter.features.hasOwnClock) expect(passedMs).toBe(5);
      else expect(passedMs).toBeGreaterThanOrEqual(0);
      for (const each of records) {
        expect(each).toMatchObject({ topic, partition: 0 });
        expect(each.checksum).toBe(recordChecksum(each));
      }
      expect(full.checksum).toBe(recordChecksum({ key: allBytes, value: allBytes, headers }));
    },
  );

  fixture.case("takes a record of exactly the largest size and a call of no records", async () => {
    const { log, topic } = await fixture.withTopic();
    expect(await log.append([])).toEqual([]);
    const value = new Uint8Array(MAX_RECORD_BYTES - 3).fill(7);
    await log.append([{ topic, partition: 0, key: bytes("key"), value }]);
    const [found] = await readAll(log, topic);
    expect(Buffer.from(found?.value as Uint8Array).equals(value)).toBe(true);
  });

  fixture.case("refuses a record over the size limit and writes nothing of the call", async () => {
    const { log, topic } = await fixture.withTopic();
    const large = {
      topic,
      partition: 0,
      key: bytes("key"),
      value: new Uint8Array(MAX_RECORD_BYTES),
    };
    const error = await errorOf(log.append([record(topic, "small", { partition: 1 }), large]));
    expect(error.code).toBe("record_too_large");
    const byHeader = record(topic, "x", { headers: [["h", new Uint8Array(MAX_RECORD_BYTES)]] });
    expect(await codeOf(log.append([byHeader]))).toBe("record_too_large");
    await log.append([record(topic, "next", { partition: 1 })]);
    expect(texts(await readAll(log, topic, 1))).toEqual(["next"]);
    expect(await readAll(log, topic, 0)).toEqual([]);
  });

  fixture.case("refuses an unknown topic or partition and writes nothing of the call", async () => {
    const { log, topic } = await fixture.withTopic();
    for (const bad of [record("never-declared", "x"), record(topic, "x", { partition: 2 })]) {
      expect(await codeOf(log.append([record(topic, "good"), bad]))).toBe("unknown_topic");
    }
    expect(await readAll(log, topic)).toEqual([]);
  });

  fixture.case(
    "refuses with busy when its queue is full, and writes nothing of what it refused",
    async () => {
      const { log, topic } = await fixture.withTopic();
      const value = new Uint8Array(MAX_RECORD_BYTES - 10);
      const outcomes = Array.from({ length: MORE_THAN_QUEUED }, (_, i) => {
        const append = log.append([{ topic, partition: 0, key: bytes(`${i}`), value }]);
        return append.then(
          () => "done",
          (error) => error.code,
        );
      });
      const codes = await Promise.all(outcomes);
      expect(codes.at(-1)).toBe("busy");
      const written = codes.flatMap((code, i) => (code === "done" ? [`${i}`] : []));
      expect((await readAll(log, topic)).map(({ key }) => text(key))).toEqual(written);
      await log.append([record(topic, "again")]);
      expect(texts((await readAll(log, topic)).slice(-1))).toEqual(["again"]);
    },
  );

  fixture.case(
    "refuses when it cannot be written, leaves nothing, and goes on afterwards",
    async () => {
      for (const bad of features.stepsBeforeWritten.append) {
        let isBroken = false;
        const { log, topic } = await fixture.withTopic(
          {},
          {
            onStep: (step) => {
              if (isBroken && step === bad) throw new Error("no disk");
            },
          },
        );
        await log.append([record(topic, "before")]);
        isBroken = true;
        const call = [record(topic, "lost"), record(topic, "lost", { partition: 1 })];
        expect(`${bad}: ${await codeOf(log.append(call))}`).toBe(`${bad}: unavailable`);
        isBroken = false;
        await log.append([record(topic, "after")]);
        expect(texts(await readAll(log, topic))).toEqual(["before", "after"]);
        expect(await readAll(log, topic, 1)).toEqual([]);
      }
    },
  );

  fixture.sharedCase(
    "goes on after a refused write although another instance has written meanwhile",
    "refuses when it cannot be written, leaves nothing, and goes on afterwards",
    async () => {
      for (const bad of features.stepsBeforeWritten.append) {
        let isBroken = false;
        const log = await fixture.open({
          onStep: (step) => {
            if (isBroken && step === bad) throw new Error("no disk");
          },
        });
        const topic = await newTopic(log);
        const other = await fixture.open();
        isBroken = true;
        expect(await codeOf(log.append([record(topic, "lost")]))).toBe("unavailable");
        isBroken = false;
        const offsets = await other.append([record(topic, "a"), record(topic, "b")]);
        const [last] = await log.append([record(topic, "c")]);
        expect(last).toBeGreaterThan(offsets[1] as bigint);
        expect(texts(await readAll(log, topic))).toEqual(["a", "b", "c"]);
      }
    },
  );

  fixture.case(
    "says that an outcome is unknown when the answer is lost, written or not",
    async () => {
      for (const isWritten of [true, false]) {
        const place = fixture.adapter.newPlace();
        const { log, topic } = await fixture.withTopic({}, { place });
        await log.append([record(topic, "before")]);
        features.loseNextAnswer(log, isWritten);
        expect(await codeOf(log.append([record(topic, "unsure")]))).toBe("outcome_unknown");
        const isKept = features.childModule !== null;
        const found = await readAll(isKept ? await fixture.open({ place }) : log, topic);
        expect(texts(found)).toEqual(isWritten ? ["before", "unsure"] : ["before"]);
      }
    },
  );
}

function valuesOf(headers: Headers, name: string): number[][] {
  return headers.filter(([each]) => each === name).map(([, value]) => [...value]);
}
