/** The producer of a member: which commits go out together, and what becomes of the others. */

import { expect, test } from "bun:test";
import { LogError, type NewRecord } from "../../../src/log/event-log.ts";
import type { GroupOffset } from "../../../src/log/kafka/group-offsets.ts";
import { GroupWriter, type Seat, type Share } from "../../../src/log/kafka/group-writer.ts";

test("what waits while a transaction is under way goes out in the next one, together", async () => {
  const { writer, transactions } = start();
  const seats = [0, 1, 2].map((partition) => seatOf(partition));
  for (const seat of seats) await writer.take(seat);
  const commits = seats.map((seat) =>
    writer.commit(seat, shareOf(seat, [`row ${seat.partition}`])),
  );
  await transactions.finish(2);
  await Promise.all(commits);
  expect(transactions.committed).toEqual([
    ["row 0", "progress 0 at 0"],
    ["row 1", "row 2", "progress 1 at 0", "progress 2 at 1"],
  ]);
});

test("what one claim asks for at once is written one after the other", async () => {
  const { writer, transactions } = start();
  const [seat, busy] = [seatOf(0), seatOf(1)];
  for (const each of [seat, busy]) await writer.take(each);
  const others = writer.commit(busy, shareOf(busy, ["others"]));
  let stands = "nothing";
  const progress = () => ({ key: Buffer.from("progress"), value: Buffer.from(stands) });
  const commit = { ...shareOf(seat, []), expected: [], progress, done: () => (stands = "all") };
  const release = { ...commit, done: () => {}, isCommit: false };
  const both = [writer.commit(seat, commit), writer.commit(seat, release)];
  await transactions.finish(3);
  await Promise.all([others, ...both]);
  // What the release says of the progress comes after the commit, and counts.
  expect(transactions.committed.slice(1)).toEqual([["nothing"], ["all"]]);
});

test("a progress goes with its rows where it is known what offsets they get", async () => {
  const { writer, transactions } = start();
  const [right, wrong] = [seatOf(0), seatOf(1)];
  for (const seat of [right, wrong]) await writer.take(seat);
  const first = writer.commit(right, { ...shareOf(right, ["a"]), expected: [0n] });
  const second = writer.commit(wrong, { ...shareOf(wrong, ["b"]), expected: [7n] });
  await transactions.finish(2);
  await Promise.all([first, second]);
  expect(transactions.writes).toEqual([
    ["a", "progress 0 at 0"],
    ["b", "progress 1 at 7"],
    ["progress 1 at 0"],
  ]);
});

test("who takes a partition waits for one transaction, however many others follow", async () => {
  const { writer, transactions } = start();
  const [former, busy] = [seatOf(0), seatOf(1)];
  for (const seat of [former, busy]) await writer.take(seat);
  const underWay = writer.commit(former, shareOf(former, ["first"]));
  const waiting = codeOf(writer.commit(former, shareOf(former, ["of another time"])));
  let isTaken = false;
  const taking = writer.take(seatOf(0)).then(() => {
    isTaken = true;
  });
  void writer.commit(busy, shareOf(busy, ["others"])).catch(() => {});
  expect(isTaken).toBe(false);
  await transactions.finish(1);
  await Promise.all([underWay, taking]);
  expect(await waiting).toBe("fenced");
  expect(await codeOf(writer.commit(former, shareOf(former, ["later"])))).toBe("fenced");
  expect(transactions.committed).toEqual([["first", "progress 0 at 0"]]);
});

test("a failure ends the producer and all its claims, and what waits is not begun", async () => {
  const { writer, transactions } = start();
  const lost: string[] = [];
  const seats = [0, 1, 2].map((partition) =>
    seatOf(partition, (error) => lost.push(`${partition}: ${error.code}`)),
  );
  for (const seat of seats) await writer.take(seat);
  const [one, two, three] = seats as [Seat, Seat, Seat];
  const batch = codeOf(writer.commit(one, shareOf(one, ["a"])));
  const next = codeOf(writer.commit(two, shareOf(two, ["b"])));
  await transactions.fail(new LogError("outcome_unknown", "no answer came"));
  expect(await batch).toBe("outcome_unknown");
  expect(await next).toBe("unavailable");
  expect(lost).toEqual(["0: outcome_unknown", "1: outcome_unknown", "2: outcome_unknown"]);
  expect(writer.isOver).toBe(true);
  expect(await codeOf(writer.commit(three, shareOf(three, ["c"])))).toBe("unavailable");
});

test("whose producer was fenced is told so, at every commit", async () => {
  const { writer, transactions } = start();
  const [one, two] = [seatOf(0), seatOf(1)];
  for (const seat of [one, two]) await writer.take(seat);
  const batch = codeOf(writer.commit(one, shareOf(one, ["a"])));
  await transactions.fail(new LogError("fenced", "another has begun"));
  expect(await batch).toBe("fenced");
  expect(await codeOf(writer.commit(two, shareOf(two, ["b"])))).toBe("fenced");
});

test("offsets go with a transaction, those of the next in one of their own", async () => {
  const { writer, transactions } = start();
  const [one, two] = [seatOf(0), seatOf(1)];
  for (const seat of [one, two]) await writer.take(seat);
  writer.owe(two, offsetsAt(1, 5n)); // where its claim begins
  await finished(transactions, [
    writer.commit(one, { ...shareOf(one, ["a"]), groupOffsets: offsetsAt(0, 1n) }),
  ]);
  for (const nextOffset of [2n, 3n]) {
    await finished(transactions, [
      writer.commit(one, { ...shareOf(one, ["b"]), groupOffsets: offsetsAt(0, nextOffset) }),
    ]);
  }
  await transactions.finish(1);
  await writer.take(one); // it has ended
  expect(transactions.committed.map((each) => each.toSorted())).toEqual([
    ["a", "at 0-1", "at 1-5", "progress 0 at 0"],
    ["b", "progress 0 at 0"],
    ["b", "progress 0 at 0"],
    ["at 0-3"],
  ]);
});

test("who gives a partition back leaves its offsets, and writes none of it later", async () => {
  const { writer, transactions } = start();
  const [given, kept] = [seatOf(0), seatOf(1)];
  for (const seat of [given, kept]) await writer.take(seat);
  const at = (seat: Seat, nextOffset: bigint) => {
    const groupOffsets = offsetsAt(seat.partition, nextOffset);
    return writer.commit(seat, { ...shareOf(seat, []), groupOffsets });
  };
  await finished(transactions, [at(given, 1n)]); // so that the next are not due yet
  await finished(transactions, [at(given, 2n)]);
  const release = { ...shareOf(given, []), isCommit: false };
  await finished(transactions, [writer.commit(given, release)]);
  await finished(transactions, [at(given, 3n)]);
  writer.leave(given);
  await finished(transactions, [at(kept, 9n)]);
  await transactions.finish(1);
  await writer.take(kept); // it has ended
  const offsets = transactions.committed.map((each) => each.filter((one) => one.startsWith("at")));
  expect(offsets).toEqual([["at 0-1"], [], ["at 0-2"], [], [], ["at 1-9"]]);
});

test("a commit goes on without the group's offsets when they are not taken", async () => {
  for (const why of ["isSilent", "areOffsetsRefused"] as const) {
    const { writer, transactions } = start();
    transactions[why] = true;
    const seat = seatOf(0);
    await writer.take(seat);
    const share = { ...shareOf(seat, ["a"]), groupOffsets: offsetsAt(0, 2n) };
    await finished(transactions, [writer.commit(seat, share)]);
    expect(transactions.committed).toEqual([["a", "progress 0 at 0"]]);
    expect(writer.isOver).toBe(false);
  }
});

test("what has nothing in it but offsets, and these are not taken, is not ended", async () => {
  const { writer, transactions } = start();
  transactions.isSilent = true;
  const seat = seatOf(0);
  await writer.take(seat);
  writer.owe(seat, offsetsAt(0, 1n));
  await transactions.asked.promise;
  const share = shareOf(seat, ["a"]);
  await finished(transactions, [writer.commit(seat, share)]); // the first that is ended
  expect(transactions.committed).toEqual([["a", "progress 0 at 0"]]);
});

async function finished(transactions: Transactions, commits: readonly Promise<void>[]) {
  await transactions.finish(1);
  await Promise.all(commits);
}

function offsetsAt(partition: number, nextOffset: bigint): readonly GroupOffset[] {
  return [{ topic: "events", partition, nextOffset }];
}

function start() {
  const transactions = new Transactions();
  const writer = new GroupWriter("sums-1", transactions, {
    groupId: "sums",
    progressTopic: "sums-progress",
    step: () => {},
    pace: { dueMs: 0, isHeldUp: false, said: "" },
  });
  return { writer, transactions };
}

function seatOf(partition: number, lost: Seat["lost"] = () => {}): Seat {
  return { partition, lost };
}

function shareOf({ partition }: Seat, rows: readonly string[]): Share {
  return {
    records: rows.map((row) => record("sums-table", partition, row)),
    expected: null,
    groupOffsets: [],
    progress: (offsets) => ({
      key: Buffer.from("progress"),
      value: Buffer.from(`progress ${partition} at ${offsets.join()}`),
    }),
    done: () => {},
    isCommit: true,
  };
}

function record(topic: string, partition: number, value: string): NewRecord {
  return { topic, partition, key: Buffer.from("key"), value: Buffer.from(value) };
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(() => null).catch((reason: unknown) => reason);
  return error instanceof LogError ? error.code : "none";
}

/** Offsets count on from write to write; a commit waits until it is told how it ends. */
class Transactions {
  readonly committed: string[][] = [];
  readonly writes: string[][] = [];
  /** The group's coordinator is away. */
  isSilent = false;
  areOffsetsRefused = false;
  readonly asked = Promise.withResolvers<void>();
  private open: string[] = [];
  private next = 0n;
  private ending: PromiseWithResolvers<void> | null = null;
  private begun = Promise.withResolvers<void>();

  async begin(): Promise<void> {
    this.open = [];
    this.next = 0n;
  }

  async write(records: readonly NewRecord[]): Promise<readonly bigint[]> {
    const values = records.map(({ value }) => Buffer.from(value ?? []).toString());
    this.writes.push(values);
    this.open.push(...values);
    return records.map(() => this.next++);
  }

  async addOffsets(): Promise<unknown> {
    this.asked.resolve();
    return this.isSilent ? new Error("no answer") : null;
  }

  async writeOffsets(_group: string, offsets: readonly GroupOffset[]): Promise<unknown> {
    if (this.areOffsetsRefused) return new Error("refused");
    this.open.push(...offsets.map(({ partition, nextOffset }) => `at ${partition}-${nextOffset}`));
    return null;
  }

  async commit(): Promise<void> {
    this.ending = Promise.withResolvers<void>();
    this.begun.resolve();
    await this.ending.promise;
    this.committed.push(this.open);
  }

  /** The next so many, as they come. */
  async finish(count: number): Promise<void> {
    for (let index = 0; index < count; index += 1) {
      await this.begun.promise;
      this.begun = Promise.withResolvers<void>();
      this.ending?.resolve();
    }
  }

  /** The next one, when it comes to its end. */
  async fail(cause: LogError): Promise<void> {
    await this.begun.promise;
    this.ending?.reject(cause);
  }
}
