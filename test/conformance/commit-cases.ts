/** Conformance: what a claim reads and what its commit writes. */

import { expect } from "bun:test";
import {
  bytes,
  codeOf,
  commitOf,
  eventually,
  type Fixture,
  newTopic,
  readAll,
  record,
  text,
  texts,
  within,
} from "./fixture.ts";
import { claimOne, Member, take } from "./member.ts";
import { threeTopics } from "./task.ts";

export function commitCases(fixture: Fixture): void {
  for (const keepsChangelogs of fixture.adapter.features.changelogModes) {
    const mode = keepsChangelogs ? "with changelogs" : "without changelogs";

    fixture.case(`commits outputs, changed rows and progress together, ${mode}`, async () => {
      const log = await fixture.open({ keepsChangelogs });
      expect(log.keepsChangelogs).toBe(keepsChangelogs);
      const { input, output, changelog } = await threeTopics(log);
      await log.append([record(input, "a"), record(input, "b")]);
      const { member, claim, group } = await claimOne(log, [input], changelog);
      expect([claim.group, claim.partition, claim.progress]).toEqual([group, 0, null]);
      expect(await log.progress(group, 0)).toBeNull();
      const records = await take(claim, 2);
      const progress = await claim.commit(
        commitOf(records, {
          outputs: [
            record(output, "1", { partition: 1, headers: [["h", bytes("x")]] }),
            record(output, "2"),
            record(output, "3", { partition: 1 }),
          ],
          changelog: [
            { key: bytes("row"), value: bytes("new") },
            { key: bytes("gone"), value: null },
          ],
        }),
      );
      await eventually(() => log.progress(group, 0), progress);
      await eventually(async () => texts(await readAll(log, output, 1)), ["1", "3"]);
      const [left, right] = [await readAll(log, output, 0), await readAll(log, output, 1)];
      expect(texts(left)).toEqual(["2"]);
      expect(text(right[0]?.headers[0]?.[1])).toBe("x");
      const rows = await readAll(log, changelog);
      expect(rows.map(({ key, value }) => [text(key), value && text(value)])).toEqual(
        keepsChangelogs
          ? [
              ["row", "new"],
              ["gone", null],
            ]
          : [],
      );
      const [, last] = records;
      expect(progress.inputs).toEqual([
        {
          topic: input,
          nextOffset: (last?.offset as bigint) + 1n,
          checksum: last?.checksum as number,
        },
      ]);
      expect(progress.outputs.toSorted((a, b) => a.partition - b.partition)).toEqual([
        { topic: output, partition: 0, lastOffset: left[0]?.offset as bigint },
        { topic: output, partition: 1, lastOffset: right[1]?.offset as bigint },
      ]);
      expect(progress.changelogOffset).toBe(keepsChangelogs ? (rows[1]?.offset as bigint) : null);
      expect(await log.progress(group, 1)).toBeNull();
      await log.append([record(input, "c")]);
      const next = await claim.commit(commitOf(await take(claim, 1)));
      expect(next.changelogOffset).toBe(progress.changelogOffset);
      await member.leave();
    });
  }

  fixture.case("carries progress on from commit to commit and from owner to owner", async () => {
    const log = await fixture.open();
    const { input, output } = await threeTopics(log);
    const second = await newTopic(log);
    const offsets = await log.append(["a", "b", "c"].map((value) => record(input, value)));
    const { member, claim, group } = await claimOne(log, [input, second]);
    const one = await claim.commit(
      commitOf(await take(claim, 1), {
        outputs: [record(output, "1"), record(output, "1", { partition: 1 })],
        counts: { odd: 1, even: 0 },
      }),
    );
    const [offset] = await log.append([record(second, "x")]);
    const two = await claim.commit(
      commitOf(await take(claim, 2), { outputs: [record(output, "2")] }),
    );
    const three = await claim.commit(commitOf(await take(claim, 1), { counts: { odd: 1 } }));
    const nextOf = (topic: string) => three.inputs.find((each) => each.topic === topic)?.nextOffset;
    expect(nextOf(input)).toBe((offsets[2] as bigint) + 1n);
    expect(nextOf(second)).toBe((offset as bigint) + 1n);
    expect(three.outputs).toEqual(two.outputs);
    const kept = (of: typeof one) => of.outputs.find(({ partition }) => partition === 1);
    expect(kept(three)).toEqual(kept(one));
    expect([two.counts, three.counts]).toEqual([{ odd: 1, even: 0 }, { odd: 2, even: 0 }]);
    await member.leave();
    const next = new Member(log, { group, topics: [input, second] });
    const heir = await next.claim();
    expect(heir.progress).toEqual(three);
    expect(heir.epoch).toBeGreaterThan(claim.epoch);
    await log.append([record(input, "d")]);
    expect(texts(await take(heir, 1))).toEqual(["d"]);
    await next.leave();
  });

  fixture.case(
    "reads on behind what was read, and again from the progress for the next owner",
    async () => {
      const { log, topic } = await fixture.withTopic();
      await log.append(["a", "b", "c", "d"].map((value) => record(topic, value)));
      const { member, claim, group } = await claimOne(log, [topic]);
      const first = await take(claim, 1);
      expect(texts(await take(claim, 2))).toEqual(["b", "c"]);
      await claim.commit(commitOf(first));
      await member.leave();
      const next = new Member(log, { group, topics: [topic] });
      expect(texts(await take(await next.claim(), 3))).toEqual(["b", "c", "d"]);
      await next.leave();
    },
  );

  fixture.case("reads at most so many records, waits for the first, and wakes for it", async () => {
    const { log, topic } = await fixture.withTopic();
    const { member, claim } = await claimOne(log, [topic]);
    let isDone = false;
    const waiting = claim.read(2).finally(() => {
      isDone = true;
    });
    await log.append([record(topic, "other partition", { partition: 1 })]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(isDone).toBe(false);
    await log.append(["a", "b", "c"].map((value) => record(topic, value)));
    const records = await within(waiting, "the records");
    expect(records.length).toBeGreaterThan(0);
    expect(texts(records)).toEqual(["a", "b"].slice(0, records.length));
    const rest = await take(claim, 3 - records.length);
    expect(texts([...records, ...rest])).toEqual(["a", "b", "c"]);
    await member.leave();
  });

  fixture.case(
    "ends a waiting read empty when the claim is released or its member leaves",
    async () => {
      const { log, topic } = await fixture.withTopic();
      const { member, claim } = await claimOne(log, [topic]);
      const waiting = claim.read(1);
      await claim.release();
      expect(await within(waiting, "the read's end")).toEqual([]);
      expect(await within(claim.read(1), "a read after the end")).toEqual([]);
      const again = await member.claim();
      const second = again.read(1);
      await member.leave();
      expect(await within(second, "the second read's end")).toEqual([]);
    },
  );

  fixture.case("takes a commit without inputs for the caller's mistake, and goes on", async () => {
    const log = await fixture.open();
    const { input, output, changelog } = await threeTopics(log);
    await log.append([record(input, "a")]);
    const { member, claim, group } = await claimOne(log, [input], changelog);
    const records = await take(claim, 1);
    const outputs = [record(output, "trace")];
    const rows = [{ key: bytes("row"), value: bytes("trace") }];
    for (const empty of [
      { outputs: [], changelog: [], inputs: [] },
      { outputs, changelog: rows, inputs: [] },
    ]) {
      const error = await claim.commit(empty).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(TypeError);
      expect((error as TypeError).message).toContain(`${group} partition 0`);
    }
    expect(claim.revoked.aborted).toBe(false);
    expect(await log.progress(group, 0)).toBeNull();
    const progress = await claim.commit(commitOf(records));
    expect(progress.outputs).toEqual([]);
    await eventually(() => log.progress(group, 0), progress);
    for (const topic of [output, changelog]) expect(await readAll(log, topic)).toEqual([]);
    await member.leave();
  });

  fixture.case("refuses a commit that moves an input backwards", async () => {
    const { log, topic } = await fixture.withTopic();
    await log.append(["a", "b"].map((value) => record(topic, value)));
    const { member, claim, group } = await claimOne(log, [topic]);
    const records = await take(claim, 2);
    const done = await claim.commit(commitOf(records));
    const outputs = [record(topic, "trace", { partition: 1 })];
    await codeOf(claim.commit(commitOf(records.slice(0, 1), { outputs })));
    await codeOf(claim.commit(commitOf(records, { outputs })));
    await eventually(() => log.progress(group, 0), done);
    expect(await readAll(log, topic, 1)).toEqual([]);
    await member.leave();
  });

  fixture.case("shows a commit to a reader who waits for its output", async () => {
    const log = await fixture.open();
    const { input, output } = await threeTopics(log);
    await log.append([record(input, "a")]);
    const { member, claim, group } = await claimOne(log, [input]);
    const reading = log.read({ topic: output, partition: 0, from: 0n })[Symbol.asyncIterator]();
    const next = reading.next();
    const progress = await claim.commit(
      commitOf(await take(claim, 1), { outputs: [record(output, "A")] }),
    );
    expect(texts((await within(next, "the output")).value)).toEqual(["A"]);
    await eventually(() => log.progress(group, 0), progress);
    await reading.return?.();
    await member.leave();
  });
}
