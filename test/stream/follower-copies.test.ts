/** A copy that an earlier program has left: when a follower goes on from it, and when not. */

import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import type { EmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import type { Progress } from "../../src/log/event-log.ts";
import { tableName } from "../../src/stream/group.ts";
import { TOMBSTONE_RETENTION_MS } from "../../src/stream/topology.ts";
import type { View } from "../../src/stream/view.ts";
import { endAll, group, startOwner, startView, withOwn } from "./following.ts";
import { eventually } from "./members.ts";
import { sums } from "./tally.ts";
import { removeFoldersAfterEach, temporaryFolder } from "./temporary-folder.ts";

removeFoldersAfterEach();
afterEach(endAll);

describe("a follower", () => {
  test("goes on from where its copy stood", async () => {
    const { log, send } = await startOwner();
    const folder = temporaryFolder();
    await leftCopy({ log, send }, folder, [1, 2]);
    const read: bigint[] = [];
    const watched = withOwn(log, {
      read: (options: Parameters<EmbeddedLog["read"]>[0]) => {
        read.push(options.from);
        return log.read(options);
      },
    });
    await send(0, 4);
    const again = startView(watched, folder);
    again.follower.follow(0);
    await eventually("the next sum", () => again.total(0) === 7);
    expect(read.length).toBeGreaterThan(0);
    expect(read.every((from) => from > 0n)).toBe(true);
  });

  test("goes on from a copy whose place an earlier program spelled otherwise", async () => {
    const { log, send } = await startOwner();
    const folder = temporaryFolder();
    const first = await leftCopy({ log, send }, folder, [1, 2]);
    const database = new Database(first.stores.path(tableName(group), 0));
    database.exec("UPDATE place SET progress = json_insert(progress, '$.counts', json('{}'))");
    database.close();
    await send(0, 4);
    const again = startView(log, folder);
    again.follower.follow(0);
    await eventually("the next sum", () => again.total(0) === 7);
  });

  test("builds a copy anew that was away for half the time that tombstones are kept", async () => {
    const { log, send } = await startOwner();
    const folder = temporaryFolder();
    let nowMs = 1_000_000;
    const first = await leftCopy({ log, send }, folder, [1], () => nowMs);
    const stale = first.stores.open(tableName(group), 0);
    const place = stale.progress();
    const rows = [["\0\0\0\x01x\x01", new Uint8Array([1])]] as const;
    const after = place as Progress;
    const change = { epoch: 0, before: place, after, inStepMs: nowMs };
    stale.apply({ ...change, rows }); // its tombstone was dropped
    stale.close();
    const rowsOf = (view: View) => [...view.scan(0, sums)].length;
    await send(0, 2);
    nowMs += TOMBSTONE_RETENTION_MS / 2;
    const soon = startView(log, folder, () => nowMs);
    soon.follower.follow(0);
    await eventually("the next sum", () => soon.total(0) === 3);
    await soon.follower.stop();
    nowMs += TOMBSTONE_RETENTION_MS / 2 + 1;
    await send(0, 3);
    const late = startView(log, folder, () => nowMs);
    late.follower.follow(0);
    await eventually("the last sum", () => late.total(0) === 6);
    expect(rowsOf(late.view)).toBe(1);
  });

  test("does not follow a copy that is newer than its changelog, and says what to do", async () => {
    const { log, send } = await startOwner();
    const folder = temporaryFolder();
    const first = await leftCopy({ log, send }, folder, [1]);
    const newer = first.stores.open(tableName(group), 0);
    const before = newer.progress() as Progress;
    const after = { ...before, changelogOffset: 99n }; // the log was set back since
    newer.apply({ epoch: 0, before, after, rows: [], inStepMs: 0 });
    newer.close();
    await send(0, 2);
    const again = startView(log, folder);
    again.follower.follow(0);
    await eventually("a reason", () => typeof again.follower.notFollowed[0]?.reason === "string");
    expect(again.follower.notFollowed[0]?.reason).toMatch(
      /stands at offset 99 of tally-table partition 0, .* only up to \d+: delete the store/,
    );
    expect(again.total(0)).toBe(1);
  });

  test("makes a copy anew that was damaged", async () => {
    const { log, send } = await startOwner();
    const folder = temporaryFolder();
    const first = await leftCopy({ log, send }, folder, [1, 2]);
    first.view.close();
    writeFileSync(first.stores.path(tableName(group), 0), Buffer.alloc(8_192, "x"));
    const again = startView(log, folder);
    again.follower.follow(0);
    await eventually("a copy in step", () => again.follower.behind === null);
    expect(again.total(0)).toBe(3);
    expect(again.follower.notFollowed).toEqual([]);
  });

  test("stands nowhere while a copy is built anew, so that nothing looks settled", async () => {
    const { log, send } = await startOwner();
    const folder = temporaryFolder();
    await leftCopy({ log, send }, folder, [1], () => 1);
    const other = startView(log, temporaryFolder());
    other.follower.follow(0);
    await send(0, 2);
    await eventually("the owner's commit", () => other.total(0) === 3);
    const { slow, isReading, goOn } = slowed(log);
    const late = startView(slow, folder, () => TOMBSTONE_RETENTION_MS);
    late.follower.follow(0);
    await isReading.promise;
    expect(late.total(0)).toBeNull();
    expect(late.follower.progress(0)).toBeNull();
    goOn.resolve();
    await eventually("the next sum", () => late.total(0) === 3);
    expect(late.follower.progress(0)?.inputs[0]?.nextOffset).toBe(2n);
  });

  test("builds a copy of another changelog anew, and stands nowhere until then", async () => {
    const folder = temporaryFolder();
    const named = (log: EmbeddedLog) => withOwn(log, { incarnation: "one" });
    const left = await startOwner(1);
    await leftCopy({ log: named(left.log), send: left.send }, folder, [1, 2]);
    const { log, send } = await startOwner(2);
    const other = startView(log, temporaryFolder());
    other.follower.follow(0);
    await send(0, 10);
    await eventually("the first sum", () => other.total(0) === 10);
    await send(0, 20);
    await eventually("the second sum", () => other.total(0) === 30);
    const { slow, isReading, goOn } = slowed(log);
    const again = startView(named(slow), folder);
    again.follower.follow(0);
    expect(again.view.progress(0)).toBeNull();
    await isReading.promise;
    expect(again.view.progress(0)).toBeNull();
    goOn.resolve();
    await eventually("the sum here", () => again.total(0) === 30);
    expect([...again.view.scan(0, sums)]).toEqual([...other.view.scan(0, sums)]);
  });

  test("empties a copy of a group that has done nothing here", async () => {
    const folder = temporaryFolder();
    const left = await startOwner(1);
    await leftCopy(left, folder, [1]);
    const { log } = await startOwner(2);
    const { incarnation } = left.log;
    const again = startView(withOwn(log, { incarnation }), folder);
    again.follower.follow(0);
    await eventually("the first look", () => again.follower.behind === null);
    expect([again.total(0), again.view.progress(0)]).toEqual([null, null]);
  });

  test("stops at once though the log does not say which changelog it has", async () => {
    const { log, send } = await startOwner();
    const folder = temporaryFolder();
    await leftCopy({ log, send }, folder, [1]);
    await send(0, 2);
    const other = startView(log, temporaryFolder());
    other.follower.follow(0);
    await eventually("the owner's commit", () => other.total(0) === 3);
    const isAsked = Promise.withResolvers<void>();
    const away = withOwn(log, {
      bounds: () => {
        isAsked.resolve();
        return new Promise<never>(() => {});
      },
    });
    const again = startView(away, folder);
    again.follower.follow(0);
    await isAsked.promise;
    await again.follower.stop();
  });
});

/** Of partition 0, as a program that has ended left it: with all these messages. */
async function leftCopy(
  { log, send }: Awaited<ReturnType<typeof startOwner>>,
  folder: string,
  messages: readonly number[],
  nowMs?: () => number,
) {
  const view = startView(log, folder, nowMs);
  view.follower.follow(0);
  await send(0, ...messages);
  const sum = messages.reduce((total, n) => total + n, 0);
  await eventually("the sum that is left", () => view.total(0) === sum);
  await view.follower.stop();
  return view;
}

/** A log whose reads wait until they are let go on. */
function slowed(log: EmbeddedLog) {
  const isReading = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const slow = withOwn(log, {
    async *read(options: Parameters<EmbeddedLog["read"]>[0]) {
      isReading.resolve();
      await goOn.promise;
      yield* log.read(options);
    },
  });
  return { slow, isReading, goOn };
}
